"""Combine vectors before their lanes: one tree across lanes instead of one for each.

before: %a = vector.reduction <add>, %v ; %b = vector.reduction <add>, %w
        %s = addf %init, %a ; %t = addf %s, %b
after:  %u = addf %v, %w ; %a = vector.reduction <add>, %u ; %t = addf %init, %a

A row that is summed in four vectors ends in three additions of vectors and one tree, not in four
trees one after the other. The vectors meet in a fixed order, so results do not depend on threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects import arith, vector
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

KINDS: dict[type[Operation], str] = {
    arith.AddfOp: "add",
    arith.AddiOp: "add",
    arith.MulfOp: "mul",
    arith.MaximumfOp: "maximumf",
    arith.MinimumfOp: "minimumf",
    arith.MaxnumfOp: "maxnumf",
}
"""What combines a result with more of it, and the kind of reduction that does so across lanes."""


Link = tuple[Operation, vector.ReductionOp]
"""An op, and the reduction whose result it combines with what came before."""


def _link(op: Operation) -> Link | None:
    """`op` as a link; None where it combines no reduction, or one that others use too."""
    reduction = op.operands[1].owner
    if (
        isinstance(reduction, vector.ReductionOp)
        and reduction.acc is None
        and reduction.parent is op.parent
        and str(reduction.kind.data) == KINDS[type(op)]
        and reduction.dest.has_one_use()
    ):
        return op, reduction
    return None


def _chain(last: Operation) -> list[Link]:
    """The links of one kind that end in `last`, first to last, of vectors of one type."""
    links: list[Link] = []
    op: Operation | None = last
    while op is not None and type(op) is type(last) and op.parent is last.parent:
        link = _link(op)
        if link is None or (links and not op.results[0].has_one_use()):
            break
        if links and link[1].vector.type != links[0][1].vector.type:
            break
        links.insert(0, link)
        before = op.operands[0].owner
        op = before if isinstance(before, Operation) else None
    return links


def _combine(like: Operation, a: SSAValue, b: SSAValue) -> Operation:
    """a and b, vectors or scalars, combined as `like` does, flags and all."""
    return type(like).create(
        operands=[a, b], result_types=[a.type], properties=dict(like.properties)
    )


def _joined(like: Operation, values: Sequence[SSAValue]) -> SSAValue:
    """All `values` combined, halves first, by ops in front of `like`."""
    if len(values) == 1:
        return values[0]
    middle = (len(values) + 1) // 2
    op = _combine(like, *(_joined(like, part) for part in (values[:middle], values[middle:])))
    block = like.parent_block()
    assert block is not None
    block.insert_op_before(op, like)
    return op.results[0]


def join_reductions(func: FuncOp) -> None:
    """Rewrite every chain of at least two reductions in `func`."""
    for op in reversed(list(func.walk())):
        if type(op) not in KINDS or op.parent is None:
            continue
        links = _chain(op)
        if len(links) < 2:
            continue
        total = _joined(op, [reduction.vector for _, reduction in links])
        across = links[-1][1].clone()
        across.operands[0] = total
        combined = _combine(op, links[0][0].operands[0], across.dest)
        Rewriter.replace_op(op, [across, combined])
        for link, reduction in reversed(links):
            if link is not op:
                Rewriter.erase_op(link)
            Rewriter.erase_op(reduction)


@dataclass(frozen=True)
class JoinReductionsPass(ModulePass):
    """Combine vectors before their lanes."""

    name = "join-reductions"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for func in op.ops:
            if isinstance(func, FuncOp) and func.body.blocks:
                join_reductions(func)
