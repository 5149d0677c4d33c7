"""Measurement as the cost of a schedule: build in parallel, check, time in turns with the best.

A candidate is run once and compared with the untransformed program's results before it is timed.
Then it takes turns with the incumbent, the fastest candidate so far, and its cost is the ratio of
their times by the incumbent's cost, so that a machine that gets slower meanwhile changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ...passes.poly.search import Candidate, Result
from .libraries import BuildPool, Library
from .run_process import RunProcess
from .task import MeasureTask
from .worker_process import WorkerDied, WorkerTimeout


@dataclass(frozen=True)
class Patience:
    """How much time a measurement may take.

    A candidate is dropped after its first run where that takes `hopeless` times the incumbent, and
    between rounds where its best is `slower` times the incumbent's; else up to `rounds` are run,
    until `seconds` are used. `build_seconds` bounds lowering and C compilation of a candidate; a
    run is killed after `run_seconds` more than twice the limit of the hopeless.
    """

    rounds: int = 15
    seconds: float = 0.4
    hopeless: float = 1.5
    slower: float = 1.1
    build_seconds: float = 20.0
    run_seconds: float = 0.5
    first_run_seconds: float = 60.0


@dataclass
class Incumbent:
    """The fastest candidate so far and what it costs."""

    library: Library
    seconds: float


@dataclass
class MeasuredEvaluator:
    """Measures candidates of `task`, whose expected results must be there (see `expectation`).

    `spent` has the seconds that went into lowering, compiling and running.
    """

    task: MeasureTask
    builders: int = 2
    patience: Patience = field(default_factory=Patience)
    spent: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.pool = BuildPool(self.task, self.builders)
        self.runner = RunProcess(self.task)
        self.incumbent: Incumbent | None = None

    def __enter__(self) -> MeasuredEvaluator:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End the workers."""
        self.pool.close()
        self.runner.close()

    def evaluate(self, candidates: Sequence[Candidate]) -> list[Result]:
        """Seconds of each candidate, or why it has none."""
        texts = [c.text for c in candidates]
        built = self.pool.build(texts, self.patience.build_seconds)
        return [b if isinstance(b, Result) else self.measure(b) for b in built]

    def measure(self, library: Library) -> Result:
        """Seconds of a built candidate, once its results are right."""
        for phase, seconds in (("lower", library.lower_s), ("compile", library.compile_s)):
            self.spent[phase] = self.spent.get(phase, 0.0) + seconds
        limit = self.patience.first_run_seconds
        if self.incumbent is not None:
            limit = 2 * self.patience.hopeless * self.incumbent.seconds + self.patience.run_seconds
        try:
            answer = self.runner.ask("check", library, limit)
            if "failure" in answer:
                return Result(None, answer["failure"], answer["detail"])
            if answer["wrong"]:
                self.runner.close()  # who knows what else it wrote
                return Result(None, "wrong", answer["wrong"])
            return Result(self._compare(library, answer["seconds"][0]))
        except WorkerTimeout as error:
            return Result(None, "slow", str(error))
        except WorkerDied as error:
            return Result(None, "crash", str(error))

    def _compare(self, library: Library, first: float) -> float:
        """The cost of a correct candidate, `first` being the time of its first run."""
        best = self.incumbent
        if best is None:
            seconds = min(self._rounds([library], first)[0])
            self.incumbent = Incumbent(library, seconds)
            return seconds
        if first > self.patience.hopeless * best.seconds:
            return first
        mine, others = self._rounds([library, best.library], first)
        seconds = best.seconds * min(mine) / min(others)
        if seconds < best.seconds:
            self.incumbent = Incumbent(library, seconds)
        return seconds

    def _rounds(self, libraries: Sequence[Library], first: float) -> list[list[float]]:
        """Times of each library, in turns; the first one has run once already."""
        times: list[list[float]] = [[] for _ in libraries]
        times[0].append(first)
        limit = 10 * first + 10 * self.patience.run_seconds
        for k in range(self.patience.rounds):
            if k >= 1 and self._is_decided(times):
                break
            for library, seconds in reversed(list(zip(libraries, times, strict=True))):
                answer: dict[str, Any] = self.runner.ask("time", library, limit, runs=1)
                seconds += answer["seconds"]
        return times

    def _is_decided(self, times: Sequence[Sequence[float]]) -> bool:
        """Whether the time is up, or the first library is clearly slower than the second."""
        if sum(map(sum, times)) > self.patience.seconds:
            return True
        return len(times) == 2 and min(times[0]) > self.patience.slower * min(times[1])
