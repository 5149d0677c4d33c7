"""Forward substitution: compute a temporary where it is read, when that costs no extra work.

before: S0: t[i] = x[i] * 2 ; S1: y[i] = t[i] + 1
after:  S1: y[i] = x[i] * 2 + 1
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from xdsl.context import Context
from xdsl.dialects import arith
from xdsl.dialects.builtin import IndexType, MemRefType, ModuleOp
from xdsl.ir import Block, Operation, Region, SSAValue
from xdsl.ir.affine import (
    AffineBinaryOpExpr,
    AffineBinaryOpKind,
    AffineConstantExpr,
    AffineDimExpr,
    AffineExpr,
    AffineMap,
    AffineSymExpr,
)
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from ....dialects.poly import ArrayOp, IndexOp, ParamOp, ScopOp, StatementOp, YieldOp
from ..affine_maps import plain_dim, substitute
from ..sets import box_extents

FREE = (arith.ConstantOp, YieldOp, IndexOp, ParamOp, arith.IndexCastOp)


def _is_permutation(map: AffineMap) -> bool:
    dims = [plain_dim(e) for e in map.results]
    return None not in dims and sorted(d for d in dims if d is not None) == list(
        range(map.num_dims)
    )


def _is_free(statement: StatementOp) -> bool:
    """Whether recomputing the body costs no more than loading its result."""
    return len(statement.sources) <= 1 and all(
        isinstance(op, FREE) for op in statement.body.block.ops
    )


def _written_after(scop: ScopOp, statement: StatementOp, array: SSAValue) -> bool:
    statements = scop.statements
    later = statements[statements.index(statement) + 1 :]
    return any(s.target is array for s in later)


def _is_array(value: SSAValue) -> bool:
    return isinstance(value.type, MemRefType)


def can_inline(scop: ScopOp, producer: StatementOp) -> bool:
    """Whether every read of the array that `producer` writes can become its computation."""
    array = producer.target
    if not isinstance(array.owner, ArrayOp) or producer.reduction is not None:
        return False
    if not _is_permutation(producer.write.data):
        return False
    users = [use.operation for use in array.uses]
    consumers = [u for u in users if u is not producer]
    if any(not isinstance(u, StatementOp) or u.target is array for u in consumers):
        return False
    if producer.target in producer.sources or len(users) != len(consumers) + 1:
        return False
    loaded = [o for op in producer.body.block.ops for o in op.operands if _is_array(o)]
    if any(_written_after(scop, producer, source) for source in (*producer.sources, *loaded)):
        return False
    extents = box_extents(producer.domain.data)
    if extents is None:
        return False
    if _is_free(producer):
        return True
    if len(consumers) != 1:
        return False
    consumer = consumers[0]
    assert isinstance(consumer, StatementOp)
    work = box_extents(consumer.domain.data)
    return work is not None and prod(work) <= prod(extents)


def _emit_index(block: Block, expr: AffineExpr) -> SSAValue:
    """Compute `expr` over the dims of the enclosing statement."""
    op: Operation
    match expr:
        case AffineDimExpr():
            op = IndexOp(expr.position)
        case AffineSymExpr():
            op = ParamOp(expr.position)
        case AffineConstantExpr():
            op = arith.ConstantOp.from_int_and_width(expr.value, IndexType())
        case AffineBinaryOpExpr():
            lhs, rhs = _emit_index(block, expr.lhs), _emit_index(block, expr.rhs)
            match expr.kind:
                case AffineBinaryOpKind.Add:
                    op = arith.AddiOp(lhs, rhs)
                case AffineBinaryOpKind.Mul:
                    op = arith.MuliOp(lhs, rhs)
                case AffineBinaryOpKind.FloorDiv:
                    op = arith.FloorDivSIOp(lhs, rhs)
                case AffineBinaryOpKind.Mod:
                    op = arith.RemSIOp(lhs, rhs)  # operands are iteration numbers, never negative
                case AffineBinaryOpKind.CeilDiv:
                    op = arith.CeilDivSIOp(lhs, rhs)
        case _:
            raise AssertionError(expr)
    block.add_op(op)
    return op.results[0]


class _Fusion:
    """Builds the body and reads of a consumer with one producer substituted."""

    def __init__(self) -> None:
        self.block = Block()
        self.sources: list[SSAValue] = []
        self.reads: list[AffineMap] = []

    def read(self, array: SSAValue, access: AffineMap) -> SSAValue:
        """The block argument for an access; one per distinct access."""
        for k, (a, m) in enumerate(zip(self.sources, self.reads, strict=True)):
            if a is array and m == access:
                return self.block.args[k]
        self.sources.append(array)
        self.reads.append(access)
        element = array.type.element_type  # type: ignore[attr-defined]
        return self.block.insert_arg(element, len(self.block.args))

    def copy_body(
        self,
        body: Block,
        mapping: dict[SSAValue, SSAValue],
        dims: list[AffineExpr] | None,
    ) -> SSAValue:
        """Append `body`, its iteration dims replaced by `dims`; returns the yielded value."""
        for op in body.ops:
            if isinstance(op, YieldOp):
                return mapping[op.value]
            if isinstance(op, IndexOp) and dims is not None:
                mapping[op.result] = _emit_index(self.block, dims[op.dim.data])
                continue
            clone = op.clone_without_regions()
            for k, operand in enumerate(op.operands):
                clone.operands[k] = mapping.get(operand, operand)
            self.block.add_op(clone)
            mapping.update(zip(op.results, clone.results, strict=True))
        raise AssertionError("a statement body ends with poly.yield")


def inline_into(producer: StatementOp, consumer: StatementOp) -> StatementOp:
    """`consumer` with its reads of the producer's target replaced by the producer's body."""
    fusion = _Fusion()
    mapping: dict[SSAValue, SSAValue] = {}
    rank = consumer.rank
    reads = list(zip(consumer.sources, consumer.read_maps, consumer.body.block.args, strict=True))
    for array, access, arg in reads:
        if array is not producer.target:
            mapping[arg] = fusion.read(array, access)
    for array, access, arg in reads:
        if array is not producer.target:
            continue
        dims: list[AffineExpr] = [AffineExpr.constant(0)] * producer.rank
        for position, expr in enumerate(producer.write.data.results):
            dim = plain_dim(expr)
            assert dim is not None
            dims[dim] = access.results[position]
        inner: dict[SSAValue, SSAValue] = {
            a: fusion.read(source, substitute(m, dims, rank))
            for a, source, m in zip(
                producer.body.block.args, producer.sources, producer.read_maps, strict=True
            )
        }
        mapping[arg] = fusion.copy_body(producer.body.block, inner, dims)
    fusion.block.add_op(YieldOp(fusion.copy_body(consumer.body.block, mapping, None)))
    return StatementOp(
        consumer.sym_name.data,
        consumer.domain.data,
        consumer.target,
        consumer.write.data,
        fusion.sources,
        fusion.reads,
        Region(fusion.block),
        consumer.reduction.data if consumer.reduction is not None else None,
    )


def inline_statements(scop: ScopOp) -> None:
    """Inline every producer that can be, first to last; not where statements share loops."""
    if not scop.is_sequence_of_nests:
        return
    by_name = {s.sym_name.data: s for s in scop.statements}  # inlining replaces the consumers
    for name in list(by_name):
        producer = by_name[name]
        if not can_inline(scop, producer):
            continue
        array = producer.target.owner
        for consumer in {use.operation: None for use in producer.target.uses}:
            if consumer is producer:
                continue
            assert isinstance(consumer, StatementOp)
            fused = inline_into(producer, consumer)
            scop.body.block.insert_op_before(fused, consumer)
            Rewriter.erase_op(consumer)
            by_name[fused.sym_name.data] = fused
        Rewriter.erase_op(producer)
        assert isinstance(array, ArrayOp)
        Rewriter.erase_op(array)


@dataclass(frozen=True)
class InlineStatementsPass(ModulePass):
    """Apply forward substitution in every scop."""

    name = "inline-statements"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for scop in op.ops:
            if isinstance(scop, ScopOp):
                inline_statements(scop)
