"""Rule-based grouping: the first answer to the question which ops share a kernel.

- A linear, matmul, conv, attention or pool is the anchor of its kernel; there is one per kernel.
- Pointwise ops with the shape of an anchor's result are its epilogue (not of attention).
- Pointwise ops, embeddings, softmax, norms and reductions that work over the same rows share a
  kernel (see `row_space.py`).
- An opaque op (sort, scatter, ...) is alone in its kernel, with the layout ops it reads through.
- A stored view belongs to the op whose result it permutes; what only a mask of attention, a cat
  or a reduction over leading dims reads is computed in their kernel.

A group may have several results: what others need is written, nothing is computed twice. Ops that
compute something again join no group of ops that ran before (`RECOMPUTED`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod

from xdsl.dialects.builtin import AnyFloat, IntegerType
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.ir.affine import AffineBinaryOpExpr, AffineBinaryOpKind

from ...dialects.graph import (
    AttentionOp,
    CastOp,
    CatOp,
    ConvOp,
    EmbeddingOp,
    GatherOp,
    GraphOp,
    IndexOp,
    LinearOp,
    MatmulOp,
    PadOp,
    PointwiseOp,
    PoolOp,
    ReduceOp,
    SoftmaxOp,
    ViewOp,
    bounds_of,
    element_of,
    shape_of,
)
from ...dialects.graph.blocked import BlockedWindowOp
from ...dialects.graph.opaque import OpaqueOp
from ...dialects.sizes import upper_bound
from .groups import Group, computed_ops, consumers, may_follow, producers, reads_directly
from .layout_access import Access
from .row_space import (
    Shape,
    accesses,
    index_space,
    reads_own_element,
    reads_own_row,
    rows_of,
    squeezed,
)

ANCHORS = LinearOp | MatmulOp | ConvOp | BlockedWindowOp | PoolOp
ELEMENTWISE = PointwiseOp | CastOp | EmbeddingOp | GatherOp | IndexOp
# More ops in one kernel cost compile time and registers, and save nothing more.
LARGEST_GROUP = 96
# A kernel over fewer rows may leave threads idle, which does not matter below so many elements.
MANY_ROWS = 64
LITTLE_WORK = 1 << 15
# Above so many elements, which leave the caches of a core, an intermediate costs more than that.
SOME_ROWS = 16
MUCH_WORK = 1 << 18


@dataclass(eq=False)
class Draft:
    """A group while it grows.

    `rows` (without unit dims) is the space over which all its ops work independently; None where
    nothing may join. `is_anchored` groups take only pointwise ops over exactly `rows`; `reduces`
    says that `rows` can not be divided otherwise.
    """

    ops: list[GraphOp]
    rows: Shape | None
    is_anchored: bool = False
    reduces: bool = False


class RuleGrouping:
    """Walks main once; each op joins the groups that it can extend, or starts one."""

    def groups(self, main: FuncOp, threads: int) -> list[Group]:
        """The rules do not depend on the number of threads."""
        return _Walk(main).run()


class _Walk:
    def __init__(self, main: FuncOp) -> None:
        self.computed = computed_ops(main)
        self.position: dict[Operation, int] = {op: i for i, op in enumerate(self.computed)}
        self.consumers = consumers(self.computed, main)
        self.home: dict[Operation, Draft] = {}

    def run(self) -> list[Group]:
        for op in self.computed:
            self.place(op)
        drafts = dict.fromkeys(self.home[op] for op in self.computed)
        return [Group(tuple(sorted(d.ops, key=self.position.__getitem__))) for d in drafts]

    def place(self, op: GraphOp) -> None:
        """Put `op` into a group."""
        sources = [self.home[p] for p in producers(op, self.position) if may_follow(op, p)]
        # The latest producer first: joining it saves the most, its result is still near.
        sources = sorted(set(sources), key=self.last_position, reverse=True)
        if isinstance(op, ViewOp):
            self.place_stored_view(op)
        elif isinstance(op, PadOp):
            self.place_pad(op)
        elif isinstance(op, ANCHORS):
            self.join(op, [], Draft([], squeezed(shape_of(op.result)), is_anchored=True))
        elif isinstance(op, AttentionOp):
            inner = [] if op.mask is None else [op.mask]
            inner += [v for v in (op.key, op.value) if is_widened_once(op, v)]
            self.join(op, [self.take_sole_producers(op, inner)], Draft([], None))
        elif isinstance(op, CatOp):
            self.join(op, [self.take_sole_producers(op, op.operands)], Draft([], None))
        elif (rows := rows_of(op)) is not None:
            self.place_row_op(op, rows, sources)
        elif isinstance(op, SoftmaxOp | ReduceOp):
            taken = self.take_sole_producers(op, [op.source])
            self.join(op, [taken], Draft([], squeezed(shape_of(op.result)), is_anchored=True))
        else:
            self.join(op, [], Draft([], None))

    def place_stored_view(self, op: ViewOp) -> None:
        """Let the producer write the permuted result, if nobody else needs the plain one."""
        found = producers(op, self.position)
        is_sole = len(found) == 1 and self.consumers[found[0]] == {op} and may_follow(op, found[0])
        # a view that divides walks its result in another order than the producer works
        is_sole = is_sole and not isinstance(found[0], OpaqueOp) and not _divides(op)
        is_sole = is_sole and reads_directly(op, found[0], self.position)
        if not is_sole or prod(bounds_of(op.result)) > prod(bounds_of(found[0].results[0])):
            self.join(op, [], Draft([], None))
            return
        self.join(op, [self.home[found[0]]], Draft([], None))

    def place_pad(self, op: PadOp) -> None:
        """Let the producer write into the middle of the padded result, if nobody else reads it."""
        found = producers(op, self.position)
        is_sole = len(found) == 1 and self.consumers[found[0]] == {op} and may_follow(op, found[0])
        is_sole = is_sole and reads_directly(op, found[0], self.position)
        joined = [self.home[found[0]]] if is_sole and self.home[found[0]].rows is not None else []
        self.join(op, joined, Draft([], None))

    def place_row_op(self, op: GraphOp, rows: Shape, sources: Sequence[Draft]) -> None:
        """Pointwise, indirect, softmax, norm and reduce ops."""
        reads = accesses(op, self.position)
        reduces = not isinstance(op, ELEMENTWISE)
        if isinstance(op, PointwiseOp | CastOp):
            for anchor in sources:
                if self.is_epilogue(op, anchor, reads) and self.may_join(op, [anchor]):
                    self.join_epilogue(op, anchor, sources, reads)
                    return
        merged: list[Draft] = []
        common = rows
        for draft in sources:
            shared = self.shared_rows(draft, op, common, reads, reduces)
            if shared is None or not all(_can_coarsen(other, shared) for other in merged):
                continue
            together = [*merged, draft]
            if self.may_join(op, together) and self.agree_on_rows(together, shared):
                merged, common = together, shared
        reduces = reduces or common != rows or any(draft.reduces for draft in merged)
        self.join(op, merged, Draft([], common, reduces=reduces))

    def is_epilogue(self, op: GraphOp, anchor: Draft, reads: Sequence[Access]) -> bool:
        """Whether `op` works on just the elements that the anchor's kernel has at hand."""
        space = shape_of(op.result)
        if not anchor.is_anchored or anchor.rows != squeezed(space):
            return False
        return all(reads_own_element(read, space) for read in self.reads_of(anchor, reads))

    def join_epilogue(
        self, op: GraphOp, anchor: Draft, sources: Sequence[Draft], reads: Sequence[Access]
    ) -> None:
        """Join `anchor`, together with side inputs that nobody else needs."""
        space = shape_of(op.result)
        merged = [anchor]
        for draft in sources:
            is_side_input = (
                draft.rows == anchor.rows
                and not draft.is_anchored
                and not draft.reduces
                and self.is_needed_only_by(draft, op)
                and all(reads_own_element(read, space) for read in self.reads_of(draft, reads))
            )
            if is_side_input and self.may_join(op, [*merged, draft]):
                merged.append(draft)
        self.join(op, merged, Draft([], anchor.rows, is_anchored=True))

    def shared_rows(
        self, draft: Draft, op: GraphOp, rows: Shape, reads: Sequence[Access], reduces: bool
    ) -> Shape | None:
        """The rows over which `op` (so far over `rows`) and `draft` can work together."""
        if draft.is_anchored or draft.rows is None:
            return None
        space = index_space(op)
        candidates = [rows] if reduces else [draft.rows, _common_prefix(draft.rows, rows)]
        for shared in candidates:
            fits = rows[: len(shared)] == shared and _can_coarsen(draft, shared)
            if not fits or not (reduces or shared == rows or worth_sharing(space, shared)):
                continue
            if all(reads_own_row(read, space, shared) for read in self.reads_of(draft, reads)):
                return shared
        return None

    def agree_on_rows(self, drafts: Sequence[Draft], rows: Shape) -> bool:
        """Whether what one of `drafts` reads from another lies in its own row, too: they may have
        stayed apart because it does not."""
        for draft in drafts:
            others = [other for other in drafts if other is not draft]
            for member in draft.ops if others else ():
                space, reads = index_space(member), accesses(member, self.position)
                crossing = [read for other in others for read in self.reads_of(other, reads)]
                if not all(reads_own_row(read, space, rows) for read in crossing):
                    return False
        return True

    def reads_of(self, draft: Draft, reads: Iterable[Access]) -> list[Access]:
        """Those of `reads` that read a result of `draft`."""
        return [r for r in reads if self.draft_of(r.source) is draft]

    def draft_of(self, value: SSAValue) -> Draft | None:
        """The group that computes `value`; None for arguments, weights and constants."""
        return self.home.get(value.owner) if isinstance(value.owner, Operation) else None

    def take_sole_producers(self, op: GraphOp, values: Iterable[SSAValue]) -> Draft:
        """Move the pointwise ops that compute just what `op` reads through `values`, and that
        nobody else reads, out of their groups into one of their own.
        """
        taken: list[GraphOp] = []
        readers: set[Operation] = {op}
        pending = producers(op, self.position, values)
        while pending:
            # Latest first, so that all readers of an op are decided before the op is.
            producer = max(pending, key=self.position.__getitem__)
            pending = [other for other in pending if other is not producer]
            draft = self.home[producer]
            if not isinstance(producer, ELEMENTWISE) or draft.is_anchored:
                continue
            if not all(may_follow(reader, producer) for reader in readers):
                continue
            near = all(reads_directly(r, producer, self.position) for r in readers)
            if self.consumers[producer] <= readers and near:
                taken.append(producer)
                readers.add(producer)
                pending += producers(producer, self.position)
        for member in taken:
            self.home[member].ops.remove(member)
        return Draft(taken, None)

    def is_needed_only_by(self, draft: Draft, op: GraphOp) -> bool:
        """Whether nothing outside of `draft` but `op` reads it."""
        inside = {*draft.ops, op}
        return all(self.consumers[member] <= inside for member in draft.ops)

    def may_join(self, op: GraphOp, merged: Sequence[Draft]) -> bool:
        """Whether `merged` and `op` make one group of bearable size that no path leaves and
        enters again.
        """
        if sum(len(draft.ops) for draft in merged) >= LARGEST_GROUP:
            return False
        inside = set(merged)
        first = min(self.first_position(draft) for draft in merged)
        members = [op, *(member for draft in merged for member in draft.ops)]
        pending = [self.home[p] for m in members for p in producers(m, self.position) if m is not p]
        seen = set(inside)
        while pending:
            draft = pending.pop()
            # What ends before the group starts cannot depend on it.
            if draft in seen or self.last_position(draft) < first:
                continue
            seen.add(draft)
            before = {self.home[p] for m in draft.ops for p in producers(m, self.position)}
            if before & inside:
                return False
            pending += before
        return True

    def join(self, op: GraphOp, merged: Sequence[Draft], result: Draft) -> None:
        """Make `op` and all of `merged` the group `result`."""
        result.ops = [member for draft in merged for member in draft.ops] + [op]
        for member in result.ops:
            self.home[member] = result

    def first_position(self, draft: Draft) -> int:
        """Where in main the draft starts."""
        return min(self.position[op] for op in draft.ops)

    def last_position(self, draft: Draft) -> int:
        """Where in main the draft ends."""
        return max(self.position[op] for op in draft.ops)


