"""A program as steps (groups that become kernels) and the tensors that pass between them.

What is kept here is what a memory plan depends on: which step writes a tensor, which steps read it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

from xdsl.dialects.builtin import IndexType
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Operation, SSAValue

from ....dialects.graph import GraphOp, WeightOp, element_of, shape_of
from ...loops.allocate_arena import ALIGNMENT, ArenaPlan, Lifetime, allocate_arena
from ..fusion_rules import RuleGrouping
from ..groups import ordered_groups, producers
from ..layout_access import under_reshapes


def bytes_of(value: SSAValue) -> int:
    """Size in memory; a boolean takes one byte."""
    element = element_of(value)
    bits = 64 if isinstance(element, IndexType) else getattr(element, "bitwidth", 8)
    return prod(shape_of(value)) * max(1, bits // 8)


def aligned(size: int) -> int:
    """What an array of `size` bytes takes in the arena."""
    return -(-size // ALIGNMENT) * ALIGNMENT


@dataclass(frozen=True, eq=False)
class Step:
    """One kernel: its ops, the ops whose results it writes to memory."""

    ops: tuple[GraphOp, ...]
    writes: tuple[GraphOp, ...]


@dataclass(frozen=True)
class OwnArrays:
    """Bytes that a kernel alone needs while it runs: buffers, and weights that it fetches."""

    buffers: int
    weights: int


class Program:
    """The steps of `main`, in order, and how long each tensor in the arena lives.

    Where weights are `streamed`, those of a step are in the arena while it runs. `own_arrays` are
    what the kernels of the steps were found to need; without them only weights are known.
    """

    def __init__(
        self,
        main: FuncOp,
        threads: int = 1,
        streamed: bool = False,
        own_arrays: Sequence[OwnArrays] | None = None,
    ) -> None:
        self.main, self.streamed = main, streamed
        groups = ordered_groups(RuleGrouping().groups(main, threads), main)
        self.home: dict[Operation, int] = {
            op: step for step, group in enumerate(groups) for op in group.ops
        }
        self._levels: dict[Operation, int] = {}
        self._readers: dict[Operation, list[int]] = {}
        for step, group in enumerate(groups):
            for op in group.ops:
                for producer in producers(op, self.home):
                    if self.home[producer] != step:
                        self._readers.setdefault(producer, []).append(step)
        end = main.body.block.last_op
        assert isinstance(end, ReturnOp)
        returned = {under_reshapes(value).owner for value in end.arguments}
        # results of the model are written to the caller's arrays
        self.returned = {op for op in self.home if op in returned}
        self.steps: Sequence[Step] = [
            Step(
                group.ops,
                tuple(op for op in group.ops if op in self._readers or op in self.returned),
            )
            for group in groups
        ]
        self.own_arrays = own_arrays or [
            OwnArrays(0, sum(aligned(bytes_of(weight)) for weight in self.weights(number)))
            for number in range(len(self.steps))
        ]

    def level(self, op: Operation) -> int:
        """The step of `op`; of a layout op the last step it shows; -1 without any (constants)."""
        if op in self.home:
            return self.home[op]
        if op not in self._levels:
            owners = [v.owner for v in op.operands if isinstance(v.owner, Operation)]
            self._levels[op] = max(map(self.level, owners), default=-1)
        return self._levels[op]

    def readers_of(self, op: GraphOp) -> list[int]:
        """The steps that read the result of `op`, in order."""
        return list(dict.fromkeys(self._readers.get(op, ())))

    def last_use(self, op: GraphOp) -> int:
        """The last step that reads the result of `op`."""
        return self._readers[op][-1] if op in self._readers else self.home[op]

    @cached_property
    def lifetimes(self) -> list[Lifetime]:
        """One per tensor in the arena."""
        written = [
            Lifetime(bytes_of(op.result), number, self.last_use(op))
            for number, step in enumerate(self.steps)
            for op in step.writes
            if op not in self.returned
        ]
        own = [
            Lifetime(size, number, number)
            for number, arrays in enumerate(self.own_arrays)
            for size in (arrays.buffers, arrays.weights)
            if size
        ]
        return written + own

    def weights(self, number: int) -> list[SSAValue]:
        """The stored arrays that have to be fetched for a step."""
        if not self.streamed:
            return []
        read = (under_reshapes(v) for op in self.steps[number].ops for v in op.operands)
        return [v for v in dict.fromkeys(read) if isinstance(v.owner, WeightOp)]

    def own_bytes(self, step: int) -> int:
        """Bytes in the arena that a step alone needs."""
        return self.own_arrays[step].buffers + self.own_arrays[step].weights

    def plan(self) -> ArenaPlan:
        """The arena that holds them."""
        return allocate_arena(self.lifetimes)

    @cached_property
    def live(self) -> list[int]:
        """Bytes in the arena while each step runs."""
        return [
            sum(t.aligned_bytes for t in self.lifetimes if t.first <= step <= t.last)
            for step in range(len(self.steps))
        ]

    def carried(self, first: int, end: int) -> int:
        """Bytes written before `first` and read at `end` or later: there throughout."""
        return sum(t.aligned_bytes for t in self.lifetimes if t.first < first and t.last >= end)

    def read_inside(self, first: int, end: int) -> list[int]:
        """Bytes written before `first` whose last reader is in step..end - 1, for each step."""
        inputs = [t for t in self.lifetimes if t.first < first and t.last < end]
        return [
            sum(t.aligned_bytes for t in inputs if t.last >= step) for step in range(first, end)
        ]
