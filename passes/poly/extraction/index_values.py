"""Index values of affine IR as affine expressions over the loops around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from xdsl.dialects import affine, arith, memref
from xdsl.dialects.builtin import IntegerAttr, MemRefType
from xdsl.ir import SSAValue
from xdsl.ir.affine import (
    AffineBinaryOpExpr,
    AffineBinaryOpKind,
    AffineConstantExpr,
    AffineExpr,
    AffineMap,
)

from ....dialects.errors import LoweringError
from ..affine_maps import simplify


@dataclass
class IndexValues:
    """What each `index` value is, over dims that number the enclosing loops from outside, and
    symbols that are the parameters. `extents` are those of each memref.

    Parsed subscripts arrive as symbols (xDSL makes every SSA id one); here they are dims again.
    """

    known: dict[SSAValue, AffineExpr] = field(default_factory=dict)
    extents: dict[SSAValue, tuple[AffineExpr, ...]] = field(default_factory=dict)

    def of(self, value: SSAValue) -> AffineExpr:
        """The expression of `value`; LoweringError where it is not affine."""
        if value not in self.known:
            self.known[value] = simplify(self._computed(value))
        return self.known[value]

    def apply(self, map: AffineMap, operands: Sequence[SSAValue]) -> tuple[AffineExpr, ...]:
        """The results of `map` on `operands` (its dims first, then its symbols)."""
        exprs = [self.of(operand) for operand in operands]
        dims, symbols = exprs[: map.num_dims], exprs[map.num_dims :]
        results = tuple(
            simplify(expr.replace_dims_and_symbols(dims, symbols)) for expr in map.results
        )
        for result in results:
            check_is_affine(result)
        return results

    def element(self, op: affine.LoadOp | affine.StoreOp) -> tuple[AffineExpr, ...]:
        """The subscripts of the element that `op` reads or writes; LoweringError where their number
        is not the rank of its array."""
        map, type = op.map.data, op.memref.type
        assert isinstance(type, MemRefType)
        if len(map.results) != len(type.get_shape()):
            raise LoweringError(
                f"extract-affine: {op.name} expects {len(type.get_shape())} subscripts of a "
                f"{type}, found {len(map.results)}"
            )
        return self.apply(map, op.indices)

    def _computed(self, value: SSAValue) -> AffineExpr:
        match value.owner:
            case affine.ApplyOp() as op:
                return self.apply(op.map.data, op.mapOperands)[0]
            case arith.ConstantOp(value=IntegerAttr() as number):
                return AffineExpr.constant(number.value.data)
            case memref.DimOp() as op:
                position, extents = self.of(op.index), self.extents.get(op.source, ())
                if isinstance(position, AffineConstantExpr) and 0 <= position.value < len(extents):
                    return extents[position.value]
                raise LoweringError(
                    "extract-affine: memref.dim expects an array and the constant number of a "
                    f"dimension, found {position} of {len(extents)}"
                )
            case arith.AddiOp() as op:
                return self.of(op.lhs) + self.of(op.rhs)
            case arith.SubiOp() as op:
                return self.of(op.lhs) + self.of(op.rhs) * -1
            case arith.MuliOp() as op:
                product = simplify(self.of(op.lhs) * self.of(op.rhs))
                check_is_affine(product)
                return product
            case _:
                raise LoweringError(
                    "extract-affine: an index must be affine in the enclosing loops "
                    f"(loop variables, index arguments, constants, affine.apply), found {value}"
                )


def check_is_affine(expr: AffineExpr) -> None:
    """LoweringError where `expr` multiplies or divides by something that is no constant."""
    if not isinstance(expr, AffineBinaryOpExpr):
        return
    check_is_affine(expr.lhs)
    check_is_affine(expr.rhs)
    if expr.kind is AffineBinaryOpKind.Add:
        return
    if not isinstance(expr.rhs, AffineConstantExpr):
        raise LoweringError(
            f"extract-affine: {expr} is not affine: its right side must be constant"
        )
    if expr.kind is not AffineBinaryOpKind.Mul and expr.rhs.value < 1:
        raise LoweringError(f"extract-affine: {expr} divides by a number that is not positive")
