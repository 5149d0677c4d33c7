"""The cheapest division of a program into stages that keeps within a budget: a shortest path.

Nodes are the places between steps. A step that fits is an edge without cost; steps first..end - 1
under a grid are an edge that costs the arithmetic that patches repeat. Stages do not influence each
other, because only whole tensors pass between them, so the shortest path is the best division.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from xdsl.ir import Operation

from ....dialects.graph import GraphOp, ReduceOp, shape_of
from ..groups import producers
from .backward import Backward
from .regions import FIRST_AXIS, axes_of, is_cuttable
from .stage import COMBINABLE, Grid, Stage
from .steps import Program


@dataclass(frozen=True)
class PatchedStage:
    """A stage, its grid, the arithmetic this adds, and the bytes it needs."""

    stage: Stage
    grid: Grid
    extra: int
    peak: int


Path = tuple[PatchedStage, ...]


class PatchSearch:
    """Remembers what stages of one program need, for several budgets."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._stages: dict[tuple[int, int], Stage | None] = {}
        self._backward: dict[GraphOp, Backward] = {}

    def cheapest(self, budget: int) -> Path | None:
        """The stages with the least extra arithmetic within `budget`; None where none fit."""
        live = self.program.live
        # (operations, patches, stages) up to each place between steps
        best: list[tuple[int, int, Path] | None] = [(0, 0, ()), *(None for _ in live)]
        for first, size in enumerate(live):
            here = best[first]
            if here is None:
                continue
            cost, patches, path = here
            options = [(first + 1, (cost, patches, path))] if size <= budget else []
            for end in self.ends(first):
                # patches where everything fits as it is would only cost
                if max(live[first:end]) <= budget:
                    continue
                known = best[end]
                found = self.within(first, end, budget, None if known is None else known[0] - cost)
                if found is not None:
                    more = cost + found.extra, patches + found.grid.patches, (*path, found)
                    options.append((end, more))
            for end, option in options:
                known = best[end]
                if known is None or option[:2] < known[:2]:
                    best[end] = option
        last = best[-1]
        return None if last is None else last[2]

    def least(self) -> int:
        """The smallest budget that some stages keep."""
        live = self.program.live
        best = [0, *(max(live, default=0) for _ in live)]
        for first, size in enumerate(live):
            best[first + 1] = min(best[first + 1], max(best[first], size))
            for end in self.ends(first):
                if best[first] >= best[end] or max(live[first:end]) <= best[first]:
                    continue
                stage = self._stages[first, end]
                assert stage is not None
                for _, grid in stage.grids:
                    best[end] = min(best[end], max(best[first], stage.peak(grid)))
        return best[-1]

    def within(self, first: int, end: int, budget: int, below: int | None) -> PatchedStage | None:
        """The grid that fits and adds the least arithmetic, not more than `below`."""
        stage = self._stages[first, end]
        assert stage is not None
        for extra, grid in stage.grids:
            if below is not None and extra > below:
                return None
            found = self.patched(stage, grid, extra)
            if found.peak <= budget:
                return found
        return None

    def patched(self, stage: Stage, grid: Grid, extra: int) -> PatchedStage:
        """A stage under a grid that adds `extra` operations."""
        return PatchedStage(stage, grid, extra, stage.peak(grid))

    def ends(self, first: int) -> Iterator[int]:
        """Where a stage that starts at `first` may end."""
        for end in range(first + 1, len(self.program.steps) + 1):
            if self.stage(first, end) is not None:
                yield end
            if not all(is_cuttable(op) for op in self.program.steps[end - 1].ops):
                return

    def stage(self, first: int, end: int) -> Stage | None:
        """Steps first..end - 1, where they have one lasting result and can be cut."""
        key = first, end
        if key not in self._stages:
            self._stages[key] = self._find_stage(first, end)
        return self._stages[key]

    def _find_stage(self, first: int, end: int) -> Stage | None:
        program = self.program
        lasting: list[GraphOp] = [
            op
            for step in program.steps[first:end]
            for op in step.writes
            if op in program.returned or program.last_use(op) >= end
        ]
        if len(lasting) != 1 or program.home[lasting[0]] != end - 1:
            return None
        result, reduce = lasting[0], self._reduction(first, end)
        if reduce is not None:
            source = reduce.source.owner
            assert isinstance(source, GraphOp)
            result = source
        if 0 in shape_of(result.result) or axes_of(result.result) == 0:
            return None
        if result not in self._backward:
            self._backward[result] = Backward(program, result)
        stage = Stage(program, first, end, self._backward[result], reduce)
        return stage if stage.is_cuttable() else None

    def _reduction(self, first: int, end: int) -> ReduceOp | None:
        """The reduction over all axes that the last step starts with, where the steps before
        compute only what it reduces.
        """
        program = self.program
        op, *others = program.steps[end - 1].ops
        if not isinstance(op, ReduceOp):
            return None
        source = op.source.owner
        if not isinstance(source, Operation) or program.home.get(source, -1) < first:
            return None
        axes = list(range(FIRST_AXIS, FIRST_AXIS + axes_of(op.source)))
        read = {p for other in others for p in producers(other, program.home)}
        if [d.data for d in op.dims] != axes or op.fn.data not in COMBINABLE:
            return None
        return None if any(first <= program.home[p] < end - 1 for p in read) else op
