"""Schedules of a kernel for a GPU that is not at hand: estimated, with what nvcc says of them.

In: texts of choices. Out: records, whose seconds are those of the roofline under the registers,
spills and shared memory that nvcc reports. They are kept apart from measurements.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ...codegen.cuda.unit import cuda_headers
from ...costmodel.gpu_roofline import estimate
from ...dialects.errors import IllegalScheduleError, TilecastError, VerifyFailure
from ...passes.poly.rules_gpu.choice import GpuChoice
from ...passes.poly.search import Result
from ..cuda.reports import launch_reports
from ..records.record import Record
from .candidate_record import Times, candidate_record
from .gpu_programs import GpuProgram, GpuPrograms
from .model_tasks import KernelTask

PREFIX = "m_"


@dataclass
class EstimateContest:
    """The candidates of one kernel; `seconds` is the estimate of its default schedule."""

    kernel: KernelTask
    compiler: str

    def __post_init__(self) -> None:
        self.programs = GpuPrograms(self.kernel.text, self.kernel.task.machine)
        try:
            self.seconds = self.estimated("rules")
        except TilecastError as error:
            raise VerifyFailure(
                f"{self.kernel.task.function} under its default: {error}"
            ) from error

    def close(self) -> None:
        """Nothing runs between calls."""

    def estimated(self, text: str) -> float:
        """Seconds of all launches under a choice; a TilecastError where there is no program."""
        return estimated_seconds(self.programs.program(GpuChoice.parse(text)))

    def records(self, texts: Sequence[str], is_final: bool = False) -> Iterator[Record]:
        """A record per choice."""
        for text in texts:
            found: Times | Result
            try:
                found = Times(self.estimated(text), self.seconds)
            except IllegalScheduleError as error:
                found = Result(None, "illegal", str(error))
            except TilecastError as error:
                found = Result(None, "build", str(error))
            yield candidate_record(self.kernel, self.compiler, text, found)


def estimated_seconds(program: GpuProgram) -> float:
    """The roofline of each launch, with the occupancy that nvcc's report allows."""
    name = program.machine.name
    sources = {"kernel.cu": program.cuda(PREFIX), **cuda_headers()}
    total = 0.0
    for report in launch_reports(sources, name):
        work = program.works[report.kernel.removeprefix(PREFIX)]
        total += estimate(work, name, report.occupancy, report.spill_bytes).seconds
    return total
