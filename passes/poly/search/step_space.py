"""The space of all step lists: points grow, shrink and change by single legal steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random

from ....dialects.errors import IllegalScheduleError
from ....dialects.poly import ScopOp
from ....dialects.schedule import Rewrite, Split, Step, Tile, UnrollAndJam
from .candidate import Candidate
from .random_steps import random_rewrite, random_steps
from .scop_check import ScopCheck

Steps = tuple[Step, ...]
FACTORS = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256)


@dataclass
class StepSpace:
    """Every list of schedule steps that is legal on `scop`.

    `seeds` are schedules to begin with, `lanes` the vector length. A mutation is tried up to
    `tries` times until a legal one is found; after that the point stays as it is.
    """

    scop: ScopOp
    lanes: int
    seeds: Sequence[Steps] = ()
    longest_sample: int = 6
    tries: int = 8
    check: ScopCheck = field(init=False)

    def __post_init__(self) -> None:
        self.check = ScopCheck(self.scop)

    def defaults(self) -> Sequence[Steps]:
        """The seeds and the original order."""
        return [*self.seeds, ()]

    def sample(self, rng: Random) -> Steps:
        """Some legal steps in a row, from a seed or from the original order."""
        point = rng.choice(self.defaults())
        for _ in range(rng.randint(1, self.longest_sample)):
            point = self.mutate(point, rng)
        return point

    def mutate(self, point: Steps, rng: Random) -> Steps:
        """Append, insert, drop or change a step."""
        for _ in range(self.tries):
            try:
                mutant = self._change(point, rng)
                if mutant != point:
                    self.check(Candidate(mutant))
                    return mutant
            except IllegalScheduleError:
                continue
        return point

    def crossover(self, one: Steps, other: Steps, rng: Random) -> Steps:
        """The rewrites of one point with the tree steps of the other, where that is legal."""
        mixed = (
            *(s for s in one if isinstance(s, Rewrite)),
            *(s for s in other if not isinstance(s, Rewrite)),
        )
        try:
            self.check(Candidate(mixed))
        except IllegalScheduleError:
            return self.mutate(one, rng)
        return mixed

    def steps(self, point: Steps) -> Sequence[Step]:
        """The point itself."""
        return point

    def _change(self, point: Steps, rng: Random) -> Steps:
        action = rng.random()
        if action < 0.15 and point:
            at = rng.randrange(len(point))
            return (*point[:at], *point[at + 1 :])
        if action < 0.35:
            return self._refactor(point, rng)
        rewrites = [s for s in point if isinstance(s, Rewrite)]
        if action < 0.45:
            tree_steps = [s for s in point if not isinstance(s, Rewrite)]
            return (*rewrites, random_rewrite(self.scop, rng), *tree_steps)
        kept = point if rng.random() < 0.7 else point[: rng.randint(len(rewrites), len(point))]
        tree = self.check.tree_of(Candidate(kept))
        return (*kept, *random_steps(tree, kept, self.lanes, rng))

    def _refactor(self, point: Steps, rng: Random) -> Steps:
        """The point with another factor in one of its steps."""
        places = [k for k, s in enumerate(point) if isinstance(s, Split | Tile | UnrollAndJam)]
        if not places:
            return point
        at = rng.choice(places)
        step = point[at]
        changed: Step
        if isinstance(step, Tile):
            factors = list(step.factors)
            factors[rng.randrange(len(factors))] = rng.choice(FACTORS)
            changed = replace(step, factors=tuple(factors))
        else:
            assert isinstance(step, Split | UnrollAndJam)
            changed = replace(step, factor=rng.choice(FACTORS))
        return (*point[:at], changed, *point[at + 1 :])
