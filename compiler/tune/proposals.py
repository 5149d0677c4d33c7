"""What to measure next for one kernel: children of the fastest choices, ranked by a cost model.

Tournaments choose parents; crossover and mutation make many more children than can be measured.
Each is scheduled: illegal ones are counted, those that make a known program dropped. A cost model,
which learns from what was measured, picks most of the batch, chance the rest.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Generic, Protocol, TypeVar

from ...costmodel.features.nests import Array

FRESH = 0.2  # share of children that are drawn anew, and of picks that the model does not make
CROSSING = 0.35
POPULATION = 12
TOURNAMENT = 3
BOLD = 0.2  # share of picks of what might be fastest: expected time less two deviations
DEVIATIONS = 2.0
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

    def forecast(self, programs: Sequence[Any]) -> tuple[Array, Array] | None:
        """(logarithms of expected times, how uncertain they are); None where nobody is asked."""
        ...

    def learn(self, programs: Sequence[Any], ratios: Sequence[float]) -> None:
        """Take measured times into account, as multiples of that of the default."""
        ...


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
        self.made: dict[str, Any] = {}  # the programs of choices that are being measured
        self._news: list[tuple[Any, float]] = []
        usual = self._new(self.space.usual)
        if usual is not None:
            self._news.append((usual[1], 1.0))

    def told(self, choice: Choice, ratio: float | None) -> None:
        """The time of `choice` over that of the default; None where it failed."""
        self._tried.add(str(choice))
        program = self.made.get(str(choice))
        if ratio is not None and program is not None:
            self._news.append((program, ratio))
        if ratio is not None:
            self.population.append((ratio, choice))
            self.population = sorted(self.population, key=lambda p: (p[0], str(p[1])))[:POPULATION]

    def batch(self, count: int) -> list[Choice]:
        """Up to `count` choices that make new programs; none where no more are found."""
        if self._news:
            self.programs.learn([p for p, _ in self._news], [ratio for _, ratio in self._news])
        self._news, self.made = [], {}
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
        """Mostly those that the model expects to be fastest, some that might be, some by chance;
        what is left stays unmeasured and may be drawn again."""
        picked = list(range(len(found)))
        if len(found) > count:
            forecast = self.programs.forecast([program for _, _, program in found])
            if forecast is None:
                picked = self.rng.sample(picked, count)
            else:
                picked = self._ranked(*forecast, count)
        for k in set(range(len(found))) - set(picked):
            choice, text, _ = found[k]
            self._tried.discard(str(choice))
            self._known.discard(text)
        self.made = {str(found[k][0]): found[k][2] for k in picked}
        return [found[k][0] for k in picked]

    def _ranked(self, expected: Array, doubt: Array, count: int) -> list[int]:
        """`count` numbers of candidates with these times."""
        left = list(range(len(expected)))
        picked: list[int] = []
        for _ in range(count):
            drawn = self.rng.random()
            if drawn < FRESH:
                taken = self.rng.choice(left)
            elif drawn < FRESH + BOLD:
                taken = min(left, key=lambda k: float(expected[k] - DEVIATIONS * doubt[k]))
            else:
                taken = min(left, key=lambda k: float(expected[k]))
            left.remove(taken)
            picked.append(taken)
        return picked
