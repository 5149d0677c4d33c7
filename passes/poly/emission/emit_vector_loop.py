"""A vector loop: strips of whole vectors, then one masked vector for the rest.

    for j = lo; j + L <= hi + 1; j += L: S(j : j + L)        unmasked
    S(j : hi + 1)                                            masked, if anything is left

Stencils do the last L iterations once more instead of masking: a later load of neighbours would
wait until a masked store is in the cache, where it takes whole ones from the store buffer.

A loop that always stays within lanes 0 .. L - 1 is one vector, masked where it does not fill it.
Reductions into one element for all iterations are kept in vectors until the loop ends.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations
from math import gcd
from typing import TYPE_CHECKING

from xdsl.dialects import scf
from xdsl.dialects.builtin import IndexType
from xdsl.ir import Block, Region, SSAValue

from ....dialects.schedule import Band
from .emit_statement import StatementEmitter
from .index_expr import IndexBuilder
from .linear import Atom, Linear
from .loop_ast import AstNode, Copy, Loop, Mark, Sequence, User, direct_users, mentions

if TYPE_CHECKING:
    from .emit_loops import LoopEmitter

MOST_VECTORS = 4  # in flight per reduction: multiply-add takes 4 cycles, and 1 to 2 start in each


def emit_vector_loop(emitter: LoopEmitter, node: Loop, band: Band) -> None:
    """Append `node` with `band.lanes` iterations at a time."""
    index, lanes = emitter.index(), band.lanes
    first, last = emitter.bounds(node, index)
    if (last - first).high < 0:
        return
    loop = _VectorLoop(emitter, node, band)
    starts_inside = first == Linear() or not first.is_constant
    if node.step == 1 and first.low >= 0 and last.high < lanes and starts_inside:

        def one_vector() -> None:
            mask = emitter.index().lane_range(first, last, lanes)
            loop.vector(Linear(), mask, first.low, last.high)

        emitter.branch_if_positive(last - first + Linear(1), one_vector)
        return
    count = index.divide(last - first, node.step) + Linear(1)
    emitter.branch_if_positive(count, lambda: loop.strips(first, last, count))


@dataclass
class _VectorLoop:
    """The vectors of one loop. `totals` are the accumulators of each reduction kept in vectors,
    `variables` those of the loops around it."""

    emitter: LoopEmitter
    node: Loop
    band: Band
    totals: dict[Copy, list[SSAValue]] = field(default_factory=dict)
    variables: dict[Copy, dict[str, Linear]] = field(default_factory=dict)

    def vector(self, start: Linear, mask: SSAValue | None, low: int, high: int) -> None:
        """The instances `start + step * lane` for the lanes in `mask`, all of them low .. high."""
        e = self.emitter
        outer = (e.lanes, e.mask)
        e.lanes, e.mask = self.band.lanes, mask
        lane = Atom(self.node.iterator, low, high, None, lane=True)
        e.at(self.node, start + Linear(0, ((lane, self.node.step),)), self.band)
        e.lanes, e.mask = outer

    def strips(self, first: Linear, last: Linear, count: Linear) -> None:
        """All vectors of at least one iteration: `count` of them from `first` to `last`."""
        lanes, step = self.band.lanes, self.node.step
        if count.high > lanes:
            self._start_reductions(count.high // lanes)
        rest = self.emitter.index().remainder(count, lanes)
        if count.high >= lanes:
            self._strip_loops(first, last, count)
        rest_start = first + (count - rest).times(step)

        def masked() -> None:
            mask = self.emitter.index().first_lanes(rest, lanes)
            for copy, totals in self.totals.items():
                self.emitter.accumulators[copy] = totals[0]
            self.vector(rest_start, mask, 0, min(rest.high, lanes - 1) - 1)
            for copy, totals in self.totals.items():
                totals[0] = self.emitter.accumulators.pop(copy)

        def remaining() -> None:
            if count.high < lanes or not self._is_repeatable_stencil():
                masked()
                return
            short = Linear(lanes) - count
            if short.low >= 1:
                masked()
            elif short.high < 1:
                again()
            else:
                self.emitter.branch(self.emitter.index().less_than(Linear(), short), masked, again)

        def again() -> None:
            self.vector(first + (count - Linear(lanes)).times(step), None, 0, lanes - 1)

        if self.totals and rest.high >= 1:
            masked()  # values cannot leave a branch here, and an empty mask does no harm
        else:
            self.emitter.branch_if_positive(rest, remaining)
        self._finish_reductions()

    def _is_repeatable_stencil(self) -> bool:
        """Whether iterations may run twice, none reading what another writes, and elements are
        read from several places."""
        statements = [user.statement for user in direct_users(self.node.body) or ()]
        targets = {s.target for s in statements}
        if len(targets) < len(statements) or any(s.reduction is not None for s in statements):
            return False
        reads = [list(zip(s.sources, s.read_maps, strict=True)) for s in statements]
        if any(array in targets for pairs in reads for array, _ in pairs):
            return False
        return any(
            array is other and one != two
            for pairs in reads
            for (array, one), (other, two) in combinations(pairs, 2)
        )

    def _start_reductions(self, vectors: int) -> None:
        """Neutral lanes for every reduction that can stay in registers during this loop: its
        target does not vary, and nothing else in the loop touches that array."""
        copies = self._copies(self.node.body, self.emitter.copies, self.emitter.env)
        if copies is None:
            return
        self.variables = copies
        users = {user for user, _ in copies}
        is_jammed = len(users) < len(copies)
        kept = []
        for user, copy in copies:
            s = user.statement
            others = [u.statement for u in users if u is not user]
            touched = {array for o in others for array in (o.target, *o.sources)}
            touched |= set(s.sources[1:]) if is_jammed else set()
            varies = any(mentions(e, self.node.iterator) for e in user.accesses[0])
            if s.reduction is not None and not varies and s.target not in touched:
                kept.append((user, copy))
        if not kept:
            return
        parts = max(1, min(MOST_VECTORS // len(kept), vectors // 2))
        statement_emitter = self._statement_emitter()
        for user, copy in kept:
            s = user.statement
            start = statement_emitter.neutral_lanes(s, self.emitter.arrays[s.target])
            self.totals[user, copy] = [start] * parts

    def _copies(
        self, node: AstNode, copy: tuple[int, ...], env: dict[str, Linear]
    ) -> dict[Copy, dict[str, Linear]] | None:
        """The statements of a body without guards, in every copy of unrolled loops of constant
        trip counts, with `env` and the variables of these loops; None for any other body."""
        match node:
            case User():
                return {(node, copy): env}
            case Mark(axis, Loop() as loop) if self.emitter.bands[axis].kind == "unroll":
                return self._unrolled_copies(loop, copy, env)
            case Mark(_, body):
                return self._copies(body, copy, env)
            case Sequence(children):
                return _all([self._copies(child, copy, env) for child in children])
            case _:
                return None

    def _unrolled_copies(
        self, loop: Loop, copy: tuple[int, ...], env: dict[str, Linear]
    ) -> dict[Copy, dict[str, Linear]] | None:
        if any(mentions(bound, self.node.iterator) for bound in (loop.first, loop.last)):
            return None
        first, last = self.emitter.bounds(loop, IndexBuilder(None, env))
        span = last - first
        if not span.is_constant or span.constant < 0:
            return None
        count = span.constant // loop.step + 1
        return _all(
            [
                self._copies(
                    loop.body,
                    (*copy, k) if count > 1 else copy,
                    {**env, loop.iterator: first + Linear(k * loop.step)},
                )
                for k in range(count)
            ]
        )

    def _finish_reductions(self) -> None:
        for (user, copy), totals in self.totals.items():
            index = self.emitter.index()
            index.env = self.variables[user, copy]
            access = [index.evaluate(e) for e in user.accesses[0]]
            target = self.emitter.arrays[user.statement.target]
            self._statement_emitter().finish(user.statement, target, access, totals)

    def _statement_emitter(self) -> StatementEmitter:
        index = self.emitter.index()
        index.lanes = self.band.lanes
        return StatementEmitter(index, None, self.emitter.fma)

    def _strip_loops(self, first: Linear, last: Linear, count: Linear) -> None:
        """All whole vectors: several per iteration where there are several accumulators."""
        reach = self.band.lanes * self.node.step
        copies = max([len(t) for t in self.totals.values()], default=1)
        if copies == 1:
            self._strip_loop(first, self._last_start(first, last, count, 1), 1)
            return
        self._strip_loop(first, self._last_start(first, last, count, copies), copies)
        # What the long strips leave over: fewer than `copies` whole vectors.
        long = self.emitter.index().divide(count, self.band.lanes * copies)
        start = first + long.times(reach * copies)
        left = count - long.times(self.band.lanes * copies)
        self._strip_loop(start, self._last_start(start, last, left, 1), 1)

    def _last_start(self, first: Linear, last: Linear, count: Linear, vectors: int) -> Linear:
        """The last value at which a strip of `vectors` vectors can start."""
        step, size = self.node.step, self.band.lanes * vectors
        if count.is_constant:  # without the min and max of the loop's own bounds
            return first + Linear((count.constant - size) * step)
        return last - Linear((size - 1) * step)

    def _strip_loop(self, first: Linear, end: Linear, vectors: int) -> None:
        """Strips of `vectors` whole vectors starting at `first` and up to `end`."""
        reach = self.band.lanes * self.node.step
        span = end - first
        if span.high < 0:
            return
        if span.is_constant and span.constant < reach * vectors:
            self._strip(first, vectors)
            return
        index = self.emitter.index()
        bounds = (index.materialize(first), index.materialize(end + Linear(1)))
        step = index.constant(reach * vectors)
        inits = [total for totals in self.totals.values() for total in totals[:vectors]]
        block = Block(arg_types=[IndexType(), *(v.type for v in inits)])
        block.args[0].name_hint = self.band.axis.replace(".", "_")
        loop = scf.ForOp(*bounds, step, inits, Region(block))
        self.emitter.block.add_op(loop)
        self._set_totals(vectors, list(block.args[1:]))
        atom = Atom(self.node.iterator, first.low, max(first.low, end.high), block.args[0])
        if first.is_constant:
            atom.multiple = gcd(first.constant, reach * vectors)
        self.emitter.inside(block, lambda: self._strip(Linear(0, ((atom, 1),)), vectors))
        block.add_op(scf.YieldOp(*(t for ts in self.totals.values() for t in ts[:vectors])))
        self._set_totals(vectors, list(loop.results))

    def _set_totals(self, vectors: int, values: list[SSAValue]) -> None:
        """Replace the first `vectors` accumulators of every reduction."""
        for k, totals in enumerate(self.totals.values()):
            totals[:vectors] = values[k * vectors : (k + 1) * vectors]

    def _strip(self, start: Linear, vectors: int) -> None:
        """`vectors` whole vectors in a row."""
        lanes = self.band.lanes
        for k in range(vectors):
            for copy, totals in self.totals.items():
                self.emitter.accumulators[copy] = totals[k]
            self.vector(start + Linear(k * lanes * self.node.step), None, 0, lanes - 1)
            for copy, totals in self.totals.items():
                totals[k] = self.emitter.accumulators.pop(copy)


def _all(parts: list[dict[Copy, dict[str, Linear]] | None]) -> dict[Copy, dict[str, Linear]] | None:
    """All of `parts` in one; None where one is."""
    found: dict[Copy, dict[str, Linear]] = {}
    for part in parts:
        if part is None:
            return None
        found |= part
    return found
