"""Parts that matmul programs share: warps and their tiles, the ring of copies, split K.

Warps form a grid over the output tile; operands are held by all warps of a row or column of it (as
in Tilus, arXiv 2504.12984).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from xdsl.ir import Attribute, SSAValue

from ...dialects.tile import ops
from ...dialects.tile.atoms import F32, I32, Atom, atom_for
from ...dialects.tile.register_layout import RegisterLayout, local, replicate, spatial
from .builder import Index, ProgramBuilder, known, named


@dataclass(frozen=True)
class Warps:
    """`rows` x `columns` warps, each with `repeat` (M, N, K) instructions per step."""

    element: Attribute
    rows: int
    columns: int
    repeat: tuple[int, int, int]

    @property
    def atom(self) -> Atom:
        """The instruction."""
        return atom_for(self.element)

    @property
    def threads(self) -> int:
        """Threads of a block."""
        return 32 * self.rows * self.columns

    @property
    def tile(self) -> tuple[int, int, int]:
        """(M, N, K) of a block's step."""
        m, n, k = self.repeat
        return 16 * self.rows * m, 8 * self.columns * n, self.atom.k * k

    @property
    def lhs(self) -> RegisterLayout:
        """[M, K], copied for the warps of a row."""
        m, _, k = self.repeat
        warps = spatial(self.rows, 1) * replicate(self.columns, 2)
        return warps * local(m, k) * self.atom.lhs

    @property
    def rhs(self) -> RegisterLayout:
        """[N, K], copied for the warps of a column."""
        _, n, k = self.repeat
        warps = replicate(self.rows, 2) * spatial(self.columns, 1)
        return warps * local(n, k) * self.atom.rhs

    @property
    def accumulator(self) -> RegisterLayout:
        """[M, N]."""
        m, n, _ = self.repeat
        return spatial(self.rows, self.columns) * local(m, n) * self.atom.accumulator

    @property
    def registers(self) -> int:
        """32-bit registers that the tiles of a thread take."""
        operand = self.lhs.locals + self.rhs.locals
        return self.accumulator.locals + operand * self.atom._bytes // 4


Step = Callable[[SSAValue, SSAValue], None]
Compute = Callable[[SSAValue, SSAValue, SSAValue], SSAValue]


def pipelined(
    b: ProgramBuilder,
    steps: tuple[SSAValue, SSAValue],
    stages: int,
    copy: Step,
    compute: Compute,
    accumulator: SSAValue,
) -> SSAValue:
    """The sum of `compute(step, stage, sum)` over steps first..last, copies `stages - 1` ahead."""

    def one(step: SSAValue, stage: SSAValue, carried: list[SSAValue]) -> list[SSAValue]:
        return [compute(step, stage, *carried)]

    return pipelined_many(b, steps, stages, copy, one, [accumulator])[0]


def pipelined_many(
    b: ProgramBuilder,
    steps: tuple[SSAValue, SSAValue],
    stages: int,
    copy: Step,
    compute: Callable[[SSAValue, SSAValue, list[SSAValue]], list[SSAValue]],
    start: Sequence[SSAValue],
) -> list[SSAValue]:
    """What `compute(step, stage, values)` makes of `start` over steps first..last.

    `copy(step, stage)` starts the copies of a step, `stages - 1` steps ahead. One group per step is
    committed even where no step is left, so that the count of groups to wait for stays the same.
    """
    first, last = steps
    for ahead in range(stages - 1):
        step = b.plus(first, ahead)
        ends = known(step), known(last)
        if None not in ends:
            if ends[0] < ends[1]:  # type: ignore[operator]
                copy(step, b.index(ahead))
        else:
            with b.when(b.compare(step, "slt", last)):
                copy(step, b.index(ahead))
        b.do(ops.CommitOp())
    with b.loop(first, last, start, "step") as (step, carried, results):
        b.do(ops.WaitOp(stages - 2))
        b.do(ops.SyncOp())
        done = b.minus(step, first)
        upcoming = b.plus(step, stages - 1)
        with b.when(b.compare(upcoming, "slt", last)):
            copy(upcoming, b.remainder(b.plus(done, stages - 1), stages))
        b.do(ops.CommitOp())
        results += compute(step, b.remainder(done, stages), carried)
    return results


def split_range(
    b: ProgramBuilder, part: SSAValue, parts: int, steps: int
) -> tuple[SSAValue, SSAValue]:
    """The steps of part `part` of `parts`."""
    each = -(-steps // parts)
    first = b.smaller(b.times(part, each), steps)
    return first, b.smaller(b.plus(first, each), steps)


def add_in_order(
    b: ProgramBuilder,
    sums: SSAValue,
    part: Index,
    last: Index,
    offsets: tuple[SSAValue, SSAValue],
    place: SSAValue,
    workspace: SSAValue,
    semaphores: SSAValue,
    finish: Callable[[SSAValue], None],
) -> None:
    """Sums of several blocks, added in the order of `part` = 0..`last`, whoever is ready first.

    Each part adds what those before it left in `workspace` to its own sums, and leaves them there
    or, the last one, gives them to `finish`. The semaphore at `place` counts parts and ends at 0.
    """
    type = ops.register_of(sums)
    assert type.element in (F32, I32)

    def added() -> SSAValue:
        b.do(ops.LockOp(semaphores, place, b.index(part)))
        before = b.load(workspace, offsets, type.layout, "before")
        return b.binary("add", before, sums, "total")

    total = b.either(b.compare(part, "ne", 0), added, sums)
    with b.when(b.compare(part, "ne", last)):
        b.store(total, workspace, offsets)
        b.do(ops.ReleaseOp(semaphores, place, named(b.plus(part, 1), "next_part")))
    with b.when(b.compare(part, "eq", last)):
        finish(total)
        with b.when(b.compare(part, "ne", 0)):
            b.do(ops.ReleaseOp(semaphores, place, b.index(0)))
