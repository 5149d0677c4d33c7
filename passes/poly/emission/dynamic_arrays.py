"""Sizes as arguments of a loops function, and arrays whose extents depend on them.

Such an array is flat at the loops level, `memref<?xf64>`; its strides are computed from the sizes
when the function starts.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects import arith
from xdsl.dialects.builtin import DYNAMIC_INDEX, IndexType, MemRefType
from xdsl.ir import Attribute, Block, SSAValue
from xdsl.ir.affine import (
    AffineBinaryOpExpr,
    AffineBinaryOpKind,
    AffineConstantExpr,
    AffineExpr,
    AffineSymExpr,
)

from ....dialects.errors import LoweringError
from ....dialects.poly import ScopOp, extents_of, has_dynamic_shape
from ..parameters import lower_bounds, upper_bounds
from .index_expr import IndexBuilder
from .linear import Atom, Linear

LARGEST_SIZE = 2**31 - 1  # index lanes of vectors have 32 bits


def loops_type(array: SSAValue) -> Attribute:
    """The type that an array of a scop has at the loops level."""
    if not has_dynamic_shape(array):
        return array.type
    assert isinstance(array.type, MemRefType)
    return MemRefType(array.type.element_type, [DYNAMIC_INDEX])


def size_atoms(scop: ScopOp, values: Sequence[SSAValue]) -> dict[str, Linear]:
    """What s0, s1, ... are: the arguments `values`, with the ranges that the context gives."""
    bounds = zip(lower_bounds(scop), upper_bounds(scop), values, strict=True)
    return {
        f"s{k}": Linear(0, ((Atom(f"s{k}", low, high or LARGEST_SIZE, value), 1),))
        for k, (low, high, value) in enumerate(bounds)
    }


def size_types(scop: ScopOp) -> list[Attribute]:
    """The types of the arguments that hold the parameters."""
    return [IndexType() for _ in scop.parameters]


class SizeArithmetic:
    """Appends arithmetic on sizes to `block`, each expression once."""

    def __init__(self, block: Block, sizes: Sequence[SSAValue]) -> None:
        self.index = IndexBuilder(block)
        self.sizes = sizes
        self._known: dict[AffineExpr, SSAValue] = {}

    def strides(self, array: SSAValue) -> list[SSAValue]:
        """Elements between neighbours along each dim of a row-major array."""
        strides, size = [], self.index.constant(1)
        for extent in reversed(extents_of(array)):
            strides.append(size)
            if len(strides) < len(extents_of(array)):
                size = self._multiply(size, self.value(extent))
        return strides[::-1]

    def value(self, expr: AffineExpr) -> SSAValue:
        """The value of `expr` over the sizes."""
        if expr not in self._known:
            self._known[expr] = self._computed(expr)
        return self._known[expr]

    def _multiply(self, a: SSAValue, b: SSAValue) -> SSAValue:
        one = self.index.constant(1)
        return b if a is one else a if b is one else self.index.add(arith.MuliOp(a, b))

    def _computed(self, expr: AffineExpr) -> SSAValue:
        match expr:
            case AffineSymExpr():
                return self.sizes[expr.position]
            case AffineConstantExpr():
                return self.index.constant(expr.value)
            case AffineBinaryOpExpr():
                lhs, rhs = self.value(expr.lhs), self.value(expr.rhs)
                if expr.kind is AffineBinaryOpKind.Add:
                    return self.index.add(arith.AddiOp(lhs, rhs))
                if expr.kind is AffineBinaryOpKind.Mul:
                    return self._multiply(lhs, rhs)
                if expr.kind is AffineBinaryOpKind.FloorDiv:
                    return self.index.add(arith.FloorDivSIOp(lhs, rhs))
        raise LoweringError(f"lower-scop: no rule for the extent {expr}")
