"""What to measure next for one kernel: children of the fastest choices, ranked by a cost model.

Tournaments choose parents; crossover and mutation make many more children than can be measured.
Each is scheduled: illegal ones are counted, those that make a known program dropped. A cost model
picks most of the batch, chance the rest.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Generic, Protocol, TypeVar

from ...costmodel.features.hardware import Hardware
from ...costmodel.features.nests import Array
from ...costmodel.hardware import Machine
from ...costmodel.models.interface import Candidates, CostModel
from ...dialects.errors import IllegalScheduleError
from ...dialects.poly import ScopOp
from ...passes.poly.rules.choice import RuleChoice
from ...passes.poly.rules.decide import described, text_of
from ...passes.poly.rules.schedule import apply_recorded
from ...passes.poly.search.exploration import reason_of

FRESH = 0.2  # share of children that are drawn anew, and of picks that the model does not make
CROSSING = 0.35
POPULATION = 12
TOURNAMENT = 3
OVERSAMPLING = 4
Choice = TypeVar("Choice")
Given = TypeVar("Given", contravariant=True)
SECONDS = 4.0  # of scheduling and ranking for one batch


class ChoiceSpace(Protocol[Choice]):
    """Where choices come from, as `SearchSpace` has it."""

    @property
    def usual(self) -> Choice:
        """What the rules do on their own."""
        ...

    def parse(self, text: str) -> Choice:
        """The choice of a record; IllegalScheduleError for another text."""
        ...

    def defaults(self) -> Sequence[Choice]:
        """What is tried first."""
        ...

    def sample(self, rng: Random) -> Choice:
        """Any choice."""
        ...

    def mutate(self, point: Choice, rng: Random) -> Choice:
        """One that differs a little."""
        ...

    def crossover(self, one: Choice, other: Choice, rng: Random) -> Choice:
        """One with fields of both."""
        ...


class Programs(Protocol[Given]):
    """What choices make of a kernel, and how long that is expected to take."""

    def of(self, choice: Given) -> tuple[str, Any] | None:
        """The text of the program under `choice`, and the program; None where that is illegal."""
        ...

    def seconds(self, programs: Sequence[Any]) -> Array | None:
        """Predicted times; None where there is nobody to ask."""
        ...


@dataclass
class RulePrograms:
    """A kernel under choices of the rules, judged by a cost model; `rejected` counts reasons."""

    scop: ScopOp
    machine: Machine
    threads: int
    model: CostModel | None
    hardware: Hardware
    rejected: Counter[str] = field(default_factory=Counter)

    def of(self, choice: RuleChoice) -> tuple[str, ScopOp] | None:
        """The kernel scheduled."""
        copy = self.scop.clone()
        try:
            apply_recorded(copy, self.machine, self.threads, str(choice))
        except IllegalScheduleError as error:
            self.rejected[reason_of(str(error))] += 1
            return None
        return text_of(copy), copy

    def seconds(self, programs: Sequence[ScopOp]) -> Array | None:
        """By the model."""
        if self.model is None:
            return None
        try:
            nests = [described(program, self.threads) for program in programs]
        except IllegalScheduleError:
            return None
        return self.model.seconds(Candidates.of(nests, self.hardware))


@dataclass
class Proposals(Generic[Choice]):
    """The search over the choices for one kernel."""

    programs: Programs[Choice]
    space: ChoiceSpace[Choice]
    rng: Random
    population: list[tuple[float, Choice]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._tried: set[str] = set()
        self._known: set[str] = set()
        self._first = [c for c in self.space.defaults() if c != self.space.usual]
        self._new(self.space.usual)

    def told(self, choice: Choice, ratio: float | None) -> None:
        """The time of `choice` over that of the default; None where it failed."""
        self._tried.add(str(choice))
        if ratio is not None:
            self.population.append((ratio, choice))
            self.population = sorted(self.population, key=lambda p: (p[0], str(p[1])))[:POPULATION]

    def batch(self, count: int) -> list[Choice]:
        """Up to `count` choices that make new programs; none where no more are found."""
        end = time.monotonic() + SECONDS
        found: list[tuple[Choice, str, Any]] = []
        for _ in range(40 * count):
            if len(found) == OVERSAMPLING * count or (found and time.monotonic() > end):
                break
            choice = self._first.pop(0) if self._first else self._child()
            if str(choice) in self._tried:
                continue
            self._tried.add(str(choice))
            made = self._new(choice)
            if made is not None:
                found.append((choice, *made))
        return self._picked(found, count)

    def _new(self, choice: Choice) -> tuple[str, Any] | None:
        """The program under `choice`; None where that is illegal or known."""
        made = self.programs.of(choice)
        if made is None or made[0] in self._known:
            return None
        self._known.add(made[0])
        return made

    def _child(self) -> Choice:
        if not self.population or self.rng.random() < FRESH:
            return self.space.sample(self.rng)
        parent = self._parent()
        if self.rng.random() < CROSSING:
            return self.space.mutate(
                self.space.crossover(parent, self._parent(), self.rng), self.rng
            )
        return self.space.mutate(parent, self.rng)

    def _parent(self) -> Choice:
        drawn = self.rng.choices(self.population, k=TOURNAMENT)
        return min(drawn, key=lambda p: p[0])[1]

    def _picked(self, found: list[tuple[Choice, str, Any]], count: int) -> list[Choice]:
        """Mostly those that the model expects to be fastest; what is left stays unmeasured and may
        be drawn again."""
        order = list(range(len(found)))
        if len(found) > count:
            seconds = self.programs.seconds([program for _, _, program in found])
            if seconds is None:
                self.rng.shuffle(order)
            else:
                order.sort(key=lambda k: float(seconds[k]))
        chance = sum(self.rng.random() < FRESH for _ in range(count))
        best, rest = order[: count - chance], order[count - chance :]
        picked = best + self.rng.sample(rest, min(len(rest), count - len(best)))
        for k in set(order) - set(picked):
            choice, text, _ = found[k]
            self._tried.discard(str(choice))
            self._known.discard(text)
        return [found[k][0] for k in picked]
