"""Design spaces: points that can be drawn, changed and turned into schedules."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Protocol, TypeVar

from ....dialects.schedule import Step

Point = TypeVar("Point")


class SearchSpace(Protocol[Point]):
    """A set of schedules with a neighbourhood. A point is whatever the space varies."""

    def defaults(self) -> Sequence[Point]:
        """Points to begin with, the most promising first."""
        ...

    def sample(self, rng: Random) -> Point:
        """Any point."""
        ...

    def mutate(self, point: Point, rng: Random) -> Point:
        """A neighbour of `point`."""
        ...

    def crossover(self, one: Point, other: Point, rng: Random) -> Point:
        """A mixture of two points; `one` where points cannot be mixed."""
        ...

    def steps(self, point: Point) -> Sequence[Step]:
        """The schedule of `point`; IllegalScheduleError where it has none."""
        ...
