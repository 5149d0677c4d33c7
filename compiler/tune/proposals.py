"""What to measure next for one kernel: children of the fastest choices, ranked by a cost model.

Tournaments choose parents; crossover and mutation make many more children than can be measured.
Each is scheduled: illegal ones are counted, those that make a known program dropped. A cost model
picks most of the batch, chance the rest.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from random import Random

from ...costmodel.features.hardware import Hardware
from ...costmodel.models.interface import Candidates, CostModel
from ...dialects.errors import IllegalScheduleError
from ...dialects.poly import ScopOp
from ...passes.poly.rules.choice import RULES, RuleChoice
from ...passes.poly.rules.decide import described, text_of
from ...passes.poly.rules.schedule import apply_recorded
from ...passes.poly.search.exploration import reason_of
from ...passes.poly.search.rule_space import RuleSpace

FRESH = 0.2  # share of children that are drawn anew, and of picks that the model does not make
CROSSING = 0.35
POPULATION = 12
TOURNAMENT = 3
OVERSAMPLING = 4
SECONDS = 4.0  # of scheduling and ranking for one batch


@dataclass
class Proposals:
    """The search over the choices of the rules for one kernel."""

    scop: ScopOp
    space: RuleSpace
    model: CostModel | None
    hardware: Hardware
    rng: Random
    population: list[tuple[float, RuleChoice]] = field(default_factory=list)
    rejected: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._tried: set[str] = set()
        self._programs: set[str] = set()
        self._first = [c for c in self.space.defaults() if c != RULES]
        self.scheduled(RULES)

    def told(self, choice: RuleChoice, ratio: float | None) -> None:
        """The time of `choice` over that of the default; None where it failed."""
        self._tried.add(str(choice))
        if ratio is not None:
            self.population.append((ratio, choice))
            self.population = sorted(self.population, key=lambda p: (p[0], str(p[1])))[:POPULATION]

    def batch(self, count: int) -> list[RuleChoice]:
        """Up to `count` choices that make new programs; none where no more are found."""
        end = time.monotonic() + SECONDS
        found: list[tuple[RuleChoice, ScopOp]] = []
        for _ in range(40 * count):
            if len(found) == OVERSAMPLING * count or (found and time.monotonic() > end):
                break
            choice = self._first.pop(0) if self._first else self._child()
            if str(choice) in self._tried:
                continue
            self._tried.add(str(choice))
            program = self.scheduled(choice)
            if program is not None:
                found.append((choice, program))
        return self._picked(found, count)

    def scheduled(self, choice: RuleChoice) -> ScopOp | None:
        """The kernel under `choice`; None where that is illegal or makes a known program."""
        copy = self.scop.clone()
        try:
            apply_recorded(copy, self.space.machine, self.space.threads, str(choice))
        except IllegalScheduleError as error:
            self.rejected[reason_of(str(error))] += 1
            return None
        text = text_of(copy)
        if text in self._programs:
            return None
        self._programs.add(text)
        return copy

    def _child(self) -> RuleChoice:
        if not self.population or self.rng.random() < FRESH:
            return self.space.sample(self.rng)
        parent = self._parent()
        if self.rng.random() < CROSSING:
            return self.space.mutate(
                self.space.crossover(parent, self._parent(), self.rng), self.rng
            )
        return self.space.mutate(parent, self.rng)

    def _parent(self) -> RuleChoice:
        drawn = self.rng.choices(self.population, k=TOURNAMENT)
        return min(drawn, key=lambda p: p[0])[1]

    def _picked(self, found: list[tuple[RuleChoice, ScopOp]], count: int) -> list[RuleChoice]:
        """Mostly those that the model expects to be fastest; what is left stays unmeasured and may
        be drawn again."""
        order = list(range(len(found)))
        if self.model is not None and len(found) > count:
            try:
                programs = [described(program, self.space.threads) for _, program in found]
                seconds = self.model.seconds(Candidates.of(programs, self.hardware))
                order.sort(key=lambda k: float(seconds[k]))
            except IllegalScheduleError:
                self.rng.shuffle(order)
        chance = sum(self.rng.random() < FRESH for _ in range(count))
        best, rest = order[: count - chance], order[count - chance :]
        picked = best + self.rng.sample(rest, min(len(rest), count - len(best)))
        for k in set(order) - set(picked):
            self._tried.discard(str(found[k][0]))
            self._programs.discard(text_of(found[k][1]))
        return [found[k][0] for k in picked]
