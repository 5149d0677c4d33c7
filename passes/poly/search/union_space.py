"""Several spaces as one; points of any of them may go over into lists of steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from ....dialects.errors import IllegalScheduleError
from ....dialects.schedule import Step
from .space import SearchSpace
from .step_space import StepSpace

Tagged = tuple[str, Any]
STEPS = "steps"


@dataclass
class UnionSpace:
    """The points of all `members`, tagged by name, and the step lists that come from them.

    A mutation turns a point into its list of steps with probability `refining` and changes that.
    A member none of whose defaults is legal is not sampled.
    """

    members: Mapping[str, SearchSpace[Any]]
    refinement: StepSpace
    refining: float = 0.3

    def __post_init__(self) -> None:
        self._live: list[str] | None = None

    def defaults(self) -> Sequence[Tagged]:
        """The first default of each member, then the second of each, and so on."""
        lists = {name: list(space.defaults()) for name, space in self.members.items()}
        longest = max(map(len, lists.values()), default=0)
        ordered = [
            (name, points[k])
            for k in range(longest)
            for name, points in lists.items()
            if k < len(points)
        ]
        return [*ordered, *((STEPS, p) for p in self.refinement.defaults())]

    def sample(self, rng: Random) -> Tagged:
        """A point of a member that has legal ones."""
        if self._live is None:
            self._live = [name for name in self.members if self._is_alive(name)]
        name = rng.choice([*self._live, STEPS])
        return name, self._space(name).sample(rng)

    def mutate(self, point: Tagged, rng: Random) -> Tagged:
        """A neighbour in the point's own space, or among its lists of steps."""
        name, inner = point
        if name != STEPS and rng.random() < self.refining:
            try:
                inner = tuple(self.members[name].steps(inner))
            except IllegalScheduleError:
                return name, self.members[name].mutate(inner, rng)
            name = STEPS
        return name, self._space(name).mutate(inner, rng)

    def crossover(self, one: Tagged, other: Tagged, rng: Random) -> Tagged:
        """Points of one space are crossed; of points of two spaces the first is mutated."""
        if one[0] != other[0]:
            return self.mutate(one, rng)
        return one[0], self._space(one[0]).crossover(one[1], other[1], rng)

    def steps(self, point: Tagged) -> Sequence[Step]:
        """The schedule that the point has in its own space."""
        name, inner = point
        return self._space(name).steps(inner)

    def _space(self, name: str) -> SearchSpace[Any]:
        return self.refinement if name == STEPS else self.members[name]

    def _is_alive(self, name: str) -> bool:
        for point in self.members[name].defaults():
            try:
                self.members[name].steps(point)
            except IllegalScheduleError:
                continue
            return True
        return False
