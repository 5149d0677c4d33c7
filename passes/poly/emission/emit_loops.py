"""isl's AST as loops-level ops: `scf` loops and guards, vector instances, unrolled tiles."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from xdsl.dialects import arith, memref, scf
from xdsl.dialects.builtin import MemRefType, VectorType
from xdsl.ir import Block, Region, SSAValue

from ....dialects.errors import IllegalScheduleError
from ....dialects.schedule import Band
from ..storage import Place
from .emit_bound_loop import UNITS, emit_bound_loop
from .emit_parallel_loop import emit_parallel_loop
from .emit_sequential_loop import emit_sequential_loop
from .emit_statement import StatementEmitter
from .emit_tile import emit_tile
from .emit_vector_loop import emit_vector_loop
from .index_expr import IndexBuilder
from .linear import Linear
from .loop_ast import (
    AstNode,
    Copy,
    Guard,
    Loop,
    Mark,
    Sequence,
    User,
    has_bare_loop,
)
from .tile_planner import FullTile

MOST_COPIES = 64  # of the body of an unrolled loop whose trip count is not constant


@dataclass
class LoopEmitter:
    """Walks the AST and appends loops-level ops to `block`.

    In a vector loop `lanes` is its length and `mask` (None: all lanes) says which are alive;
    `accumulators` hold, lane by lane, reductions whose target is the same in every vector: one per
    statement and copy of it, `copies` being the copies of the unrolled loops around.
    `in_tile` says that full and partial tiles are told apart already, `tile` what is known of a
    full one, `refuted` the conditions that do not all hold in a partial one.
    `greatest` is the greatest value of a band's loop variable, in any iteration around it; None
    where that depends on sizes.
    """

    block: Block
    bands: dict[str, Band]
    places: dict[SSAValue, Place]
    arrays: dict[SSAValue, SSAValue]
    fma: bool
    greatest: Callable[[Band], int | None]
    env: dict[str, Linear] = field(default_factory=dict)
    lanes: int = 0
    mask: SSAValue | None = None
    accumulators: dict[Copy, SSAValue] = field(default_factory=dict)
    copies: tuple[int, ...] = ()
    tile: FullTile | None = None
    in_tile: bool = False
    refuted: tuple[frozenset[Linear], ...] = ()
    open_axes: frozenset[str] = frozenset()
    known: dict[Hashable, SSAValue] = field(default_factory=dict)
    strides: dict[SSAValue, list[SSAValue]] = field(default_factory=dict)

    def index(self) -> IndexBuilder:
        """A builder of index arithmetic at the insertion point."""
        return IndexBuilder(self.block, self.env, self.lanes, self.known, self.strides)

    def inside(self, block: Block, emit: Callable[[], None]) -> None:
        """Run `emit` with `block` as the insertion point; locals made inside stay inside."""
        outer = self.block
        self.block = block
        self._scoped(emit)
        self.block = outer

    def _scoped(self, emit: Callable[[], None]) -> None:
        """Run `emit`; locals made inside are forgotten after."""
        arrays, axes = self.arrays, self.open_axes
        self.arrays = dict(arrays)
        emit()
        self.arrays, self.open_axes = arrays, axes

    def allocate(self, axis: str) -> None:
        """Append the local arrays that live in the body of `axis`, once per scope."""
        if axis in self.open_axes:
            return
        self.open_axes |= {axis}
        for array, place in self.places.items():
            if place.axis != axis:
                continue
            assert isinstance(array.type, MemRefType)
            type = MemRefType(array.type.element_type, place.shape)
            op = memref.AllocaOp.get(array.type.element_type, 64, place.shape)
            assert op.memref.type == type
            op.memref.name_hint = array.name_hint
            self.block.add_op(op)
            self.arrays[array] = op.memref

    def emit(self, node: AstNode, band: Band | None = None) -> None:
        """Append the code of `node`; a loop without a mark of its own belongs to `band`."""
        if band is not None and not isinstance(node, Loop) and not has_bare_loop(node):
            # One iteration: isl may cut its body in pieces, which share the locals.
            self.allocate(band.axis)
            band = None
        match node:
            case Mark(axis, body):
                self.emit(body, self.bands[axis])
            case Sequence(children):
                for child in children:
                    self.emit(child, band)
            case Guard():
                self._emit_guard(node, band)
            case Loop():
                self._emit_loop(node, band)
            case User():
                self._emit_user(node)

    def _emit_guard(self, node: Guard, band: Band | None) -> None:
        condition = self.condition(node, self.index())
        other = node.other
        if isinstance(condition, bool):
            if condition:
                self.emit(node.then, band)
            elif other is not None:
                self.emit(other, band)
            return
        assert condition is not None
        if isinstance(condition.type, VectorType):
            self._in_lanes(condition, lambda: self.emit(node.then, band))
            if other is not None:
                true = arith.ConstantOp.from_int_and_width(1, 1)
                self.block.add_op(true)
                op = arith.XOrIOp(condition, self.index().splat(true.result))
                self.block.add_op(op)
                self._in_lanes(op.result, lambda: self.emit(other, band))
            return
        self.branch(
            condition,
            lambda: self.emit(node.then, band),
            (lambda: self.emit(other, band)) if other is not None else None,
        )

    def condition(self, node: Guard, index: IndexBuilder) -> bool | SSAValue | None:
        """Whether `node` runs: what is known of the tile, or its condition's value."""
        if self.tile is not None and node in self.tile.true:
            return True
        if self.tile is not None and node in self.tile.skipped:
            return False
        return index.condition(node.condition)

    def bounds(self, node: Loop, index: IndexBuilder) -> tuple[Linear, Linear]:
        """The first and the last value of a loop's variable."""
        bounds = (node.first, node.last)
        if self.tile is not None:
            bounds = self.tile.bounds.get(node, bounds)
        return index.evaluate(bounds[0]), index.evaluate(bounds[1])

    def _in_lanes(self, condition: SSAValue, emit: Callable[[], None]) -> None:
        """Run `emit` with the lanes switched off where `condition` is false."""
        outer = self.mask
        if outer is None:
            self.mask = condition
        else:
            op = arith.AndIOp(outer, condition)
            self.block.add_op(op)
            self.mask = op.result
        emit()
        self.mask = outer

    def branch(
        self, condition: SSAValue, then: Callable[[], None], other: Callable[[], None] | None = None
    ) -> None:
        """Append an `scf.if` around what `then` and `other` append."""
        blocks = [Block(), Block()] if other is not None else [Block()]
        op = scf.IfOp(condition, [], Region(blocks[0]), Region(blocks[1]) if other else None)
        self.block.add_op(op)
        for block, emit in zip(blocks, (then, other), strict=False):
            assert emit is not None
            self.inside(block, emit)
            block.add_op(scf.YieldOp())

    def branch_if_positive(self, count: Linear, then: Callable[[], None]) -> None:
        """Append what `then` appends, to be run where `count` is at least 1."""
        if count.high < 1:
            return
        if count.low >= 1:
            then()
            return
        self.branch(self.index().less_than(Linear(), count), then)

    def at(self, node: Loop, value: Linear, band: Band | None) -> None:
        """Append the body of `node` for the iteration `value`."""

        def emit() -> None:
            if band is not None:
                self.open_axes -= {band.axis}
                self.allocate(band.axis)
            emit_tile(self, node.body)

        self.env[node.iterator] = value
        self._scoped(emit)
        del self.env[node.iterator]

    def knowing(
        self,
        tile: FullTile | None,
        emit: Callable[[], None],
        refuted: tuple[frozenset[Linear], ...] = (),
    ) -> None:
        """Run `emit` for a full tile, or for others where `tile` is None: told apart again only
        where `refuted` says in which way they are not full."""
        outer = self.tile, self.in_tile, self.refuted
        self.tile, self.in_tile, self.refuted = tile, True, refuted
        emit()
        self.tile, self.in_tile, self.refuted = outer

    def _emit_loop(self, node: Loop, band: Band | None) -> None:
        if self.tile is not None and node in self.tile.skipped:
            return
        kind = band.kind if band is not None else "for"
        if band is not None and kind == "vector":
            emit_vector_loop(self, node, band)
            return
        index, step = self.index(), node.step
        first, last = self.bounds(node, index)
        span = last - first
        if span.high < 0:
            return
        if span.is_constant and span.constant < step:
            self.at(node, first, band)
            return
        if band is not None and kind == "unroll":
            self._emit_unrolled(node, band, first, span)
            return
        if band is not None and kind == "parallel":
            emit_parallel_loop(self, node, band, first, last)
            return
        if band is not None and kind in UNITS:
            emit_bound_loop(self, node, band, first, last)
            return
        emit_sequential_loop(self, node, band, first, last)

    def _emit_unrolled(self, node: Loop, band: Band, first: Linear, span: Linear) -> None:
        """One copy of the body per iteration, guarded where the trip count is not known."""
        step = node.step
        copies = span.high // step + 1
        if not span.is_constant and copies > MOST_COPIES:
            raise IllegalScheduleError(
                f"unroll: loop {band.axis!r} has up to {copies} iterations, and how many depends "
                f"on the loops around it; split it by at most {MOST_COPIES} first"
            )
        for k in range(copies):
            left = span + Linear(1 - k * step)
            value = first + Linear(k * step)
            outer, self.copies = self.copies, (*self.copies, k)
            self.branch_if_positive(left, lambda value=value: self.at(node, value, band))  # type: ignore[misc]
            self.copies = outer

    def loop_operands(
        self, first: Linear, last: Linear, step: int
    ) -> tuple[SSAValue, SSAValue, SSAValue]:
        """Lower bound, upper bound and step of an `scf` loop from `first` to `last`."""
        index = self.index()
        lower = index.materialize(first)
        return lower, index.materialize(last + Linear(1)), index.constant(step)

    def _emit_user(self, node: User) -> None:
        index = self.index()
        accesses = [[index.evaluate(e) for e in access] for access in node.accesses]
        dims = [index.evaluate(e) for e in node.dims]
        s = node.statement
        arrays = [self.arrays[a] for a in (s.target, *s.sources)]
        one = StatementEmitter(index, self.mask, self.fma)
        copy = (node, self.copies)
        if copy in self.accumulators:
            total = self.accumulators[copy]
            total = one.accumulate(s, arrays, accesses, dims, self.arrays, total)
            self.accumulators[copy] = total
        elif (
            self.mask is not None and s.reduction is None and not any(e.varies for e in accesses[0])
        ):
            # One element, so one lane at most: it may be that none is alive.
            self.branch(
                one.any_lane(),
                lambda: StatementEmitter(self.index(), self.mask, self.fma).emit(
                    s, arrays, accesses, dims, self.arrays
                ),
            )
        else:
            one.emit(s, arrays, accesses, dims, self.arrays)
