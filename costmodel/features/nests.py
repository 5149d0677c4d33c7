"""A scheduled program as plain data: what features are computed from.

`passes/poly/cost` makes these out of a scop and its loop tree. `StatementFacts` are the same for
all schedules with equal rewrites; a `StatementNest` has what one schedule does to a statement.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
KINDS = ("for", "parallel", "unroll", "vector")  # other kinds of loops count as "for"
OPERATIONS = ("add", "mul", "div", "compare", "special", "integer", "other")


@dataclass(frozen=True)
class Term:
    """floor(coefficients . dims / divisor) mod modulus, times `factor`; modulus 0 is none."""

    coefficients: tuple[int, ...]
    divisor: int = 1
    modulus: int = 0
    factor: int = 1


@dataclass(frozen=True)
class Access:
    """One read or write: an index is a sum of terms and an offset; `strides` are elements per unit
    of each."""

    array: int
    is_write: bool
    is_temporary: bool
    element_bytes: int
    shape: tuple[int, ...]
    indices: tuple[tuple[Term, ...], ...]
    strides: tuple[int, ...]
    offsets: tuple[int, ...]


@dataclass(frozen=True)
class StatementFacts:
    """A statement before it has loops. `instances` is the size of its domain, `operations` what one
    instance computes, by `OPERATIONS`; `element` is the type that most of that is in; `paths` has
    the cycles from each of the reads, which follow the write in `accesses`, to the result."""

    name: str
    extents: tuple[int, ...]
    instances: float
    operations: Mapping[str, int]
    element: str
    is_reduction: bool
    accesses: tuple[Access, ...]
    paths: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class StatementNest:
    """The loops around a statement, outermost first.

    `trips` are iterations per iteration of the loops outside, `kinds` numbers in `KINDS`, `axes`
    numbers of loops, equal for loops that statements share. `free[k, d]` is the number of values of
    dim d inside one iteration of the first k loops, on average; `largest[k]` is how much more than
    that the k-th loop's longest iteration has: 1 but where a tile is cut off.
    """

    facts: StatementFacts
    trips: Array
    kinds: npt.NDArray[np.int64]
    lanes: npt.NDArray[np.int64]
    axes: npt.NDArray[np.int64]
    free: Array
    largest: Array


@dataclass(frozen=True, eq=False)
class ScheduledProgram:
    """The statements of a scheduled scop in tree order, and how many threads run it."""

    nests: tuple[StatementNest, ...]
    threads: int
    steps: tuple[str, ...] = field(default=())
