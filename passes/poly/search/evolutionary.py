"""Evolutionary search: tournaments choose parents, crossover and mutation make the next batch."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from .budget import Budget
from .candidate import Evaluator
from .exploration import Check, Exploration, SearchReport, Visit, best_of
from .space import Point, SearchSpace


@dataclass(frozen=True)
class EvolutionarySearch:
    """A population of the best `size` points seen; a generation is `offspring` new points.

    `fresh` is the share of samples among these (epsilon-greedy), `crossing` that of crossovers.
    """

    size: int = 16
    offspring: int = 8
    fresh: float = 0.15
    crossing: float = 0.35
    tournament: int = 3
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
        first = [*space.defaults(), *(space.sample(rng) for _ in range(self.offspring))]
        population = best_of(seen.visit(first), self.size)
        while not seen.is_over:
            children = [self._child(space, population, rng) for _ in range(self.offspring)]
            population = best_of([*population, *seen.visit(children)], self.size)
        return seen.report()

    def _child(
        self, space: SearchSpace[Point], population: list[Visit[Point]], rng: Random
    ) -> Point:
        if not population or rng.random() < self.fresh:
            return space.sample(rng)
        parent = self._parent(population, rng)
        if rng.random() < self.crossing:
            return space.crossover(parent, self._parent(population, rng), rng)
        return space.mutate(parent, rng)

    def _parent(self, population: list[Visit[Point]], rng: Random) -> Point:
        chosen = min(rng.choices(population, k=self.tournament), key=lambda v: v.result.cost)
        assert chosen.point is not None, "the population has points only"
        return chosen.point
