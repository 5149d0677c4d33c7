"""Who measures: this machine's CPU or GPU, or the workers of a Dask cluster.

`--runner local|dask://HOST:PORT`; for GPUs `cuda`, or `estimate`, which needs none. `local` is the
first of them that can be had.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

from ...costmodel.hardware import Machine
from ...dialects.errors import OptionError
from ..cuda.device import has_device
from ..logging import warn
from ..records.record import Record
from .contest import Contest
from .model_tasks import KernelTask

LOCAL = "local"
CUDA, ESTIMATE = "cuda", "estimate"
DASK = "dask://"


class AnyContest(Protocol):
    """Measures schedules of one kernel; `seconds` is the time of its default one."""

    seconds: float

    def records(self, texts: Sequence[str], is_final: bool = False) -> Iterator[Record]:
        """A record per schedule, in any order, each as soon as it is measured."""
        ...

    def close(self) -> None:
        """Let go of workers and what they hold."""
        ...


class Runner(Protocol):
    """Opens contests."""

    def contest(self, kernel: KernelTask, compiler: str) -> AnyContest:
        """The contest of a kernel; VerifyFailure where its default schedule cannot be measured."""
        ...


@dataclass(frozen=True)
class LocalRunner:
    """Processes of this machine."""

    builders: int = 2

    def contest(self, kernel: KernelTask, compiler: str) -> Contest:
        """A contest here."""
        return Contest(kernel, compiler, self.builders)


@dataclass(frozen=True)
class CudaRunner:
    """The GPU of this machine; `emulate` lets g++ and the emulation stand for it."""

    builders: int = 2
    emulate: bool = False

    def contest(self, kernel: KernelTask, compiler: str) -> AnyContest:
        """A contest on the device; OptionError where there is none."""
        from .cuda_contest import CudaContest

        return CudaContest(kernel, compiler, self.builders, self.emulate)


@dataclass(frozen=True)
class EstimateRunner:
    """The analytic model with nvcc's reports."""

    def contest(self, kernel: KernelTask, compiler: str) -> AnyContest:
        """A contest without a device."""
        from .estimate_contest import EstimateContest

        return EstimateContest(kernel, compiler)


def gpu_runner(text: str) -> CudaRunner | EstimateRunner:
    """The runner for a GPU target; OptionError for the name of another."""
    if text == LOCAL:
        text = CUDA if has_device() else ESTIMATE
        if text == ESTIMATE:
            warn("no GPU here: schedules are chosen by the analytic model and nvcc's reports")
    if text == CUDA:
        return CudaRunner()
    if text == ESTIMATE:
        return EstimateRunner()
    raise OptionError(f"runner: expected {LOCAL}, {CUDA} or {ESTIMATE} for a GPU, got {text!r}")


def opened_runner(text: str, machine: Machine) -> AbstractContextManager[Runner]:
    """The runner that `text` names; OptionError for another text and where no worker fits."""
    if machine.is_gpu:
        return nullcontext(gpu_runner(text))
    if text == LOCAL:
        return nullcontext(LocalRunner())
    if not text.startswith(DASK):
        raise OptionError(f"runner: expected {LOCAL} or {DASK}HOST:PORT, got {text!r}")
    try:
        from .dask_runner import DaskRunner  # brings in an extra
    except ImportError as error:
        raise OptionError(f"runner {text}: install tilecast[dask] ({error})") from error
    return DaskRunner.connected(text.removeprefix(DASK), machine)
