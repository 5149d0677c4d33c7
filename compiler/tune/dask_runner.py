"""Measuring on a Dask cluster: each schedule is a task for a worker of the same hardware.

A worker says what it is by a resource, `dask worker ... --resources "tilecast-KEY=1"`, one unit of
which every measurement needs: so it makes one at a time. A worker that dies costs what it was
measuring; Dask gives that to another. What a worker measures with is `Contest`, as here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import distributed

from ...costmodel.hardware import Machine
from ...dialects.errors import OptionError, VerifyFailure
from ..records.record import Record, target_key
from . import remote
from .model_tasks import KernelTask

dask: Any = distributed  # its functions have no types
CONNECT_SECONDS = 20
TRIES = 10  # deaths of workers that a measurement outlives


def resource_of(machine: Machine) -> str:
    """The name of the resource that workers of this kind of machine offer."""
    return f"tilecast-{target_key(machine)}"


@dataclass(frozen=True)
class DaskRunner:
    """The workers of a scheduler that offer `resource`."""

    client: Any
    resource: str

    @staticmethod
    @contextmanager
    def connected(address: str, machine: Machine) -> Iterator[DaskRunner]:
        """A runner on the scheduler at HOST:PORT; OptionError without it or a worker that fits."""
        try:
            client = dask.Client(f"tcp://{address}", timeout=CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError) as error:
            raise OptionError(
                f"runner dask://{address}: no scheduler answers there ({error}); start one with "
                "`dask scheduler`"
            ) from error
        try:
            runner = DaskRunner(client, resource_of(machine))
            runner.workers()
            yield runner
        finally:
            client.close()

    def workers(self) -> list[str]:
        """The addresses of the workers that fit; OptionError where there are none."""
        known: dict[str, Any] = self.client.scheduler_info(n_workers=-1)["workers"]
        found = [name for name, about in known.items() if self.resource in about["resources"]]
        if not found:
            raise OptionError(
                f"none of the {len(known)} workers of this scheduler is a machine like this one; "
                f'start some there with `dask worker ... --resources "{self.resource}=1"`'
            )
        return found

    def contest(self, kernel: KernelTask, compiler: str) -> DaskContest:
        """A contest on the workers."""
        return DaskContest(self, kernel, compiler)


@dataclass
class DaskContest:
    """One kernel's schedules on the workers; `seconds` is the default's least time on any."""

    runner: DaskRunner
    kernel: KernelTask
    compiler: str
    seconds: float = field(init=False)

    def __post_init__(self) -> None:
        self.payload = remote.packed(self.kernel, self.compiler)
        self._data: Any = None
        [(_, answer)] = self._answers(remote.default_seconds, [""], False)
        if "failure" in answer:
            raise VerifyFailure(answer["failure"])
        self.seconds = answer["seconds"]

    def records(self, texts: Sequence[str], is_final: bool = False) -> Iterator[Record]:
        """Records in the order in which workers have them."""
        for text, answer in self._answers(remote.measured, texts, is_final):
            if "failure" in answer:
                raise VerifyFailure(f"{self.kernel.task.function}: {text}: {answer['failure']}")
            self.seconds = min(self.seconds, answer["default"])
            yield Record.from_data(answer["record"])

    def close(self) -> None:
        """Forget the arrays; workers keep the contest for a while."""
        self._data = None

    def _answers(
        self, function: Any, texts: Sequence[str], is_final: bool
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """What the workers say of each text, once. Where the arrays died with the workers that held
        them, what is left is asked again."""
        waiting = list(texts)
        for _ in range(TRIES):
            try:
                asked = self._submitted(function, waiting, is_final)
            except (OSError, TimeoutError):  # a worker died while it was sent the arrays
                self._data = None
                continue
            for future in dask.as_completed(asked, loop=self.runner.client.loop):
                if future.status == "finished":
                    waiting.remove(asked[future])
                    yield asked[future], future.result()
                elif future.status == "error":
                    error = future.exception()
                    if type(error).__name__ not in ("KilledWorker", "CancelledError"):
                        raise OptionError(f"a worker cannot measure: {error}") from error
            if not waiting:
                return
            self._data = None
        raise OptionError(f"workers died {TRIES} times while they measured {waiting[0]!r}")

    def _submitted(self, function: Any, texts: Sequence[str], is_final: bool) -> dict[Any, str]:
        client, fit = self.runner.client, self.runner.workers()
        if self._data is None:
            self._data = client.scatter(self.payload, workers=fit, broadcast=True, hash=False)
        return {
            client.submit(
                function,
                self._data,
                text,
                is_final,
                resources={self.runner.resource: 1},
                pure=False,
            ): text
            for text in texts
        }
