"""Shared memory layouts: row-major, the 16-byte chunks of each row exchanged by XOR (swizzle).

In: shapes and element sizes. Out: byte addresses.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt

from .register_layout import LayoutError

CHUNK = 16  # bytes that every access of ldmatrix and the widest cp.async keep together


@dataclass(frozen=True)
class Swizzle:
    """Chunk number a becomes a ^ ((a >> shift) & (2^bits - 1)); `bits` 0 leaves all in place.

    Higher bits change lower ones, so that no two chunks meet.
    """

    bits: int
    shift: int

    def __post_init__(self) -> None:
        if self.bits < 0 or (self.bits and self.shift < 1):
            raise LayoutError(
                f"swizzle({self.bits},{self.shift}): expected bits >= 0 and shift >= 1, "
                "else chunks meet"
            )

    def __call__(self, chunk: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Where each chunk lies."""
        return chunk ^ ((chunk >> self.shift) & ((1 << self.bits) - 1))

    def __str__(self) -> str:
        return f"swizzle({self.bits},{self.shift})"


PLAIN = Swizzle(0, 0)


@dataclass(frozen=True)
class SharedLayout:
    """An array of `shape` with elements of `element_bytes`, last dim fastest, swizzled."""

    shape: tuple[int, ...]
    element_bytes: int
    swizzle: Swizzle = PLAIN

    def __post_init__(self) -> None:
        span = CHUNK << self.swizzle.bits
        if self.swizzle.bits and self.row_bytes % span:
            raise LayoutError(
                f"{self.swizzle} exchanges chunks within {span} bytes, "
                f"which rows of {self.row_bytes} bytes are no multiple of"
            )

    @property
    def row_bytes(self) -> int:
        """Bytes of the last dim."""
        return self.shape[-1] * self.element_bytes

    @property
    def nbytes(self) -> int:
        """Bytes of the array."""
        return prod(self.shape) * self.element_bytes

    def addresses(self, *index: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Byte addresses of the elements at `index`, one array per dim."""
        flat = np.ravel_multi_index(tuple(index), self.shape) * self.element_bytes
        return self.swizzle(flat // CHUNK) * CHUNK + flat % CHUNK
