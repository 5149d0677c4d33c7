"""Reduce blocks of iterations by themselves, then reduce the blocks (split-K of a product).

before: for w: for k: a[w] += f(k)
after:  for b, w: t[b, w] = 0                  (S_zero)
        for w: for k: t[k / F, w] += f(k)
        for b, w: a[w] += t[b, w]              (S_sum)

Each is a loop nest of its own: fused over blocks, t is one block, and fused over w too, registers.
"""

from __future__ import annotations

from xdsl.dialects import arith
from xdsl.dialects.builtin import MemRefType
from xdsl.ir import Block, Region
from xdsl.ir.affine import AffineExpr, AffineMap

from ....dialects.poly import ArrayOp, ScopOp, StatementOp, YieldOp
from ....dialects.schedule import SplitReduction
from ..affine_maps import substitute
from ..positions import insert_beside
from ..rules.rfactor import combine_body
from ..sets import box_extents, box_text
from .accumulate import set_accumulator
from .find import check_name_is_free, find_statement, refuse
from .reduction_blocks import ReductionBlocks, reduction_blocks
from .rfactor import neutral_value


def split_reduction(scop: ScopOp, step: SplitReduction) -> None:
    """Apply `step`; the order of additions is fixed by the domain and the factor alone."""
    statement = find_statement(scop, step.statement)
    blocks = _checked_blocks(scop, statement, step)
    array, write = statement.target, statement.write.data
    assert isinstance(array.type, MemRefType)
    assert statement.reduction is not None
    element = array.type.element_type
    parts = ArrayOp(MemRefType(element, blocks.shape), (array.name_hint or "t") + "_part")
    scop.body.block.insert_op_before(parts, scop.statements[0])

    box, rank = box_text(blocks.shape), len(blocks.shape)
    identity = AffineMap.identity(rank)
    constant = arith.ConstantOp(neutral_value(statement.reduction.data, element))
    fill = Block()
    fill.add_ops([constant, YieldOp(constant.result)])
    zero = StatementOp(f"{step.statement}_zero", box, parts.result, identity, [], [], Region(fill))
    dims = [AffineExpr.constant(0)] * statement.rank
    for position, d in enumerate(blocks.element_dims, start=1):
        dims[d] = AffineExpr.dimension(position)
    total = substitute(write, dims, rank)
    combine = StatementOp(
        f"{step.statement}_sum",
        box,
        array,
        total,
        [array, parts.result],
        [total, identity],
        combine_body(statement, array),
        statement.reduction.data,
    )
    set_accumulator(statement, parts.result, blocks.key)
    insert_beside(scop, zero, statement, 0)
    insert_beside(scop, combine, statement, 0, after=True)


def _checked_blocks(scop: ScopOp, statement: StatementOp, step: SplitReduction) -> ReductionBlocks:
    for new in (f"{step.statement}_zero", f"{step.statement}_sum"):
        check_name_is_free(scop, new, step)
    blocks = reduction_blocks(statement, step.dim, step.factor, step)
    if blocks.factor is None:
        raise refuse(step, "one block holds all iterations; use a smaller factor")
    if box_extents(statement.domain.data) is None:
        raise refuse(step, "the domain is no box that begins at zero")
    if not scop.is_sequence_of_nests:
        raise refuse(step, "statements share loops; distribute them first")
    if statement.target in statement.sources[1:]:
        raise refuse(step, "the sums are read while they are made")
    return blocks
