"""Which recorded schedule a kernel gets: the one that beats the default most, where any does.

Times of different sessions do not compare, ratios to the default schedule in the same turns do. The
luckiest of many measurements looks faster than it is; measurements of a final, with more repeats,
therefore outrank others.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ...costmodel.hardware import Machine
from .database import Database
from .record import Record, target_key

RECORDS = "tuning.sqlite"  # in the cache folder
FINAL_REPEATS = 25  # what only finals reach
MARGIN = 0.02  # a schedule has to be faster by this share
UNCONFIRMED_MARGIN = 0.10


def gpu_compiler(is_estimated: bool) -> str:
    """The compiler in records of GPU schedules: estimates are kept apart from measurements."""
    return "nvcc, estimated" if is_estimated else "nvcc"


@dataclass(frozen=True)
class RecordedSchedules:
    """The records of one kind of machine, for one compiler and number of threads."""

    database: Database
    target: str
    compiler: str
    threads: int

    def of(self, task: str) -> list[Record]:
        """All records of a kernel."""
        found = self.database.records(task, self.target, self.threads)
        return [record for record in found if record.compiler == self.compiler]

    def best(self, task: str) -> Record | None:
        """The schedule to use; None where the default one is."""
        return best_record(self.of(task))


def recorded_schedules(
    folder: Path, machine: Machine, compiler: str, threads: int
) -> dict[str, str]:
    """What tuning found for kernels on `machine`, by kernel, in the database of a cache folder.

    On a GPU, what was measured goes before what was estimated.
    """
    path, target = folder / RECORDS, target_key(machine)
    if not machine.is_gpu:
        return chosen_schedules(path, target, compiler, threads)
    estimated, measured = (
        chosen_schedules(path, target, gpu_compiler(is_estimated), threads)
        for is_estimated in (True, False)
    )
    return estimated | measured


def chosen_schedules(path: Path, target: str, compiler: str, threads: int) -> dict[str, str]:
    """The recorded schedules to use, by kernel; none where there is no database at `path`."""
    if not path.exists():
        return {}
    by_task: dict[str, list[Record]] = {}
    with Database(path, create=False) as database:
        for record in database.records(target=target, threads=threads):
            if record.compiler == compiler:
                by_task.setdefault(record.task, []).append(record)
    found = {task: best_record(records) for task, records in sorted(by_task.items())}
    return {task: best.steps for task, best in found.items() if best is not None}


def best_record(records: Iterable[Record]) -> Record | None:
    """The record of the fastest schedule; None where none is clearly faster than the default."""
    known = list(records)
    broken = {r.steps for r in known if r.failure in ("wrong", "crash")}
    chosen: dict[str, Record] = {}
    for record in known:
        if record.seconds is None or record.steps in broken:
            continue
        other = chosen.get(record.steps)
        if other is None or _trust(record) >= _trust(other):
            chosen[record.steps] = record
    finals = [r for r in chosen.values() if r.repeats >= FINAL_REPEATS]
    margin = MARGIN if finals else UNCONFIRMED_MARGIN
    ranked = sorted(finals or chosen.values(), key=lambda r: (-r.speedup, r.steps))
    if not ranked or ranked[0].speedup < 1 + margin:
        return None
    return ranked[0]


def _trust(record: Record) -> tuple[int, float, str]:
    """More repeats, then the later one; the identity makes the order total."""
    return record.repeats, record.time, record.identity
