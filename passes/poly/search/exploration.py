"""What a search has seen: every schedule once, its cost, and why others were turned down."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic

from ....dialects.errors import IllegalScheduleError
from .budget import Budget
from .candidate import ORIGINAL, Candidate, Evaluator, Result
from .space import Point, SearchSpace

LEADERS = 4
Check = Callable[[Candidate], None]


@dataclass(frozen=True)
class Visit(Generic[Point]):
    """An evaluated candidate; the safe one, in original order, belongs to no point."""

    candidate: Candidate
    result: Result
    point: Point | None
    at_seconds: float


def best_of(visits: Sequence[Visit[Point]], count: int) -> list[Visit[Point]]:
    """The `count` visits of lowest cost."""
    return sorted(visits, key=lambda v: v.result.cost)[:count]


@dataclass(frozen=True)
class SearchReport:
    """The outcome: `best` has the lowest cost of all visits, the original order among them.

    `leaders` are the best few, `best` first: where costs are measured, the luckiest of many comes
    first, and a final between these tells.
    `rejected` counts schedules that are illegal by reason, `failed` those that are legal and did
    not run or gave wrong results, by kind; `failures` has their schedules, to reproduce them.
    """

    best: Candidate
    leaders: tuple[Candidate, ...]
    best_seconds: float
    original_seconds: float
    evaluated: int
    proposed: int
    duplicates: int
    rejected: dict[str, int]
    failed: dict[str, int]
    failures: tuple[tuple[str, str, str], ...]
    history: tuple[tuple[float, float], ...]
    seconds: float


def reason_of(message: str) -> str:
    """An error message without the names and numbers that differ between candidates."""
    text = re.sub(r"'[^']*'", "_", message.partition("\n")[0])
    text = re.split(r"[:;]", re.sub(r"^\w+\(.*?\):? ", "", text))[0]
    return re.sub(r"-?\d+", "N", text).strip()[:120]


@dataclass
class Exploration(Generic[Point]):
    """Evaluates points of a space in batches, each schedule once, until the budget is spent.

    `check` raises IllegalScheduleError; it may be left to the evaluator, which then answers with
    the failure "illegal".
    """

    space: SearchSpace[Point]
    evaluator: Evaluator
    budget: Budget
    check: Check | None = None
    batch: int = 8
    clock: Callable[[], float] = time.monotonic
    visits: list[Visit[Point]] = field(default_factory=list)
    rejected: Counter[str] = field(default_factory=Counter)
    proposed: int = 0
    duplicates: int = 0

    def __post_init__(self) -> None:
        self._start = self.clock()
        self._seen: set[str] = set()
        self._evaluated = 0
        self._evaluating = 0.0
        self._evaluate([(None, ORIGINAL)])

    @property
    def elapsed(self) -> float:
        """Seconds since the search began."""
        return self.clock() - self._start

    @property
    def is_over(self) -> bool:
        """Whether the budget is spent."""
        return not self.budget.allows(self.elapsed, self._evaluated, self.proposed)

    def visit(self, points: Sequence[Point]) -> list[Visit[Point]]:
        """Evaluate what is new and legal among `points`; the visits that have a cost."""
        ranked: list[Visit[Point]] = []
        fresh: list[tuple[Point | None, Candidate]] = []
        for k, point in enumerate(points):
            if self.is_over:
                break
            candidate = self._accept(point)
            if candidate is not None:
                fresh.append((point, candidate))
            if len(fresh) >= self._batch_size() or k + 1 == len(points):
                ranked += self._evaluate(fresh)
                fresh = []
        ranked += self._evaluate(fresh)
        return [v for v in ranked if v.result.seconds is not None]

    def _batch_size(self) -> int:
        """The batch, smaller where the seconds that are left do not allow that many."""
        if self.budget.seconds is None:
            return self.batch
        left = self.budget.seconds - self.elapsed
        usual = self._evaluating / max(1, self._evaluated)
        return max(1, min(self.batch, int(left / max(usual, 1e-9))))

    def _accept(self, point: Point) -> Candidate | None:
        self.proposed += 1
        try:
            candidate = Candidate(tuple(self.space.steps(point)))
            if candidate.text in self._seen:
                self.duplicates += 1
                return None
            self._seen.add(candidate.text)
            if self.check is not None:
                self.check(candidate)
        except IllegalScheduleError as error:
            self.rejected[reason_of(str(error))] += 1
            return None
        return candidate

    def _evaluate(self, fresh: list[tuple[Point | None, Candidate]]) -> list[Visit[Point]]:
        if self.budget.evaluations is not None:
            fresh = fresh[: max(0, self.budget.evaluations - self._evaluated)]
        if not fresh:
            return []
        self._seen.update(candidate.text for _, candidate in fresh)
        start = self.clock()
        results = self.evaluator.evaluate([candidate for _, candidate in fresh])
        self._evaluating += self.clock() - start
        visits = []
        for (point, candidate), result in zip(fresh, results, strict=True):
            if result.failure == "illegal":
                self.rejected[reason_of(result.detail)] += 1
                continue
            self._evaluated += 1
            visits.append(Visit(candidate, result, point, self.elapsed))
        self.visits += visits
        return visits

    def report(self) -> SearchReport:
        """What was found."""
        ranked = sorted(self.visits, key=lambda v: v.result.cost)
        best = ranked[0]
        failures = [v for v in self.visits if v.result.failure is not None]
        history, lowest = [], float("inf")
        for v in self.visits:
            if v.result.cost < lowest:
                lowest = v.result.cost
                history.append((v.at_seconds, lowest))
        return SearchReport(
            best=best.candidate,
            leaders=tuple(v.candidate for v in ranked[:LEADERS] if v.result.seconds is not None),
            best_seconds=best.result.cost,
            original_seconds=self.visits[0].result.cost,
            evaluated=self._evaluated,
            proposed=self.proposed,
            duplicates=self.duplicates,
            rejected=dict(self.rejected),
            failed=dict(Counter(str(v.result.failure) for v in failures)),
            failures=tuple(
                (str(v.result.failure), v.result.detail, v.candidate.text) for v in failures
            ),
            history=tuple(history),
            seconds=self.elapsed,
        )
