"""Split a reduction over its contiguous dim into independent lanes and a final combination.

before: s[i] = 0 ; for k: s[i] += x[i, k]
after:  p[i, l] = 0 ; for k: p[i, k mod F] += x[i, k] ; s[i] = 0 ; for l: s[i] += p[i, l]

(TVM rfactor.) The order of additions is fixed by F and the extents alone.
"""

from __future__ import annotations

from math import ceil

from xdsl.dialects import arith
from xdsl.dialects.builtin import AffineMapAttr, ArrayAttr, FloatAttr, IntegerAttr, MemRefType
from xdsl.ir import Block, Operation, Region, SSAValue
from xdsl.ir.affine import AffineExpr, AffineMap

from ....dialects.poly import ArrayOp, ScopOp, StatementOp, YieldOp
from ..access_patterns import combining_op, reduced_block
from ..sets import box_extents, box_like

UNROLL = 4  # independent accumulators hide the latency of the combining op
NEUTRAL = {"add": 0, "mul": 1}  # the other kinds are idempotent


def initializer_of(scop: ScopOp, update: StatementOp) -> StatementOp | None:
    """The statement that sets the accumulator of `update` before its first term."""
    for s in scop.statements:
        if s.target is update.target and s is not update and s.reduction is None:
            return s
    return None


def _constant_of(statement: StatementOp) -> arith.ConstantOp | None:
    """The constant that the body of `statement` yields; None where it yields anything else."""
    terminator = statement.body.block.last_op
    assert isinstance(terminator, YieldOp)
    owner = terminator.value.owner
    return owner if isinstance(owner, arith.ConstantOp) else None


def _may_repeat(start: arith.ConstantOp, kind: str) -> bool:
    """Whether every lane may begin with `start`: it is neutral, or repeating it changes nothing."""
    assert isinstance(start.value, FloatAttr | IntegerAttr)
    return kind not in NEUTRAL or start.value.value.data == NEUTRAL[kind]


def _clone_constant(constant: arith.ConstantOp) -> Region:
    block = Block()
    clone = constant.clone()
    block.add_ops([clone, YieldOp(clone.result)])
    return Region(block)


def combine_body(update: StatementOp, accumulator: SSAValue) -> Region:
    """(acc, part) -> acc (+) part, by the op of `update`."""
    combiner = combining_op(update)
    block = Block(arg_types=[accumulator.type.element_type] * 2)  # type: ignore[attr-defined]
    clone: Operation = type(combiner).create(
        operands=list(block.args),
        result_types=list(combiner.result_types),
        properties=dict(combiner.properties),
        attributes=dict(combiner.attributes),
    )
    block.add_ops([clone, YieldOp(clone.results[0])])
    return Region(block)


def rfactor(scop: ScopOp, update: StatementOp, dim: int, lanes: int, chains: int = UNROLL) -> bool:
    """Factor reduction `update` over `dim` into lanes of `chains` vectors; False where it has no
    plain initializer."""
    init = initializer_of(scop, update)
    extents = box_extents(update.domain.data)
    block = reduced_block(update, dim)
    if init is None or extents is None or block is None or box_extents(init.domain.data) is None:
        return False
    start = _constant_of(init)
    assert update.reduction is not None
    if start is None or not _may_repeat(start, update.reduction.data):
        return False
    rank = update.rank
    width = lanes * min(chains, ceil(extents[dim] / lanes))
    if block % width != 0:  # a lane would take part in two blocks
        return False
    old = update.target
    assert isinstance(old.type, MemRefType)
    shape = (*old.type.get_shape(), width)
    array = ArrayOp(MemRefType(old.type.element_type, shape), (old.name_hint or "t") + "_lanes")
    scop.body.block.insert_op_before(array, init)

    filled = box_extents(init.domain.data)
    assert filled is not None
    box = box_like((*filled, width), init.domain.data)
    rank_of_lanes = len(shape)
    name = update.sym_name.data
    fill = StatementOp(
        f"{name}z",
        box,
        array.result,
        AffineMap.identity(rank_of_lanes),
        [],
        [],
        _clone_constant(start),
    )
    scop.body.block.insert_op_before(fill, init)

    lane = AffineExpr.dimension(dim) % width
    partial = AffineMap(rank, 0, (*update.write.data.results, lane))
    row = AffineMap(
        rank_of_lanes, 0, tuple(AffineExpr.dimension(d) for d in range(rank_of_lanes - 1))
    )
    combine = StatementOp(
        f"{name}c",
        box,
        old,
        row,
        [old, array.result],
        [row, AffineMap.identity(rank_of_lanes)],
        combine_body(update, old),
        update.reduction.data,
    )
    scop.body.block.insert_op_after(combine, update)
    scop.body.block.detach_op(init)
    scop.body.block.insert_op_before(init, combine)

    update.operands[0] = array.result
    update.operands[1] = array.result
    update.properties["write"] = AffineMapAttr(partial)
    update.properties["reads"] = ArrayAttr(
        [AffineMapAttr(partial), *(AffineMapAttr(m) for m in update.read_maps[1:])]
    )
    return True
