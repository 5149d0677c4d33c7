"""Where codes lie for tables: 32 elements of `width` bits fill `width` words.

Each byte of a word holds codes of its own, so that one shift and one mask bring four codes to the
four bytes of a lane. A width is a sum of powers of two, and a code is cut in parts of so many bits
(7 = 4 + 2 + 1, the lowest bits first); the parts of all elements fill words of their own.

    word of 4-bit parts: |e7 e3|e6 e2|e5 e1|e4 e0|       (element 4 q + j: quad q, byte j)

Words follow each other as the quads need them, so that memory is read front to back.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from .quad_fields import QUADS


@dataclass(frozen=True)
class BytePart:
    """Bits `position` .. `position + width - 1` of every code, in `width` words of the period."""

    width: int
    position: int
    words: tuple[int, ...]

    def place(self, quad: int) -> tuple[int, int]:
        """(word of the period, bit of each byte) of the part of elements 4 quad .. 4 quad + 3."""
        word, shift = divmod(quad * self.width, 8)
        return self.words[word], shift


@cache
def byte_parts(width: int) -> tuple[BytePart, ...]:
    """The parts of codes of `width` bits, the widest first and lowest."""
    widths = [bits for bits in (8, 4, 2, 1) if width & bits]
    starts = [(word * (8 // bits), -bits) for bits in widths for word in range(bits)]
    order = {start: number for number, start in enumerate(sorted(starts))}
    parts: list[BytePart] = []
    done = 0
    for bits in widths:
        words = tuple(order[word * (8 // bits), -bits] for word in range(bits))
        parts.append(BytePart(bits, done, words))
        done += bits
    return tuple(parts)


@cache
def byte_words(width: int) -> tuple[tuple[int, int], ...]:
    """(number of the part, word within the part) of the words of a period, as they lie."""
    owners = {
        word: (number, within)
        for number, part in enumerate(byte_parts(width))
        for within, word in enumerate(part.words)
    }
    return tuple(owners[word] for word in range(width))


def pack_bytes(codes: npt.NDArray[np.uint8], width: int) -> npt.NDArray[np.uint32]:
    """[..., 32 n] codes to [..., width n] words."""
    quads = codes.reshape(*codes.shape[:-1], -1, QUADS, 4)
    words = np.zeros((*quads.shape[:-2], width, 4), np.uint8)
    for part in byte_parts(width):
        bits = quads >> part.position & ((1 << part.width) - 1)
        for quad in range(QUADS):
            word, shift = part.place(quad)
            words[..., word, :] |= bits[..., quad, :] << shift
    return words.view("<u4").reshape(*codes.shape[:-1], -1)


def unpack_bytes(words: npt.NDArray[np.uint32], width: int) -> npt.NDArray[np.uint8]:
    """[..., width n] words to [..., 32 n] codes: the inverse of `pack_bytes`."""
    whole = np.ascontiguousarray(words, "<u4").view(np.uint8)
    periods = whole.reshape(*words.shape[:-1], -1, width, 4)
    codes = np.zeros((*periods.shape[:-2], QUADS, 4), np.uint8)
    for part in byte_parts(width):
        for quad in range(QUADS):
            word, shift = part.place(quad)
            bits = periods[..., word, :] >> shift & ((1 << part.width) - 1)
            codes[..., quad, :] |= bits << part.position
    return codes.reshape(*words.shape[:-1], -1)
