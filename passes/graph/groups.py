"""Groups of graph ops that become one kernel each, and what makes a group legal."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Protocol

from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Operation, SSAValue

from ...dialects.errors import LoweringError
from ...dialects.graph import (
    FullOp,
    GraphOp,
    IotaOp,
    ReshapeOp,
    ViewOp,
    WeightOp,
    shape_of,
)
from ...dialects.graph.opaque import OpaqueOp
from .layout_access import is_affine_reshape, merges_innermost, under_reshapes


@dataclass(frozen=True)
class Group:
    """Ops of one kernel in program order. Layout and constant ops are not listed: each kernel
    gets its own copy of those it reads through.

    Those in `copies` it computes only for itself: another group has them too, or several have
    copies and nobody else reads them.
    """

    ops: tuple[GraphOp, ...]
    copies: frozenset[GraphOp] = frozenset()

    @property
    def owned(self) -> list[GraphOp]:
        """The ops whose results the kernel hands to others where these read them."""
        return [op for op in self.ops if op not in self.copies]


class Grouping(Protocol):
    """A way to divide the ops of `main` that must be computed into kernels."""

    def groups(self, main: FuncOp, threads: int) -> list[Group]:
        """Legal groups that cover `computed_ops(main)`."""
        ...


def computed_ops(main: FuncOp) -> list[GraphOp]:
    """The ops whose result some kernel has to write or use as an own step, in program order.

    Views, reshapes and constants cost nothing where they are read, so they count only where their
    result must exist in memory: returned from main, or a permuting view under a merging reshape.
    """
    stored = {under_reshapes(value) for value in _returned(main)}
    for op in main.body.block.ops:
        if isinstance(op, ReshapeOp) and merges_innermost(op):
            stored.add(under_reshapes(op.source))
    free = ViewOp | FullOp | IotaOp
    return [
        op
        for op in main.body.block.ops
        if isinstance(op, GraphOp)
        and not isinstance(op, WeightOp | ReshapeOp)
        and (not isinstance(op, free) or (op.result in stored and not _is_uniform_step(op, main)))
    ]


def reads_directly(op: Operation, producer: Operation, computed: Container[Operation]) -> bool:
    """Whether `op` reads `producer` through layout ops that affine maps describe, if it does."""
    pending = list(op.operands)
    while pending:
        owner = pending.pop().owner
        if not isinstance(owner, ViewOp | ReshapeOp) or owner in computed:
            continue
        if isinstance(owner, ReshapeOp) and not is_affine_reshape(owner):
            if producer in producers(owner, computed):
                return False
            continue
        pending.append(owner.source)
    return True


def _is_uniform_step(op: GraphOp, main: FuncOp) -> bool:
    """A constant under a merging reshape stays a constant; only a returned one is stored."""
    if not isinstance(op, FullOp | IotaOp):
        return False
    return op.result not in {under_reshapes(value) for value in _returned(main)}


def _returned(main: FuncOp) -> Sequence[SSAValue]:
    terminator = main.body.block.last_op
    assert isinstance(terminator, ReturnOp)
    return terminator.arguments


def producers(
    op: Operation, computed: Container[Operation], values: Iterable[SSAValue] | None = None
) -> list[Operation]:
    """The computed ops that `op` reads, directly or through layout ops; with repetitions.

    Only reads through `values` count where these are given.
    """
    found: list[Operation] = []
    pending = list(op.operands if values is None else values)
    while pending:
        owner = pending.pop(0).owner
        if not isinstance(owner, Operation):
            continue
        if owner in computed:
            found.append(owner)
        elif isinstance(owner, ViewOp | ReshapeOp):
            pending.append(owner.source)
    return found


def consumers(computed: Iterable[GraphOp], main: FuncOp) -> dict[Operation, set[Operation]]:
    """Who reads each computed op, directly or through layout ops; the return counts as a reader."""
    known: dict[Operation, set[Operation]] = {op: set() for op in computed}
    terminator = main.body.block.last_op
    assert terminator is not None
    for op in [*known, terminator]:
        for producer in producers(op, known):
            known[producer].add(op)
    return known


def ordered_groups(groups: Iterable[Group], main: FuncOp) -> list[Group]:
    """`groups` so that each comes after those it reads; LoweringError where they form a cycle."""
    remaining = list(groups)
    home: dict[Operation, Group] = {op: group for group in remaining for op in group.owned}
    position = {op: i for i, op in enumerate(main.body.block.ops)}
    remaining.sort(key=lambda group: position[group.ops[0]])
    computed = {op for group in remaining for op in group.ops}
    needs = {group: _groups_read(group, home, computed) for group in remaining}
    readers: dict[Group, list[Group]] = {group: [] for group in remaining}
    for group, read in needs.items():
        for other in read:
            readers[other].append(group)
    rank = {group: i for i, group in enumerate(remaining)}
    missing = {group: len(read) for group, read in needs.items()}
    ready = [rank[group] for group in remaining if not missing[group]]
    ordered: list[Group] = []
    while ready:
        group = remaining[heappop(ready)]
        ordered.append(group)
        for reader in readers[group]:
            missing[reader] -= 1
            if not missing[reader]:
                heappush(ready, rank[reader])
    if len(ordered) < len(remaining):
        stuck = next(group for group in remaining if missing[group])
        names = ", ".join(op.name for op in stuck.ops)
        raise LoweringError(f"groups of ops depend on each other in a cycle: [{names}] ...")
    return ordered


def _groups_read(
    group: Group, home: Mapping[Operation, Group], computed: Container[Operation]
) -> set[Group]:
    """Whose results `group` needs before it starts."""
    inside = set(group.ops)
    read = {p for op in group.ops for p in producers(op, computed)} - inside
    for op in read - home.keys():
        raise LoweringError(f"{op.name} is read by a group that has no copy of it")
    return {home[op] for op in read}


def check_groups_are_legal(groups: Sequence[Group], main: FuncOp) -> None:
    """Each computed op in exactly one group but for copies, each group one that can be a kernel,
    and no cycle between groups, so that all are convex."""
    seen: set[Operation] = set()
    for group in groups:
        for op in group.owned:
            if op in seen:
                raise LoweringError(f"{op.name} is in two groups")
            seen.add(op)
    seen |= {op for group in groups for op in group.copies}
    missing = [op for op in computed_ops(main) if op not in seen]
    if missing:
        raise LoweringError(f"{missing[0].name} of shape {shape_of(missing[0].result)} in no group")
    for group in groups:
        check_is_one_kernel(group)
    ordered_groups(groups, main)


RECOMPUTED = "tilecast.recomputed"
"""Marks ops that compute a tensor once more, just before a reader; equal numbers go together."""


def may_follow(op: Operation, producer: Operation) -> bool:
    """Whether `op` may be computed as soon as what it reads."""
    time = op.attributes.get(RECOMPUTED)
    return time is None or time == producer.attributes.get(RECOMPUTED)


def check_is_one_kernel(group: Group) -> None:
    """LoweringError where no kernel can have these ops: an opaque op shares its kernel with no
    other op, reads inside are affine, and what is computed again waits for its reader."""
    if not group.ops:
        raise LoweringError("a group has no ops")
    inside = set(group.ops)
    for op in group.ops:
        if isinstance(op, OpaqueOp) and len(group.ops) > 1:
            raise LoweringError(f"{op.name} is opaque and shares its kernel with other ops")
        for producer in dict.fromkeys(producers(op, inside)):
            if not may_follow(op, producer):
                raise LoweringError(f"{op.name} computes again what {producer.name} just had")
            if not reads_directly(op, producer, inside):
                raise LoweringError(f"{op.name} reads {producer.name} through a merging reshape")


def check_group_is_legal(group: Group) -> None:
    """No path may leave the group and come back: all that it reads is known before it starts."""
    inside = set(group.ops)
    if not inside:
        raise LoweringError("a group has no ops")
    block = group.ops[0].parent_block()
    assert block is not None
    steps = {op for op in block.ops if op in inside or not isinstance(op, ViewOp | ReshapeOp)}
    depends: set[Operation] = set()
    for op in block.ops:
        if op not in steps:
            continue
        reads = set(producers(op, steps)) if isinstance(op, GraphOp) else set()
        if op in inside:
            if reads & depends:
                raise LoweringError(f"a path leaves the group of {op.name} and comes back to it")
        elif reads & (inside | depends):
            depends.add(op)
