"""Who measures: this machine, or the workers of a Dask cluster. `--runner local|dask://HOST:PORT`"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

from ...costmodel.hardware import Machine
from ...dialects.errors import OptionError
from ..records.record import Record
from .contest import Contest
from .model_tasks import KernelTask

LOCAL = "local"
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


def opened_runner(text: str, machine: Machine) -> AbstractContextManager[Runner]:
    """The runner that `text` names; OptionError for another text and where no worker fits."""
    if text == LOCAL:
        return nullcontext(LocalRunner())
    if not text.startswith(DASK):
        raise OptionError(f"runner: expected {LOCAL} or {DASK}HOST:PORT, got {text!r}")
    try:
        from .dask_runner import DaskRunner  # brings in an extra
    except ImportError as error:
        raise OptionError(f"runner {text}: install tilecast[dask] ({error})") from error
    return DaskRunner.connected(text.removeprefix(DASK), machine)
