"""One kernel's schedules against its default one: built, checked, and timed in turns with it.

What comes in are texts of schedules; what goes out are records with a time and that of the default,
or a reason why there is none. The default's time is the least that was seen, for finals that of the
same turns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from ...dialects.errors import VerifyFailure
from ...passes.poly.search import Result
from ..records.best import FINAL_REPEATS
from ..records.record import Record
from .candidate_record import Times, candidate_record
from .expectation import record_expectation
from .libraries import BuildPool, Library
from .model_tasks import KernelTask
from .run_process import RunProcess
from .worker_process import WorkerDied, WorkerTimeout

DEFAULT = "rules"
TURNS = 8
HOPELESS = 1.5  # times the default, beyond which the first runs are all
BATCH_SECONDS = 2e-3  # of running a kernel in one turn
MOST_RUNS = 20
BUILD_SECONDS = 30.0
RUN_SECONDS = 2.0


@dataclass
class Contest:
    """The workers of one kernel; `default` is its built default schedule, `seconds` its time."""

    kernel: KernelTask
    compiler: str
    builders: int

    def __post_init__(self) -> None:
        record_expectation(self.kernel.task, self.kernel.text)
        self.pool = BuildPool(self.kernel.task, self.builders)
        self.runner = RunProcess(self.kernel.task)
        [built] = self.pool.build([DEFAULT], BUILD_SECONDS)
        if isinstance(built, Result):
            raise VerifyFailure(f"{self.kernel.task.function}: {built.detail}")
        self.default = built
        first = self.checked(built, 60.0)
        if isinstance(first, Result):
            raise VerifyFailure(f"{self.kernel.task.function} under its default: {first.detail}")
        self.seconds = min(self.turn(built, first) for _ in range(3))

    def close(self) -> None:
        """End the workers."""
        self.pool.close()
        self.runner.close()

    def records(self, texts: Sequence[str], is_final: bool = False) -> Iterator[Record]:
        """A record per schedule, each as soon as it is measured. Those of finals have more turns:
        they outrank others, because they were not picked for their luck."""
        turns = FINAL_REPEATS if is_final else TURNS
        for text, built in zip(texts, self.pool.build(texts, BUILD_SECONDS), strict=True):
            yield self.record(text, built, turns)

    def record(self, text: str, built: Library | Result, turns: int = TURNS) -> Record:
        """The record of a built schedule."""
        found = self.times(built, turns) if isinstance(built, Library) else built
        if isinstance(found, Result):
            return candidate_record(self.kernel, self.compiler, text, found)
        mine, others = found
        self.seconds = min(self.seconds, *others)
        # A disturbance that meets the default's few turns alone would look like a gain.
        baseline = min(others) if turns >= FINAL_REPEATS else self.seconds
        noise = median(mine) / min(mine) - 1
        times = Times(min(mine), baseline, noise, len(mine))
        return candidate_record(self.kernel, self.compiler, text, times)

    def times(self, library: Library, turns: int) -> tuple[list[float], list[float]] | Result:
        """Times of a schedule and of the default one, in turns; or why there are none."""
        try:
            first = self.checked(library, 20 * self.seconds + RUN_SECONDS)
            if isinstance(first, Result):
                return first
            mine, others = [self.turn(library, first)], [self.turn(self.default, self.seconds)]
            while len(mine) < turns and min(mine) < HOPELESS * min(others):
                others.append(self.turn(self.default, self.seconds))
                mine.append(self.turn(library, first))
            self.runner.forget(library)
            return mine, others
        except WorkerTimeout as error:
            return Result(None, "slow", str(error))
        except WorkerDied as error:
            return Result(None, "crash", str(error))

    def checked(self, library: Library, limit: float) -> float | Result:
        """Seconds of the first run, once its results are right."""
        answer = self.runner.ask("check", library, limit)
        if "failure" in answer:
            return Result(None, answer["failure"], answer["detail"])
        if answer["wrong"]:
            self.runner.close()  # who knows what else it wrote
            return Result(None, "wrong", answer["wrong"])
        return float(answer["seconds"][0])

    def turn(self, library: Library, about: float) -> float:
        """The shortest of some runs in a row; the first warms caches and threads up."""
        runs = max(2, min(MOST_RUNS, round(BATCH_SECONDS / max(about, 1e-7))))
        limit = 20 * runs * about + RUN_SECONDS
        times: list[float] = self.runner.ask("time", library, limit, runs=runs)["seconds"]
        return min(times[1:])
