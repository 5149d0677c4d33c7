"""The worker's side of a cluster: a kernel arrives as bytes, its contest stays open for the next.

What comes in is a `Payload`; what goes out are plain dicts: a record, or why there is none.
"""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from ...dialects.errors import TilecastError, VerifyFailure
from ..records.record import target_key
from ..runtime.toolchain import find_toolchain
from ..target import native_machine
from .contest import Contest
from .model_tasks import KernelTask
from .task import MeasureTask
from .training_data import read_scop


@dataclass(frozen=True)
class Payload:
    """A kernel's folder as (name, bytes), and what records say about it."""

    files: tuple[tuple[str, bytes], ...]
    text: str
    key: str
    calls: int
    compiler: str


def packed(kernel: KernelTask, compiler: str) -> Payload:
    """The kernel as bytes."""
    files = tuple((p.name, p.read_bytes()) for p in sorted(kernel.task.folder.iterdir()))
    return Payload(files, kernel.text, kernel.key, kernel.calls, compiler)


@dataclass
class Opened:
    """The contest that this process has open, and the folder of its task."""

    contest: Contest
    folder: tempfile.TemporaryDirectory[str]

    def close(self) -> None:
        """End its workers and remove its files."""
        self.contest.close()
        self.folder.cleanup()


MOST_OPEN = 4  # contests, each with idle processes and arrays
_opened: dict[str, Opened] = {}
_busy = Lock()  # one measurement at a time, however many threads the worker has


def default_seconds(payload: Payload, text: str, is_final: bool) -> dict[str, Any]:
    """The time of the default schedule here."""
    with _busy:
        try:
            return {"seconds": opened(payload).seconds}
        except TilecastError as error:
            return {"failure": str(error)}


def measured(payload: Payload, text: str, is_final: bool) -> dict[str, Any]:
    """The record of one schedule, and the least time of the default one."""
    with _busy:
        try:
            contest = opened(payload)
            [record] = contest.records([text], is_final)
        except TilecastError as error:
            return {"failure": str(error)}
        return {"record": asdict(record), "default": contest.seconds}


def opened(payload: Payload) -> Contest:
    """The contest of the kernel; of many, that which was not asked for longest is closed."""
    if payload.key not in _opened:
        while len(_opened) >= MOST_OPEN:
            _opened.pop(next(iter(_opened))).close()
        folder = tempfile.TemporaryDirectory(prefix="tilecast-tune-")
        try:
            contest = Contest(received(payload, Path(folder.name)), payload.compiler, 1)
        except BaseException:
            folder.cleanup()
            raise
        _opened[payload.key] = Opened(contest, folder)
    _opened[payload.key] = _opened.pop(payload.key)  # the last is the latest
    return _opened[payload.key].contest


def received(payload: Payload, folder: Path) -> KernelTask:
    """The kernel in a folder of this machine; VerifyFailure where this is a machine of another
    kind, or has another compiler, than that for which schedules are searched."""
    for name, content in payload.files:
        (folder / name).write_bytes(content)
    task = MeasureTask.read(folder)
    machine, toolchain = native_machine(), find_toolchain()
    if target_key(machine) != target_key(task.machine):
        raise VerifyFailure(
            f"a worker on {target_key(machine)} offers the resource of {target_key(task.machine)}"
        )
    if toolchain.identity != payload.compiler:
        raise VerifyFailure(
            f"a worker compiles with {toolchain.identity}, expected {payload.compiler}"
        )
    task = task.compiled_with((*toolchain.command, *toolchain.flags(machine)))
    return KernelTask(task, read_scop(payload.text), payload.text, payload.key, payload.calls)
