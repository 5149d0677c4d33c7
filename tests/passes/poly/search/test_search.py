"""Searches on a space with a known optimum: found, deduplicated, counted, repeatable."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest
from tilecast.dialects.errors import IllegalScheduleError
from tilecast.dialects.schedule import Split, Step
from tilecast.passes.poly.search import (
    BeamSearch,
    Budget,
    Candidate,
    EvolutionarySearch,
    Result,
    SearchReport,
)
from tilecast.passes.poly.search.exploration import Exploration, reason_of

Numbers = tuple[int, ...]
BEST = (7, 3, 9, 1)


class FactorSpace:
    """Four split factors; the third may not be 5."""

    def defaults(self) -> Sequence[Numbers]:
        return [(1, 1, 1, 1), (1, 1, 5, 1)]

    def sample(self, rng: Random) -> Numbers:
        return tuple(rng.randint(1, 10) for _ in BEST)

    def mutate(self, point: Numbers, rng: Random) -> Numbers:
        at = rng.randrange(len(point))
        value = min(10, max(1, point[at] + rng.choice((-2, -1, 1, 2))))
        return (*point[:at], value, *point[at + 1 :])

    def crossover(self, one: Numbers, other: Numbers, rng: Random) -> Numbers:
        return tuple(rng.choice(pair) for pair in zip(one, other, strict=True))

    def steps(self, point: Numbers) -> Sequence[Step]:
        if point[2] == 5:
            raise IllegalScheduleError("split: the third factor of 'i2' is 5; choose another")
        return [Split(f"i{k}", n, f"o{k}", f"n{k}") for k, n in enumerate(point)]


class Distance:
    """The cost is the distance from BEST; the first factor 2 crashes. Calls are recorded."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def evaluate(self, candidates: Sequence[Candidate]) -> list[Result]:
        self.asked += [c.text for c in candidates]
        return [self.cost(c) for c in candidates]

    def cost(self, candidate: Candidate) -> Result:
        if not candidate.steps:
            return Result(100.0)
        factors = [s.factor for s in candidate.steps if isinstance(s, Split)]
        if factors[0] == 2:
            return Result(None, "crash", "SIGSEGV")
        return Result(1.0 + sum(abs(a - b) for a, b in zip(factors, BEST, strict=True)))


SEARCHES = [BeamSearch(seed=3), EvolutionarySearch(seed=3)]


@pytest.fixture(params=SEARCHES, ids=["beam", "evolutionary"])
def search(request: pytest.FixtureRequest) -> BeamSearch | EvolutionarySearch:
    found: BeamSearch | EvolutionarySearch = request.param
    return found


def run(search: BeamSearch | EvolutionarySearch, evaluations: int = 600) -> SearchReport:
    return search.search(FactorSpace(), Distance(), Budget(evaluations=evaluations))


def test_the_optimum_is_found(search: BeamSearch | EvolutionarySearch) -> None:
    report = run(search)
    assert report.best_seconds == 1.0
    assert [s.factor for s in report.best.steps if isinstance(s, Split)] == list(BEST)
    assert report.original_seconds == 100.0
    assert report.leaders[0] == report.best
    assert len({c.text for c in report.leaders}) == 4
    costs = [cost for _, cost in report.history]
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] == 1.0


def test_no_schedule_is_evaluated_twice(search: BeamSearch | EvolutionarySearch) -> None:
    evaluator = Distance()
    report = search.search(FactorSpace(), evaluator, Budget(evaluations=200))
    assert len(set(evaluator.asked)) == len(evaluator.asked) == report.evaluated == 200
    assert evaluator.asked[0] == ""
    assert report.duplicates > 0


def test_rejections_and_failures_are_counted(search: BeamSearch | EvolutionarySearch) -> None:
    report = run(search)
    assert set(report.rejected) == {"split"}
    assert report.failed["crash"] == len(report.failures) > 0
    for kind, detail, text in report.failures:
        assert (kind, detail) == ("crash", "SIGSEGV")
        assert text.startswith("split(i0, 2,")


def test_the_same_seed_repeats_the_search(search: BeamSearch | EvolutionarySearch) -> None:
    one, other = Distance(), Distance()
    search.search(FactorSpace(), one, Budget(evaluations=80))
    search.search(FactorSpace(), other, Budget(evaluations=80))
    assert one.asked == other.asked


def test_a_space_of_one_schedule_comes_to_an_end(search: BeamSearch | EvolutionarySearch) -> None:
    class Point(FactorSpace):
        def mutate(self, point: Numbers, rng: Random) -> Numbers:
            return point

        def sample(self, rng: Random) -> Numbers:
            return BEST

        def crossover(self, one: Numbers, other: Numbers, rng: Random) -> Numbers:
            return one

        def defaults(self) -> Sequence[Numbers]:
            return [BEST]

    report = search.search(Point(), Distance(), Budget(proposals=500))
    assert report.evaluated == 2
    assert report.best_seconds == 1.0


def test_the_original_order_is_the_answer_where_nothing_is_better() -> None:
    class Worse(Distance):
        def cost(self, candidate: Candidate) -> Result:
            return Result(None, "wrong", "") if candidate.steps else Result(2.0)

    report = BeamSearch().search(FactorSpace(), Worse(), Budget(evaluations=50))
    assert report.best == Candidate()
    assert report.failed == {"wrong": 49}


def test_time_ends_a_search_between_batches() -> None:
    now = 0.0

    class Slow(Distance):
        def evaluate(self, candidates: Sequence[Candidate]) -> list[Result]:
            nonlocal now
            now += 10.0 * len(candidates)
            return super().evaluate(candidates)

    evaluator = Slow()
    seen = Exploration(FactorSpace(), evaluator, Budget(seconds=45), batch=2, clock=lambda: now)
    seen.visit([(n, 1, 1, 1) for n in range(3, 10)])
    assert len(evaluator.asked) == 5


def test_an_illegal_verdict_of_the_evaluator_is_no_failure() -> None:
    class Strict(Distance):
        def cost(self, candidate: Candidate) -> Result:
            if candidate.steps:
                return Result(None, "illegal", "loop 'i0' reverses a dependence: S1 -> S0")
            return Result(1.0)

    report = BeamSearch().search(FactorSpace(), Strict(), Budget(proposals=30))
    assert report.rejected["loop _ reverses a dependence"] > 0
    assert (report.evaluated, report.failed) == (1, {})


def test_reasons_drop_names_and_numbers() -> None:
    assert reason_of("loop 'x' has 8 lanes but runs from 0 to 9") == reason_of(
        "loop 'y.i1' has 16 lanes but runs from 0 to 17"
    )
