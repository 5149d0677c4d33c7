"""Which tensors are computed again, before which steps, and which stages run patch by patch.

One integer program decides both, in the manner of Moccasin (Bartan et al., 2023): every tensor has
intervals in which it is in the arena, that begin where it is computed, or computed again just
before a step that needs it, and the bytes of all that overlap keep the budget at every step. Steps
stay in their order; stages that run patch by patch cover them as in the shortest path of
`patches/search.py`, with the bytes of what lives around them chosen too.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array

from ....dialects.graph import GraphOp
from ..patches.search import PatchedStage, PatchSearch
from .tensors import Kept, index_of, kept_tensors

MOST_NODES = 200  # of the branch and bound tree; a limit in seconds would depend on the machine
MOST_CHOICES = 1500  # computations that could be repeated; larger programs are left to patches
MOST_GRIDS = 8  # of one stage: the cheapest, and those that need less
PREFERENCE = 1e-6  # of the arithmetic of the program: between plans of equal cost, fewer changes


@dataclass(frozen=True)
class Again:
    """A tensor that is computed once more, just before a step."""

    tensor: Kept
    step: int

    @property
    def extra(self) -> int:
        """Operations this adds; before its first reader, a tensor is only computed later."""
        return 0 if self.step == self.tensor.readers[0] else self.tensor.operations


@dataclass(frozen=True)
class MemoryPlan:
    """Stages that run patch by patch, and what is computed again."""

    stages: tuple[PatchedStage, ...] = ()
    again: tuple[Again, ...] = ()

    @property
    def changes(self) -> Hashable:
        """What it makes of the program; equal for plans that make the same."""
        cut = tuple((s.stage.first, s.stage.end, s.grid) for s in self.stages)
        return cut, tuple((a.tensor.home, a.tensor.op, a.step) for a in self.again)

    @property
    def extra(self) -> int:
        """The operations it adds."""
        return sum(s.extra for s in self.stages) + sum(a.extra for a in self.again)


class Rows:
    """Linear constraints, row by row."""

    def __init__(self) -> None:
        self.entries: list[tuple[int, int, float]] = []
        self.low: list[float] = []
        self.high: list[float] = []

    def add(self, terms: Sequence[tuple[int, float]], low: float, high: float) -> None:
        """low <= sum of coefficient x variable <= high."""
        self.entries += [(len(self.low), column, value) for column, value in terms]
        self.low.append(low)
        self.high.append(high)

    def constraint(self, columns: int) -> LinearConstraint:
        """All of them over so many variables."""
        row, column, value = zip(*self.entries, strict=True)
        matrix = coo_array((value, (row, column)), shape=(len(self.low), columns))
        return LinearConstraint(matrix.tocsr(), self.low, self.high)


class RecomputeSearch:
    """The integer program of one program, for several budgets.

    Variables: `uses[e]`, edge e covers its steps; `again[t, i]`, tensor t is computed before step
    i; `held[t, i]`, t is in the arena during step i (follows from the others, so it is continuous).
    """

    def __init__(self, search: PatchSearch) -> None:
        self.search, self.program = search, search.program
        self.tensors = kept_tensors(search.program)
        self.at = index_of(self.tensors)

    @property
    def is_worth_trying(self) -> bool:
        """Whether some tensor waits for a later step, and the choices are not too many."""
        return 0 < sum(len(t.moments) for t in self.tensors) <= MOST_CHOICES

    def cheapest(self, budget: int, below: int | None) -> MemoryPlan | None:
        """The plan that adds the least arithmetic within `budget`, less than `below`; None where
        there is none, or nothing that could be computed again."""
        return _Model(self, budget, below).solve() if self.is_worth_trying else None

    def edges(self, budget: int, below: int | None) -> Iterator[PatchedStage]:
        """The stages and grids that could keep the budget if nothing else were in the arena."""
        live = self.program.live
        for first in range(len(live)):
            for end in self.search.ends(first):
                stage = self.search.stage(first, end)
                if stage is None or max(live[first:end]) <= budget:
                    continue
                around, best, count = self.program.carried(first, end), inf, 0
                for extra, grid in stage.grids:
                    if count == MOST_GRIDS or (below is not None and extra >= below):
                        break
                    found = self.search.patched(stage, grid, extra)
                    if found.peak < best and found.peak - around <= budget:
                        best, count = found.peak, count + 1
                        yield found


class _Model:
    """The variables and constraints for one budget."""

    def __init__(self, search: RecomputeSearch, budget: int, below: int | None) -> None:
        self.search, self.program, self.tensors = search, search.program, search.tensors
        self.budget, self.below, self.rows = budget, below, Rows()
        self.steps = len(self.program.steps)
        self.stages = list(search.edges(budget, below))
        self.count = 0
        self.uses = [self.variable() for _ in self.stages]
        self.alone = [self.variable() for _ in range(self.steps)]  # steps that are not cut
        self.again = {
            (k, step): self.variable() for k, t in enumerate(self.tensors) for step in t.moments
        }
        self.binary = self.count
        self.held = {
            (k, step): self.variable()
            for k, t in enumerate(self.tensors)
            for step in range(t.home, self.steps)
        }
        self.inside = [self._inside(t) for t in self.tensors]
        self.cover_steps()
        self.hold_tensors()
        self.keep_budget()

    def variable(self) -> int:
        """The column of a new variable."""
        self.count += 1
        return self.count - 1

    def _inside(self, tensor: Kept) -> list[int]:
        """The stages in which a tensor exists as patches only."""
        return [
            use
            for use, s in zip(self.uses, self.stages, strict=True)
            if s.stage.first <= tensor.home < s.stage.end and tensor.op is not lasting(s)
        ]

    def cover_steps(self) -> None:
        """Every step belongs to one stage, or runs alone."""
        for step in range(self.steps):
            covering = [
                (use, 1.0)
                for use, s in zip(self.uses, self.stages, strict=True)
                if s.stage.first <= step < s.stage.end
            ]
            self.rows.add([(self.alone[step], 1.0), *covering], 1, 1)

    def hold_tensors(self) -> None:
        """What a step reads is there: since it was computed, or computed again."""
        for k, tensor in enumerate(self.tensors):
            patches = [(use, 1.0) for use in self.inside[k]]
            for step in range(tensor.home, self.steps):
                held, again = self.held[k, step], self.again.get((k, step))
                self.rows.add([(held, 1.0), *patches], -inf, 1)
                if step == tensor.home or step in tensor.readers:
                    self.rows.add([(held, 1.0), *patches], 1, 1)
                if step > tensor.home:
                    terms = [(held, 1.0), (self.held[k, step - 1], -1.0)]
                    terms += [(again, -1.0)] if again is not None else []
                    self.rows.add(terms, -inf, 0)
                if again is not None:
                    self.compute_again(tensor, step, again)

    def compute_again(self, tensor: Kept, step: int, again: int) -> None:
        """Its sources have to be there, and neither it nor the step may be inside of a stage."""
        for source in tensor.sources:
            held = self.held[self.search.at[source], step]
            self.rows.add([(again, 1.0), (held, -1.0)], -inf, 0)
        for use, s in zip(self.uses, self.stages, strict=True):
            computed_in_patches = s.stage.first <= tensor.home < s.stage.end
            if computed_in_patches or s.stage.first < step < s.stage.end:
                self.rows.add([(again, 1.0), (use, 1.0)], -inf, 1)

    def keep_budget(self) -> None:
        """Bytes during each step, and around each stage."""
        for step in range(self.steps):
            own = sum(t.bytes for t in self.tensors if t.home == step)
            own += self.program.own_bytes(step)
            others = [
                (self.held[k, step], t.bytes) for k, t in enumerate(self.tensors) if t.home < step
            ]
            again = [
                (self.again[k, step], self.program.own_bytes(t.home))
                for k, t in enumerate(self.tensors)
                if (k, step) in self.again
            ]
            self.limit(self.alone[step], own, others + again)
        for use, s in zip(self.uses, self.stages, strict=True):
            first, end = s.stage.first, s.stage.end
            around = []
            for k, tensor in enumerate(self.tensors):
                if tensor.home >= first:
                    continue
                is_input = first <= self.program.last_use(tensor.op) < end
                step = end if is_input else first  # inputs are part of the stage's own bytes
                if step < self.steps:
                    around.append((self.held[k, step], tensor.bytes))
            self.limit(use, s.peak - self.program.carried(first, end), around)

    def limit(self, use: int, own: int, around: Sequence[tuple[int, int]]) -> None:
        """`own` bytes and those around fit, if `use` is chosen; in parts of the budget."""
        most = own + sum(size for _, size in around)
        if most <= self.budget:
            return
        slack = most - self.budget
        terms = [(column, size / self.budget) for column, size in around if size]
        self.rows.add([*terms, (use, slack / self.budget)], -inf, (most - own) / self.budget)

    def solve(self) -> MemoryPlan | None:
        """The best plan; None where nothing fits, or nothing was found in time."""
        extras = np.zeros(self.count)
        for use, s in zip(self.uses, self.stages, strict=True):
            extras[use] = s.extra
        for (k, step), column in self.again.items():
            extras[column] = Again(self.tensors[k], step).extra
        scale = max(1.0, float(extras.max()))
        costs = extras / scale
        costs[: self.binary] += PREFERENCE
        costs[self.alone] = 0.0
        if self.below is not None:
            self.rows.add(list(enumerate(extras / scale)), -inf, (self.below - 1) / scale)
        integrality = np.zeros(self.count)
        integrality[: self.binary] = 1
        found = milp(
            costs,
            integrality=integrality,
            bounds=Bounds(0, 1),
            constraints=self.rows.constraint(self.count),
            options={"node_limit": MOST_NODES, "mip_rel_gap": 1e-4},
        )
        if found.x is None:
            return None
        stages = [s for use, s in zip(self.uses, self.stages, strict=True) if found.x[use] > 0.5]
        again = [
            Again(self.tensors[k], step)
            for (k, step), column in self.again.items()
            if found.x[column] > 0.5
        ]
        return MemoryPlan(tuple(stages), tuple(again))


def lasting(patched: PatchedStage) -> GraphOp:
    """The one tensor that a stage leaves behind."""
    program, end = patched.stage.program, patched.stage.end
    (result,) = (
        op
        for op in program.steps[end - 1].writes
        if op in program.returned or program.last_use(op) >= end
    )
    return result
