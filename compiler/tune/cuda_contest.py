"""One kernel's schedules on a GPU against its default one: events, flushed caches, medians of 50.

In: texts of choices. Out: records. A candidate runs in a process of its own, in turns with the
default schedule, after its results were compared with those of the program in its original order.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import ml_dtypes
import numpy as np

from ...codegen.cuda.timing import NO_DEVICE
from ...dialects.errors import IllegalScheduleError, OptionError, TilecastError, VerifyFailure
from ...dialects.poly import ScopOp
from ...dialects.reference.number_types import is_float_type
from ...passes.poly.rules_gpu.choice import GpuChoice
from ...passes.poly.search import Result
from ..records.record import Record
from ..verify.kernels import storage_type
from .candidate_record import Times, candidate_record
from .cuda_build import CudaBuilder
from .expectation import record_expectation
from .gpu_programs import GpuProgram, GpuPrograms
from .model_tasks import KernelTask
from .run_worker import difference

ROUNDS = 50
RUN_SECONDS = 60.0
ROUNDINGS = 4  # of the type of a result, that it may differ by


@dataclass
class CudaContest:
    """The candidates of one kernel; `seconds` is the median time of its default schedule."""

    kernel: KernelTask
    compiler: str
    builders: int = 2
    emulate: bool = False
    rounds: int = ROUNDS

    def __post_init__(self) -> None:
        task = self.kernel.task
        if isinstance(self.kernel.program, ScopOp):
            record_expectation(task, self.kernel.text)
        for k, argument in enumerate(task.arguments):
            np.array(task.initial(argument)).tofile(task.folder / f"{k}.bin")
        self.programs = GpuPrograms(self.kernel.text, task.machine)
        self.build = CudaBuilder(task, task.folder / "cuda", self.emulate)
        self.build.prepare()
        default = self.programs.program(GpuChoice())
        self.default = default, self.build.object(default, "usual_")
        found = self.times(self._built("rules", 0))
        if isinstance(found, Result):
            raise VerifyFailure(f"{task.function} under its default: {found.detail}")
        self.seconds = median(found[1])
        self._number = 0

    def close(self) -> None:
        """Nothing runs between calls."""

    def records(self, texts: Sequence[str], is_final: bool = False) -> Iterator[Record]:
        """A record per choice; builds run ahead of the measurements. Finals are nothing more: every
        measurement has as many rounds."""
        numbers = range(self._number + 1, self._number + 1 + len(texts))
        self._number += len(texts)
        with ThreadPoolExecutor(self.builders) as pool:
            jobs = [pool.submit(self._built, t, n) for t, n in zip(texts, numbers, strict=True)]
            for text, job in zip(texts, jobs, strict=True):
                yield self.record(text, self.times(job.result()))

    def record(self, text: str, found: tuple[list[float], list[float]] | Result) -> Record:
        """The record of a choice."""
        if isinstance(found, Result):
            return candidate_record(self.kernel, self.compiler, text, found)
        mine, others = found
        noise = median(mine) / min(mine) - 1
        times = Times(median(mine), median(others), noise, len(mine))
        return candidate_record(self.kernel, self.compiler, text, times)

    def _built(self, text: str, number: int) -> Path | Result:
        try:
            program: GpuProgram = self.programs.program(GpuChoice.parse(text))
            mine = program, self.build.object(program, f"c{number}_")
            return self.build.executable(self.default, mine, f"time{number}")
        except IllegalScheduleError as error:
            return Result(None, "illegal", str(error))
        except TilecastError as error:
            return Result(None, "build", str(error))

    def times(self, built: Path | Result) -> tuple[list[float], list[float]] | Result:
        """Seconds of the candidate and of the default in turns; or why there are none."""
        if isinstance(built, Result):
            return built
        folder = self.kernel.task.folder
        try:
            done = subprocess.run(
                [str(built), str(self.rounds), str(folder)],
                capture_output=True,
                text=True,
                timeout=RUN_SECONDS,
            )
        except subprocess.TimeoutExpired:
            return Result(None, "slow", f"more than {RUN_SECONDS:.0f} s")
        built.unlink()
        if done.returncode == NO_DEVICE:
            raise OptionError(
                f"runner cuda: expected a GPU, found none ({done.stderr.strip()}); tune where one "
                "is, or choose by the analytic model and nvcc's reports with --runner estimate"
            )
        if done.returncode:
            return Result(None, "crash", done.stderr.strip()[:1000])
        if wrong := self.wrong():
            return Result(None, "wrong", wrong)
        others, mine = ([ms * 1e-3 for ms in row] for row in json.loads(done.stdout))
        return mine, others

    def wrong(self) -> str:
        """Why the results are wrong; empty where they are right."""
        task = self.kernel.task
        for k, argument in enumerate(task.arguments):
            if not argument.is_written:
                continue
            shape, element = self.kernel.type_of(k)
            dtype = storage_type(element)
            found = np.fromfile(task.folder / f"{k}.out", dtype).reshape(shape)
            expected = np.array(task.expected(argument)).view(dtype).reshape(found.shape)
            bound = argument.bound
            if is_float_type(dtype):
                eps = float(ml_dtypes.finfo(dtype).eps)  # type: ignore[no-untyped-call]
                bound = max(bound, ROUNDINGS * eps)
                found, expected = found.astype(np.float64), expected.astype(np.float64)
            if text := difference(found, expected, bound):
                return f"{argument.name}: {text}"
        return ""
