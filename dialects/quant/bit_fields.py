"""Where the elements of a packed weight lie: 32 elements of `width` bits fill `width` words.

Elements follow each other from the lowest bit on, so a field may straddle two words. Every unpack
sequence is derived from these positions, for all widths alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from .weight_format import PERIOD

WORD = 32
EXACT = 23  # a float of magnitude 2^23 counts in ones: fields below this bit need no conversion


@dataclass(frozen=True)
class BitField:
    """Element of a period: `width` bits from bit `shift` of `word`, the rest in the next word.

    `window` is a shift of the word after which the field, and its neighbours, end below bit 23;
    the field then lies at bit `shift - window`.
    """

    word: int
    shift: int
    width: int
    window: int

    @property
    def straddles(self) -> bool:
        """Whether the field goes on in the next word."""
        return self.shift + self.width > WORD

    @property
    def exponent(self) -> int:
        """The field, read as a number in its place, is its value times 2 to this."""
        return 0 if self.straddles else self.shift - self.window


@cache
def bit_fields(width: int) -> tuple[BitField, ...]:
    """The fields of one period, in order."""
    places = [divmod(element * width, WORD) for element in range(PERIOD)]
    late: dict[int, int] = {}
    for word, shift in places:
        if EXACT < shift + width <= WORD:
            late.setdefault(word, shift)
    return tuple(
        BitField(word, shift, width, late[word] if EXACT < shift + width <= WORD else 0)
        for word, shift in places
    )


def pack_words(codes: npt.NDArray[np.uint8], width: int) -> npt.NDArray[np.uint32]:
    """[..., 32 n] codes to [..., width n] words."""
    periods = codes.reshape(*codes.shape[:-1], -1, PERIOD)
    words = np.zeros((*periods.shape[:-1], width), np.uint32)
    for element, field in enumerate(bit_fields(width)):
        code = periods[..., element].astype(np.uint64) & ((1 << width) - 1)
        words[..., field.word] |= (code << field.shift & 0xFFFFFFFF).astype(np.uint32)
        if field.straddles:
            words[..., field.word + 1] |= (code >> (WORD - field.shift)).astype(np.uint32)
    return words.reshape(*codes.shape[:-1], -1)


def unpack_words(words: npt.NDArray[np.uint32], width: int) -> npt.NDArray[np.uint8]:
    """[..., width n] words to [..., 32 n] codes: the inverse of `pack_words`."""
    periods = words.reshape(*words.shape[:-1], -1, width).astype(np.uint64)
    codes = np.zeros((*periods.shape[:-1], PERIOD), np.uint8)
    for element, field in enumerate(bit_fields(width)):
        value = periods[..., field.word] >> field.shift
        if field.straddles:
            value |= periods[..., field.word + 1] << (WORD - field.shift)
        codes[..., element] = value & ((1 << width) - 1)
    return codes.reshape(*words.shape[:-1], -1)
