"""The matrix unit of x86 (AMX): eight registers of 16 rows of 64 bytes (Intel SDM vol. 1, 18).

One instruction adds the product of two tiles of 16 x 16 words to 16 x 16 sums. A word is a pair of
bf16, or four bytes. It takes as many cycles as the first tile has rows.
"""

from __future__ import annotations

from math import ceil
from typing import Literal

from .hardware import Machine

Kind = Literal["bf16", "int8"]
ROWS = 16  # rows of a tile
WORDS = 16  # words per row, and so steps per instruction, and columns of the sums
ACCUMULATORS = 4  # registers for sums; the others hold two tiles of each operand
LEAST_ROWS = 4  # below, loading the other operand takes longer than the products


def has_matrix_unit(machine: Machine, kind: Kind = "bf16") -> bool:
    """Whether `machine` multiplies tiles of pairs of bf16, or of four bytes."""
    return machine.isa == "avx512" and f"amx_{kind}" in machine.features


def row_tiles(rows: int) -> list[int]:
    """`rows` as the rows of one tile or of two."""
    return [rows] if rows <= ROWS else [ceil(rows / 2), rows // 2]


def fits_matrix_unit(rows: int, vectors: int) -> bool:
    """Whether sums of `rows` times `vectors` vectors of 16 fit, and are worth it."""
    return LEAST_ROWS <= rows <= 2 * ROWS and len(row_tiles(rows)) * vectors <= ACCUMULATORS


def most_rows(vectors: int) -> int:
    """The rows of the highest register tile with `vectors` vectors."""
    return min(2, ACCUMULATORS // vectors) * ROWS
