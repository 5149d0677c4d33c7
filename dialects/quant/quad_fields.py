"""Where the codes of a period lie as products of bytes read them, four at a time.

32 codes are eight quads; the codes of a quad lie in the four bytes of a 32-bit word, at the same
bits of each. A byte has room for 8 // width codes, and what is left over in several bytes holds the
bits of further quads. The bytes of a period of 3 bits (quad, bit of the code):

    word 0 |e1 e0|b2 b1 b0|a2 a1 a0|    word 1 |h0 e2|d2 d1 d0|c2 c1 c0|    word 2 |h2 h1|g..|f..|

Most quads are a mask, or a shift and a mask, away. Quads follow each other as their words do, so
that a product reads memory front to back: in another order, cache lines come as the hardware does
not prefetch them (7 bits at 59% of the bandwidth).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from .weight_format import PERIOD

QUADS = PERIOD // 4  # words of four bytes that the codes of a period become


@dataclass(frozen=True)
class QuadPiece:
    """`width` bits of each code of a quad, from bit `position` on: those from bit `shift` on of
    each byte of a word."""

    word: int
    shift: int
    width: int
    position: int


@cache
def quad_pieces(width: int) -> tuple[tuple[QuadPiece, ...], ...]:
    """The pieces of each quad of a period, in the order of their words."""
    quads: list[tuple[QuadPiece, ...]] = []
    joined: list[QuadPiece] = []
    done = 0
    for word in range(width):
        shift = 0
        while shift + width <= 8:
            quads.append((QuadPiece(word, shift, width, 0),))
            shift += width
        while shift < 8:
            size = min(8 - shift, width - done)
            joined.append(QuadPiece(word, shift, size, done))
            shift, done = shift + size, done + size
            if done == width:
                quads.append(tuple(joined))
                joined, done = [], 0
    return tuple(quads)


def pack_quads(codes: npt.NDArray[np.uint8], width: int) -> npt.NDArray[np.uint32]:
    """[..., 32 n] codes to [..., width n] words."""
    quads = codes.reshape(*codes.shape[:-1], -1, QUADS, 4)
    words = np.zeros((*quads.shape[:-2], width, 4), np.uint8)
    for quad, pieces in enumerate(quad_pieces(width)):
        for piece in pieces:
            bits = quads[..., quad, :] >> piece.position & ((1 << piece.width) - 1)
            words[..., piece.word, :] |= bits << piece.shift
    return words.view("<u4").reshape(*codes.shape[:-1], -1)


def unpack_quads(words: npt.NDArray[np.uint32], width: int) -> npt.NDArray[np.uint8]:
    """[..., width n] words to [..., 32 n] codes: the inverse of `pack_quads`."""
    whole = np.ascontiguousarray(words, "<u4").view(np.uint8)
    periods = whole.reshape(*words.shape[:-1], -1, width, 4)
    codes = np.zeros((*periods.shape[:-2], QUADS, 4), np.uint8)
    for quad, pieces in enumerate(quad_pieces(width)):
        for piece in pieces:
            bits = periods[..., piece.word, :] >> piece.shift & ((1 << piece.width) - 1)
            codes[..., quad, :] |= bits << piece.position
    return codes.reshape(*words.shape[:-1], -1)
