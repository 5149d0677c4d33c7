"""Beam search: keep the best few schedules, look at their neighbours, repeat."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from .budget import Budget
from .candidate import Evaluator
from .exploration import Check, Exploration, SearchReport, best_of
from .space import Point, SearchSpace


@dataclass(frozen=True)
class BeamSearch:
    """Each round gives every member of the beam `branching` neighbours and keeps `width` of all.

    After `patience` rounds in which no candidate came in, half of the next round are samples.
    """

    width: int = 4
    branching: int = 4
    patience: int = 2
    batch: int = 8
    seed: int = 0

    def search(
        self,
        space: SearchSpace[Point],
        evaluator: Evaluator,
        budget: Budget,
        check: Check | None = None,
    ) -> SearchReport:
        """The best schedule that was met within `budget`; equal results give equal searches."""
        rng = Random(self.seed)
        seen: Exploration[Point] = Exploration(space, evaluator, budget, check, self.batch)
        beam = best_of(seen.visit(list(space.defaults())), self.width)
        idle = 0
        while not seen.is_over:
            points = [
                space.mutate(v.point, rng)
                for v in beam
                for _ in range(self.branching)
                if v.point is not None
            ]
            if not beam or idle >= self.patience:
                points += [space.sample(rng) for _ in range(self.width * self.branching)]
            kept = best_of([*beam, *seen.visit(points)], self.width)
            idle = idle + 1 if kept == beam else 0
            beam = kept
        return seen.report()