def is_widened_once(op: AttentionOp, value: SSAValue) -> bool:
    """Whether keys or values come from integers or shorter floats, as of a cache that is stored in
    few bits, and have one query each.

    Widened where they are used, they are read as they are stored and never written as floats.
    """
    pending, is_cast = [value], False
    while pending and not is_cast:
        source = pending.pop().owner
        if isinstance(source, CastOp):
            is_cast = _is_widened(element_of(source.source), element_of(source.result))
        if isinstance(source, ELEMENTWISE):
            pending += source.operands
    return is_cast and bounds_of(op.query)[-2] == 1


def _is_widened(before: Attribute, after: Attribute) -> bool:
    if isinstance(before, AnyFloat) and isinstance(after, AnyFloat):
        return before.bitwidth < after.bitwidth
    return isinstance(before, IntegerType)


def _most(shape: Shape) -> int:
    """The largest number of elements of a tensor of `shape`."""
    return prod(upper_bound(n) for n in shape)


def worth_sharing(space: Shape, rows: Shape) -> bool:
    """Whether pointwise work over `space` may go to the threads by whole `rows`."""
    count, work = _most(rows), _most(space)
    return count >= MANY_ROWS or work <= LITTLE_WORK or (count >= SOME_ROWS and work >= MUCH_WORK)


def _divides(op: ViewOp) -> bool:
    """Whether the source of `op` is indexed by quotients or remainders."""
    kinds = AffineBinaryOpKind.FloorDiv, AffineBinaryOpKind.Mod
    return any(
        isinstance(part, AffineBinaryOpExpr) and part.kind in kinds
        for expr in op.map.data.results
        for part in expr.dfs()
    )


def _can_coarsen(draft: Draft, rows: Shape) -> bool:
    """Whether `draft` works independently over `rows` too."""
    if draft.rows is None or draft.rows[: len(rows)] != rows:
        return False
    return draft.rows == rows or not draft.reduces


def _common_prefix(a: Shape, b: Shape) -> Shape:
    length = 0
    while length < min(len(a), len(b)) and a[length] == b[length]:
        length += 1
    return a[:length]
