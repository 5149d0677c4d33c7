"""What every value before a result must hold for each patch of that result.

Parts do not depend on where the stage that ends in the result starts, so they are found once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np
import numpy.typing as npt
from xdsl.ir import Operation, SSAValue

from ....dialects.graph import GraphOp, shape_of
from .arithmetic import operations_per_element
from .regions import FIRST_AXIS, Interval, axes_of, covered, is_cuttable, needed
from .steps import Program, bytes_of

MOST_PATCHES = 8  # along one axis: each may need kernels of its own

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Cuts:
    """The ways to cut one axis of a result: patch sizes, and where each one's patches are in the
    arrays that have the patches of all sizes behind each other.
    """

    sizes: tuple[int, ...]
    slices: tuple[slice, ...]
    patches: Interval

    @staticmethod
    def of(extent: int) -> Cuts:
        """Cuts into 1, 2, ... patches of equal size, but for a smaller last one."""
        counts = range(1, min(extent, MOST_PATCHES) + 1)
        sizes = sorted({-(-extent // n) for n in counts}, reverse=True)
        lows = [np.arange(0, extent, size, dtype=np.int64) for size in sizes]
        ends = np.cumsum([len(low) for low in lows])
        slices = [slice(int(e) - len(low), int(e)) for e, low in zip(ends, lows, strict=True)]
        highs = [np.minimum(low + size, extent) for low, size in zip(lows, sizes, strict=True)]
        return Cuts(
            tuple(sizes), tuple(slices), Interval(np.concatenate(lows), np.concatenate(highs))
        )


@dataclass(eq=False)
class Member:
    """An op on the way to the result: the step it belongs to (layout ops: that of what they read),
    the parts of its result per axis, what these cover of its source per axis, borders included,
    bytes and operations per element of the cut axes.
    """

    op: GraphOp
    step: int
    parts: tuple[Interval, ...]
    covered: tuple[Numbers, ...]
    bytes: int
    operations: int

    @property
    def is_possible(self) -> bool:
        """Whether the op can be cut, into parts of which none is empty."""
        return is_cuttable(self.op) and all((part.sizes > 0).all() for part in self.parts)


class Backward:
    """The ops that `result` depends on, in order, each with its parts."""

    def __init__(self, program: Program, result: GraphOp) -> None:
        self.program, self.result = program, result
        self.axes = axes_of(result.result)
        extents = shape_of(result.result)[FIRST_AXIS:]
        self.cuts = [Cuts.of(extent) for extent in extents]
        self.members: list[Member] = []
        parts: dict[SSAValue, list[Interval]] = {result.result: [c.patches for c in self.cuts]}
        # latest first: the parts of a value are known when all its readers are
        for op in reversed(self._before):
            if op.result not in parts:
                continue
            member = Member(
                op,
                program.level(op),
                tuple(parts[op.result]),
                tuple(covered(op, axis, part) for axis, part in enumerate(parts[op.result])),
                bytes_of(op.result) // max(1, prod(shape_of(op.result)[FIRST_AXIS:])),
                operations_per_element(op) * prod(shape_of(op.result)[:FIRST_AXIS]),
            )
            self.members.insert(0, member)
            if member.is_possible and axes_of(op.result) == self.axes:
                self._propagate(op, parts)

    @cached_property
    def _before(self) -> list[GraphOp]:
        found: set[Operation] = set()
        pending: list[Operation] = [self.result]
        while pending:
            op = pending.pop()
            if op not in found:
                found.add(op)
                pending += [v.owner for v in op.operands if isinstance(v.owner, Operation)]
        block = self.program.main.body.block
        return [
            op
            for op in block.ops
            if op in found and isinstance(op, GraphOp) and self.program.level(op) >= 0
        ]

    def _propagate(self, op: GraphOp, parts: dict[SSAValue, list[Interval]]) -> None:
        for k, value in enumerate(op.operands):
            if axes_of(value) != self.axes:
                continue
            wanted = []
            for axis, part in enumerate(parts[op.result]):
                extent = shape_of(value)[FIRST_AXIS + axis]
                read = needed(op, k, axis, part)
                if read is None:
                    read = Interval(np.zeros_like(part.low), np.full_like(part.low, extent))
                wanted.append(read.clipped(extent))
            known = parts.get(value)
            if known is not None:
                wanted = [a.hull(b) for a, b in zip(known, wanted, strict=True)]
            parts[value] = wanted
