"""Consecutive steps whose only lasting result is computed patch by patch: bytes and arithmetic.

All sizes are exact; where windows of neighbouring patches overlap, elements are computed again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import prod

import numpy as np

from ....dialects.graph import ReduceOp, shape_of
from ...loops.allocate_arena import ALIGNMENT
from .arithmetic import operations
from .backward import Backward, Member, Numbers
from .regions import FIRST_AXIS, axes_of
from .steps import Program, aligned, bytes_of

# Reductions of parts, reduced once more, are those of the whole.
COMBINABLE = {"sum", "prod", "max", "min", "maxnum"}


@dataclass(frozen=True)
class Grid:
    """One way to cut each axis: the position in its `Cuts`, the number of patches."""

    choice: tuple[int, ...]
    counts: tuple[int, ...]

    @property
    def patches(self) -> int:
        """How many there are."""
        return prod(self.counts)

    def __str__(self) -> str:
        return " x ".join(map(str, self.counts))


class Stage:
    """Steps first..end - 1 of a program, whose result is that of `backward`.

    With `reduce`, the last step is a reduction of that result over all its axes: patches are
    reduced one by one, and are never joined.
    """

    def __init__(
        self,
        program: Program,
        first: int,
        end: int,
        backward: Backward,
        reduce: ReduceOp | None = None,
    ) -> None:
        self.program, self.first, self.end, self.backward = program, first, end, backward
        self.result, self.reduce = backward.result, reduce
        self.members: Sequence[Member] = [m for m in backward.members if m.step >= first]

    def is_cuttable(self) -> bool:
        """Whether every op can be cut, and these steps compute nothing else."""
        found = {member.op for member in self.members}
        end = self.end if self.reduce is None else self.end - 1
        steps = self.program.steps[self.first : end]
        return all(
            m.is_possible and m.step < end and axes_of(m.op.result) == self.backward.axes
            for m in self.members
        ) and all(op in found for step in steps for op in step.ops)

    @cached_property
    def grids(self) -> list[tuple[int, Grid]]:
        """(extra operations, grid) of all grids of more than one patch, the cheapest first."""
        cuts = self.backward.cuts
        totals = []
        for axis, cut in enumerate(cuts):
            sizes = [m.parts[axis].sizes for m in self.members]
            totals.append(np.array([[size[s].sum() for s in cut.slices] for size in sizes]))
        weights = np.array([m.operations for m in self.members])
        found = []
        for choice in product(*(range(len(cut.sizes)) for cut in cuts)):
            grid = Grid(choice, tuple(s.stop - s.start for s in self._cut_at(choice)))
            work = weights.copy()
            for total, k in zip(totals, choice, strict=True):
                work *= total[:, k]
            found.append((int(work.sum()), grid))
        plain = sum(operations(m.op) for m in self.members)
        # results of patches are reduced once more
        each = 0 if self.reduce is None else prod(shape_of(self.reduce.result))
        return sorted(
            (
                (work - plain + each * grid.patches, grid)
                for work, grid in found
                if grid.patches > 1
            ),
            # rows stay whole where columns would not be better
            key=lambda item: (item[0], item[1].patches, [-n for n in item[1].counts]),
        )

    def slices(self, grid: Grid) -> list[slice]:
        """Where the patches of `grid` are in the parts of each axis."""
        return self._cut_at(grid.choice)

    def _cut_at(self, choice: tuple[int, ...]) -> list[slice]:
        cuts = self.backward.cuts
        return [cut.slices[k] for cut, k in zip(cuts, choice, strict=True)]

    @cached_property
    def _written(self) -> list[Member]:
        """What is in the arena during a patch; the result of the stage is the last."""
        written = {op for s in self.program.steps[self.first : self.end] for op in s.writes}
        return [m for m in self.members if m.op in written]

    @cached_property
    def _is_live(self) -> Numbers:
        """1 where a tensor is in the arena during a step; [step, tensor]."""
        last_use = self.program.last_use
        return np.array(
            [
                [int(m.step <= step <= min(last_use(m.op), self.end - 1)) for m in self._written]
                for step in range(self.first, self.end)
            ]
        )

    @cached_property
    def around(self) -> tuple[int, Numbers]:
        """Bytes that live through the stage; those that it still reads, step by step."""
        program = self.program
        inputs = program.read_inside(self.first, self.end)
        return program.carried(self.first, self.end), np.array(inputs)

    @cached_property
    def joined(self) -> int:
        """Bytes of the whole result in the arena, or of its reduction."""
        result = self.result if self.reduce is None else self.reduce
        return 0 if result in self.program.returned else aligned(bytes_of(result.result))

    def peak(self, grid: Grid) -> int:
        """The most bytes that live at once, with all that lives through the stage."""
        sizes = np.array([[m.bytes] for m in self._written])
        for axis, where in enumerate(self.slices(grid)):
            lengths = np.array([m.parts[axis].sizes[where] for m in self._written])
            sizes = (sizes[:, :, None] * lengths[:, None, :]).reshape(len(sizes), -1)
        sizes = -(-sizes // ALIGNMENT) * ALIGNMENT
        before, joining = self._results(grid, sizes[-1])
        kept, inputs = self.around
        live = self._is_live @ sizes + before
        if self.reduce is not None:
            live[-1] += aligned(bytes_of(self.reduce.result))
        live[:, :-1] += inputs[0]  # all patches need them; of the last one only what is still read
        live[:, -1] += inputs
        live += self._own_arrays(grid)
        return kept + max(int(live.max()), joining)

    def _own_arrays(self, grid: Grid) -> Numbers:
        """Bytes that the kernels of a patch alone need; [step, patch].

        Weights are read whole. Buffers are taken to be in proportion to what windows cover, borders
        included, which is exact for padded copies.
        """
        own = self.program.own_arrays[self.first : self.end]
        found = np.array([[arrays.weights] for arrays in own])
        if not any(arrays.buffers for arrays in own):
            return found
        shares = np.ones((len(self.members), 1))
        for axis, where in enumerate(self.slices(grid)):
            parts = np.array([m.covered[axis][where] / m.covered[axis][0] for m in self.members])
            shares = (shares[:, :, None] * parts[:, None, :]).reshape(len(shares), -1)
        steps = np.array([member.step for member in self.members])
        buffers = [
            arrays.buffers * shares[steps == step].max(axis=0, initial=0)
            for step, arrays in enumerate(own, self.first)
        ]
        return found + -(-np.ceil(buffers).astype(np.int64) // ALIGNMENT) * ALIGNMENT

    def _results(self, grid: Grid, outputs: Numbers) -> tuple[Numbers, int]:
        """(bytes of results before each patch, the most bytes while results are joined).

        Rows of patches are joined when they are complete, and these then. Reductions of patches
        are joined at the end, and reduced.
        """
        if self.reduce is not None:
            size = bytes_of(self.reduce.result)
            before = np.arange(grid.patches) * aligned(size)
            together = aligned(size * grid.patches)
            return before, together + max(grid.patches * aligned(size), self.joined)
        rows = outputs.reshape(grid.counts[0], -1)
        if len(rows) == 1 or rows.shape[1] == 1:
            before = np.cumsum(outputs) - outputs
            return before, int(outputs.sum()) + self.joined
        strips = self.strip_bytes(grid)
        earlier = np.cumsum(strips) - strips
        before = earlier[:, None] + np.cumsum(rows, axis=1) - rows
        joining = int((earlier + rows.sum(axis=1) + strips).max())
        return before.reshape(-1), max(joining, int(strips.sum()) + self.joined)

    def strip_bytes(self, grid: Grid) -> Numbers:
        """Bytes of each row of patches, joined."""
        shape = shape_of(self.result.result)
        heights = self.backward.cuts[0].patches.sizes[self.slices(grid)[0]]
        whole = self._written[-1].bytes * prod(shape[FIRST_AXIS + 1 :])
        return -(-heights * whole // ALIGNMENT) * ALIGNMENT
