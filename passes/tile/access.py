"""Accesses of statements as places in memory: a start, and a stride per loop.

In: an array and an affine map. Out: the digits that a `tile.global` type is made of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.dialects.builtin import MemRefType
from xdsl.ir import Attribute, SSAValue
from xdsl.ir.affine import AffineMap

from ...dialects.tile.types import Digits
from ..poly.access_patterns import stride
from ..poly.affine_maps import row_major_strides


def memref_element(array: SSAValue) -> Attribute:
    """The element type of an array."""
    assert isinstance(array.type, MemRefType)
    element: Attribute = array.type.element_type
    return element


@dataclass(frozen=True)
class Access:
    """Element start + sum of strides[d] * i[d] of `array`, for iteration i."""

    array: SSAValue
    start: int
    strides: tuple[int, ...]

    @staticmethod
    def of(array: SSAValue, map: AffineMap) -> Access | None:
        """The access `map` of a row-major array; None where a loop has no one stride."""
        assert isinstance(array.type, MemRefType)
        strides = [stride(array, map, d) for d in range(map.num_dims)]
        if map.num_symbols or any(s is None for s in strides):
            return None
        first = map.eval([0] * map.num_dims, [])
        steps = row_major_strides(array.type.get_shape())
        start = sum(i * step for i, step in zip(first, steps, strict=True))
        return Access(array, start, tuple(s for s in strides if s is not None))

    @property
    def element(self) -> Attribute:
        """The element type."""
        return memref_element(self.array)

    def permuted(self, order: Sequence[int]) -> Access:
        """The same for loops of which number k was number order[k]."""
        return Access(self.array, self.start, tuple(self.strides[d] for d in order))

    def digits(self, dims: Sequence[int], extents: Sequence[int]) -> Digits:
        """The loops `dims`, slowest first, as one index; neighbours in memory are one digit."""
        found: list[tuple[int, int]] = []
        for d in dims:
            extent, step = extents[d], self.strides[d]
            if extent == 1:
                continue
            if found and found[-1][1] == extent * step:
                found[-1] = (found[-1][0] * extent, step)
            else:
                found.append((extent, step))
        return tuple(found) or ((1, 0),)

    def varies(self, dims: Sequence[int]) -> bool:
        """Whether it depends on any of the loops `dims`."""
        return any(self.strides[d] for d in dims)
