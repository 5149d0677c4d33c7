"""The part of affine IR that feeds one store, as a statement: its reads and its body."""

from __future__ import annotations

from dataclasses import dataclass, field

from xdsl.dialects import affine, arith
from xdsl.dialects.builtin import IndexType
from xdsl.ir import Block, Operation, SSAValue
from xdsl.ir.affine import (
    AffineBinaryOpExpr,
    AffineBinaryOpKind,
    AffineConstantExpr,
    AffineDimExpr,
    AffineExpr,
    AffineMap,
    AffineSymExpr,
)

from ....dialects.errors import LoweringError
from ....dialects.poly import IndexOp, ParamOp, YieldOp
from .index_values import IndexValues

INDEX_OPS = {
    AffineBinaryOpKind.Add: arith.AddiOp,
    AffineBinaryOpKind.Mul: arith.MuliOp,
    AffineBinaryOpKind.FloorDiv: arith.FloorDivSIOp,
}
SCALAR_DIALECTS = ("arith.", "math.")


def inputs_of(value: SSAValue) -> list[affine.LoadOp]:
    """The loads that `value` is computed from, each once."""
    found: dict[affine.LoadOp, None] = {}
    pending = [value]
    while pending:
        owner = pending.pop().owner
        if isinstance(owner, affine.LoadOp):
            found[owner] = None
        elif isinstance(owner, Operation) and owner.name.startswith(SCALAR_DIALECTS):
            pending += owner.operands
    return list(found)


@dataclass
class StatementSlice:
    """Collects the accesses and the body ops of a statement in `rank` loops and `parameters` sizes.

    `arrays` says which array of the scop a memref is; `kept` holds loads whose value was put into
    a scalar array of its own, since what they read may change before it is used.
    """

    rank: int
    indices: IndexValues
    arrays: dict[SSAValue, SSAValue]
    kept: dict[affine.LoadOp, SSAValue]
    parameters: int = 0
    block: Block = field(default_factory=Block)
    reads: list[tuple[SSAValue, AffineMap]] = field(default_factory=list)
    values: dict[SSAValue, SSAValue] = field(default_factory=dict)

    def access(self, array: SSAValue, exprs: tuple[AffineExpr, ...]) -> SSAValue:
        """The body argument for an element of `array`, one per element."""
        read = (array, AffineMap(self.rank, self.parameters, exprs))
        if read not in self.reads:
            self.reads.append(read)
            self.block.insert_arg(array.type.element_type, len(self.block.args))  # type: ignore[attr-defined]
        return self.block.args[self.reads.index(read)]

    def load(self, op: affine.LoadOp) -> SSAValue:
        """The body argument for what `op` loads."""
        if op in self.kept:
            return self.access(self.kept[op], ())
        return self.access(self.arrays[op.memref], self.indices.element(op))

    def value(self, value: SSAValue) -> SSAValue:
        """`value` computed in the body."""
        if value not in self.values:
            self.values[value] = self._computed(value)
        return self.values[value]

    def _computed(self, value: SSAValue) -> SSAValue:
        owner = value.owner
        if isinstance(value.type, IndexType):
            return self._index(self.indices.of(value))
        if value in self.arrays:  # a scalar argument of the function
            return self.access(self.arrays[value], ())
        if isinstance(owner, affine.LoadOp):
            return self.load(owner)
        if not isinstance(owner, Operation) or not owner.name.startswith(SCALAR_DIALECTS):
            found = owner.name if isinstance(owner, Operation) else "a block argument"
            raise LoweringError(
                "extract-affine: a stored value must be computed by affine.load, arith and math "
                f"from arrays and loop variables, found {found}"
            )
        operands = [self.value(operand) for operand in owner.operands]
        clone = owner.clone_without_regions()
        clone.operands = operands
        clone.attributes.pop("loc", None)
        self.block.add_op(clone)
        for before, after in zip(owner.results, clone.results, strict=True):
            self.values[before] = after
            after.name_hint = before.name_hint
        return self.values[value]

    def _add(self, op: Operation) -> SSAValue:
        self.block.add_op(op)
        return op.results[0]

    def _index(self, expr: AffineExpr) -> SSAValue:
        """An index expression as arithmetic on iteration numbers."""
        match expr:
            case AffineDimExpr():
                return self._add(IndexOp(expr.position))
            case AffineSymExpr():
                return self._add(ParamOp(expr.position))
            case AffineConstantExpr():
                return self._add(arith.ConstantOp.from_int_and_width(expr.value, IndexType()))
            case AffineBinaryOpExpr():
                lhs, rhs = self._index(expr.lhs), self._index(expr.rhs)
                if expr.kind in INDEX_OPS:
                    return self._add(INDEX_OPS[expr.kind](lhs, rhs))
                if expr.kind is AffineBinaryOpKind.Mod:
                    quotient = self._add(arith.FloorDivSIOp(lhs, rhs))
                    product = self._add(arith.MuliOp(quotient, rhs))
                    return self._add(arith.SubiOp(lhs, product))
        raise LoweringError(f"extract-affine: {expr} cannot be a value of a statement body")

    def finish(self, value: SSAValue) -> None:
        """End the body with `value`."""
        self.block.add_op(YieldOp(value))
