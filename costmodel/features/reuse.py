"""What a statement finds in caches because of other statements: data that they touched in a loop
that both are in, and programs that fit as a whole; and who shares its parallel region.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .nests import KINDS, Array, ScheduledProgram, StatementFacts, StatementNest

PARALLEL = KINDS.index("parallel")
MOVES = 1.001  # iterations above which a loop is one
Depths = tuple[int, ...]  # per array of a statement, in ascending order of their numbers


@dataclass(frozen=True, eq=False)
class Surroundings:
    """Of one statement in B schedules: `shared[b, m]` is how many loops it shares with the nearest
    statement before it that touches its m-th array, -1 where there is none; `program_bytes` the
    size of all arrays, `sharers` how many statements are in its parallel region, `mates` in its
    innermost loop; `is_watched` where another one in that loop touches what it writes."""

    shared: npt.NDArray[np.int64]
    program_bytes: Array
    sharers: Array
    mates: Array
    is_watched: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Around:
    """The same of one nest."""

    shared: Depths
    program_bytes: float
    sharers: int
    mates: int
    is_watched: bool


def arrays_in(facts: StatementFacts) -> list[int]:
    """The numbers of the arrays that a statement touches, in ascending order."""
    return sorted({a.array for a in facts.accesses})


def surroundings(program: ScheduledProgram) -> list[Around]:
    """What is around each nest of a program."""
    total = float(sum(array_bytes(program).values()))
    regions = [parallel_axis(nest) for nest in program.nests]
    inner = [nest.axes.tobytes() for nest in program.nests if iterates(nest)]
    before: dict[int, list[list[int]]] = {}
    found = []
    for nest, region in zip(program.nests, regions, strict=True):
        axes = nest.axes.tolist()
        arrays = arrays_in(nest.facts)
        shared = tuple(
            max((common(axes, other) for other in before.get(a, ())), default=-1) for a in arrays
        )
        for a in arrays:
            before.setdefault(a, []).append(axes)
        sharers = regions.count(region) if region >= 0 else 1
        mates = max(1, inner.count(nest.axes.tobytes()))
        watched = len(axes) > 0 and is_watched(nest, program.nests)
        found.append(Around(shared, total, sharers, mates, watched))
    return found


def is_watched(nest: StatementNest, nests: Sequence[StatementNest]) -> bool:
    """Whether another statement in the innermost loop of `nest` touches the array it writes."""
    innermost, written = nest.axes[-1], nest.facts.accesses[0].array
    inside = (
        n
        for n in nests
        if n is not nest and innermost in n.axes and iterates(n, n.axes.tolist().index(innermost))
    )
    return any(a.array == written for n in inside for a in n.facts.accesses)


def iterates(nest: StatementNest, loop: int = -1) -> bool:
    """Whether a statement has more than one instance in a loop around it. Code for one that has not
    stands before or behind the loop."""
    return len(nest.trips) == 0 or bool(nest.trips[loop] > MOVES)


def array_bytes(program: ScheduledProgram) -> dict[int, int]:
    """The size of each array."""
    sizes: dict[int, int] = {}
    for nest in program.nests:
        for a in nest.facts.accesses:
            size = a.element_bytes
            for n in a.shape:
                size *= n
            sizes[a.array] = size
    return sizes


def parallel_axis(nest: StatementNest) -> int:
    """The outermost parallel loop around a nest; -1 where there is none."""
    for axis, kind in zip(nest.axes.tolist(), nest.kinds.tolist(), strict=True):
        if kind == PARALLEL:
            return int(axis)
    return -1


def common(one: Sequence[int], other: Sequence[int]) -> int:
    """How many outermost loops two nests share."""
    count = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        count += 1
    return count


def stacked_surroundings(members: Sequence[Around]) -> Surroundings:
    """Those of one statement in many schedules."""
    return Surroundings(
        np.array([m.shared for m in members], np.int64).reshape(len(members), -1),
        np.array([m.program_bytes for m in members]),
        np.array([m.sharers for m in members], np.float64),
        np.array([m.mates for m in members], np.float64),
        np.array([m.is_watched for m in members], bool),
    )
