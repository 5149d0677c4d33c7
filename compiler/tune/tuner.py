"""Tuning of a model: measurements go where they may save most of its time, each into the database.

before: the kernels of a model, and a database of tuning records
after:  the database with what was measured; a compilation takes the best of it
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from ...costmodel.features.hardware import Hardware
from ...costmodel.models.corrected import OF_FEATURES, CorrectedModel
from ...dialects.errors import IllegalScheduleError, VerifyFailure
from ...dialects.poly import ScopOp
from ...passes.poly.rules.schedule import has_rules
from ...passes.poly.search.rule_space import RuleSpace
from ...passes.tile.gpu_space import GpuSpace
from ..logging import warn
from ..records.best import RecordedSchedules, best_record
from .budget import TuningBudget
from .experience import experience, keep_features
from .gpu_programs import GpuPrograms
from .model_tasks import KernelTask
from .proposals import Proposals
from .rule_programs import RuleProgram, RulePrograms
from .runner import AnyContest, LocalRunner, Runner

BATCH = 8
FINALISTS = 3
PATIENCE = 4  # batches without a gain, after which a kernel is left alone
LEAST_GAIN = 0.02


@dataclass
class KernelSearch:
    """The state of one kernel; `best` is the least time over the default's, `idle` the batches
    since it fell, `final` whether its best are confirmed."""

    kernel: KernelTask
    contest: AnyContest
    proposals: Proposals[Any]
    best: float = 1.0
    idle: int = 0
    is_confirmed: bool = True

    @property
    def seconds(self) -> float:
        """Time that all calls of the kernel take under the best schedule."""
        return self.kernel.calls * self.contest.seconds * self.best

    @property
    def promise(self) -> float:
        """Time that another batch may save: less, the longer it has saved nothing."""
        return 0.0 if self.idle >= PATIENCE else self.seconds * 0.5**self.idle


@dataclass
class TuningRun:
    """A run over the kernels of one model. `report` gets a line after each batch; `curve` has
    (seconds, trials, time of all kernels under their best schedules over that of the default)."""

    records: RecordedSchedules
    model: CorrectedModel | None
    hardware: Hardware
    budget: TuningBudget
    report: Callable[[str], None]
    runner: Runner = field(default_factory=LocalRunner)
    seed: int = 0
    curve: list[tuple[float, int, float]] = field(default_factory=list)
    failed: Counter[str] = field(default_factory=Counter)
    trials: int = 0
    measured: int = 0
    searches: list[KernelSearch] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._start = time.monotonic()
        self._numbers: dict[str, int] = {}

    def number_of(self, task: str) -> int:
        """Tells tasks apart for the model."""
        return self._numbers.setdefault(task, len(self._numbers))

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._start

    @property
    def is_over(self) -> bool:
        """Whether the budget is spent."""
        return self.budget.left(self.trials, self.elapsed) <= 0

    @property
    def gain(self) -> float:
        """Time of all kernels under the default schedules over that under the best ones."""
        usual = sum(s.kernel.calls * s.contest.seconds for s in self.searches)
        return usual / sum(s.seconds for s in self.searches) if self.searches else 1.0

    def tune(self, kernels: Sequence[KernelTask]) -> None:
        """Search until the budget is spent or no kernel promises anything, then confirm the best.
        Whatever ends it, what was measured is in the database."""
        known = sum(len(self.texts_of(k)) for k in kernels)
        if self.budget.trials is not None and known >= self.budget.trials:
            self.trials = known
            self.report(f"{known} schedules are recorded already")
            return
        try:
            for kernel in kernels:
                self.open(kernel)
            self.learn_from_earlier_runs()
            while not self.is_over:
                search = max(self.searches, key=lambda s: s.promise, default=None)
                if search is None or search.promise == 0.0:
                    break
                self.advance(search)
            for search in self.searches:
                self.confirm(search)
        finally:
            for search in self.searches:
                search.contest.close()

    def texts_of(self, kernel: KernelTask) -> set[str]:
        """The schedules of a kernel that are recorded."""
        return {record.steps for record in self.records.of(kernel.key)}

    def open(self, kernel: KernelTask) -> None:
        """Begin with a kernel where earlier runs ended; one without rules is left alone."""
        program = kernel.program
        if isinstance(program, ScopOp) and not has_rules(program):
            return
        try:
            contest = self.runner.contest(kernel, self.records.compiler)
        except VerifyFailure as error:
            warn(f"{kernel.task.function} is not tuned: {error}")
            return
        proposals = self.proposals(kernel, contest.seconds)
        search = KernelSearch(kernel, contest, proposals)
        for record in self.records.of(kernel.key):
            try:
                choice = proposals.space.parse(record.steps)
            except IllegalScheduleError:  # steps, which this search does not vary
                continue
            proposals.told(choice, 1 / record.speedup if record.speedup else None)
        best = best_record(self.records.of(kernel.key))
        search.best = 1 / best.speedup if best is not None else 1.0
        self.trials += len(self.texts_of(kernel))
        self.searches.append(search)

    def learn_from_earlier_runs(self) -> None:
        """Correct the model by what the database has, where features say it all."""
        if self.model is not None and self.model.base.name in OF_FEATURES:
            known = experience(self.records, self.number_of)
            if known is not None:
                self.model.update(*known)

    def proposals(self, kernel: KernelTask, usual: float) -> Proposals[Any]:
        """Where the kernel's candidates come from; its default schedule takes `usual` seconds."""
        machine, threads = kernel.task.machine, kernel.task.threads
        rng = Random(f"{self.seed} {kernel.key} {len(self.texts_of(kernel))}")
        if machine.is_gpu:
            space = GpuSpace.of(kernel.program, machine)
            return Proposals(GpuPrograms(kernel.text, machine), space, rng)
        scop = kernel.program
        assert isinstance(scop, ScopOp)
        number = self.number_of(kernel.key)
        programs = RulePrograms(scop, machine, threads, self.model, self.hardware, number, usual)
        return Proposals(programs, RuleSpace(scop, machine, threads), rng)

    def advance(self, search: KernelSearch) -> None:
        """Measure one batch of a kernel."""
        size = BATCH
        if self.budget.trials is not None:
            size = max(1, min(BATCH, self.budget.trials - self.trials))
        choices = search.proposals.batch(size)
        asked = {str(choice): choice for choice in choices}
        before = search.best
        for record in search.contest.records(list(asked)):
            self.records.database.add([record])
            self.trials += 1
            self.measured += 1
            if record.failure is not None:
                self.failed[record.failure] += 1
            ratio = 1 / record.speedup if record.speedup else None
            search.proposals.told(asked[record.steps], ratio)
            program = search.proposals.made.get(record.steps)
            if ratio is not None and isinstance(program, RuleProgram) and program.candidate:
                keep_features(self.records, record, program.candidate)
            if ratio is not None and ratio < search.best:
                search.best, search.is_confirmed = ratio, False
            self.curve.append((self.elapsed, self.trials, 1 / self.gain))
            if self.is_over:
                break
        search.idle = 0 if search.best < (1 - LEAST_GAIN) * before else search.idle + 1
        if not choices:
            search.idle = PATIENCE
        self.report(self.line(search))

    def confirm(self, search: KernelSearch) -> None:
        """Measure the fastest few again, longer: the luckiest of many measurements looks best."""
        if search.is_confirmed:
            return
        texts = [str(choice) for _, choice in search.proposals.population[:FINALISTS]]
        for record in search.contest.records(texts, is_final=True):
            self.records.database.add([record])
        best = best_record(self.records.of(search.kernel.key))
        search.best = 1 / best.speedup if best is not None else 1.0
        search.is_confirmed = True
        self.curve.append((self.elapsed, self.trials, 1 / self.gain))

    def line(self, search: KernelSearch) -> str:
        """Where the run stands."""
        left = self.budget.left(self.trials, self.elapsed)
        eta = self.elapsed * left / max(1e-9, 1 - left)
        failed = ", ".join(f"{n} {reason}" for reason, n in sorted(self.failed.items()))
        waiting = sum(s.promise for s in self.searches) / max(
            1e-12, sum(s.seconds for s in self.searches)
        )
        name = search.kernel.task.function
        return (
            f"{name}: {1 / search.best:.2f}x; kernels together {self.gain:.2f}x,"
            f" {self.trials} tried, failed: {failed or 'none'}, open {waiting:.0%}, ETA {eta:.0f} s"
        )
