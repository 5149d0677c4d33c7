"""What a search proposes and what it is told: a schedule, and its cost or why it has none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from ....dialects.schedule import Step, parse_steps

# "illegal": a dependence or a step's own rule; the others are defects of what made the code, and
# "slow" stands for a candidate that was stopped because it takes too long.
Failure = Literal["illegal", "lowering", "build", "crash", "wrong", "slow", "memory"]


@dataclass(frozen=True)
class Candidate:
    """A schedule; no steps mean the original order. Equal text is equal schedule."""

    steps: tuple[Step, ...] = ()

    @property
    def text(self) -> str:
        """One step a line, as the `schedule` property of a scop has it."""
        return "\n".join(str(step) for step in self.steps)

    @staticmethod
    def parse(text: str) -> Candidate:
        """The candidate that has `text`."""
        return Candidate(tuple(parse_steps(text)))


ORIGINAL = Candidate()


@dataclass(frozen=True)
class Result:
    """The cost of a candidate in seconds, or the kind of its failure and what was said."""

    seconds: float | None
    failure: Failure | None = None
    detail: str = ""

    @property
    def cost(self) -> float:
        """Seconds; infinite for a failure."""
        return float("inf") if self.seconds is None else self.seconds


class Evaluator(Protocol):
    """Gives candidates their cost: a measurement, or a prediction."""

    def evaluate(self, candidates: Sequence[Candidate]) -> list[Result]:
        """One result per candidate, in order. Never raises because of a candidate."""
        ...
