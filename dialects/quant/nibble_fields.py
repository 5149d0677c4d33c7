"""Where codes of one bit lie for lookups of bytes: a period is a word, four elements a nibble.

Elements r, r + 8, r + 16 and r + 24 of a period are the lower half of byte r of its word, and those
from r + 4 on the upper one, the first in the lowest bit:

    byte r |r+28|r+20|r+12|r+4|r+24|r+16|r+8|r|

so that what is computed for the nibbles of a period starts from eight elements side by side.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .weight_format import PERIOD

NIBBLES = PERIOD // 4  # of a word


def pack_nibbles(codes: npt.NDArray[np.uint8], width: int) -> npt.NDArray[np.uint32]:
    """[..., 32 n] codes to [..., n] words; `width` is 1."""
    assert width == 1
    elements = codes.reshape(*codes.shape[:-1], -1, 4, 2, 4)  # bit, half, byte
    bits = elements.swapaxes(-1, -3).reshape(*elements.shape[:-3], 4, 8)
    bytes = np.packbits(bits, axis=-1, bitorder="little")[..., 0]
    return bytes.view("<u4").reshape(*codes.shape[:-1], -1)


def unpack_nibbles(words: npt.NDArray[np.uint32], width: int) -> npt.NDArray[np.uint8]:
    """[..., n] words to [..., 32 n] codes: the inverse of `pack_nibbles`."""
    assert width == 1
    bytes = np.ascontiguousarray(words, "<u4").view(np.uint8)
    bits = np.unpackbits(bytes, bitorder="little").reshape(*words.shape, 4, 2, 4)
    return np.ascontiguousarray(bits.swapaxes(-1, -3)).reshape(*words.shape[:-1], -1)
