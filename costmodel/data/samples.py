"""A data set: what was measured, and the programs it was measured on.

samples.jsonl      one sample a line; lines are only ever appended
tasks.jsonl        one task a line: name, family, machine, threads, speeds
scops/NAME.mlir    the unscheduled program of task NAME

Features are no part of it: they are computed from program and schedule, by whatever schema is
current.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...dialects.errors import InvalidInputError
from ..hardware import Machine
from ..speeds import Speeds

SCHEMA = 1
LONGEST_LINE = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,120}")


@dataclass(frozen=True)
class Task:
    """A program of one size on one machine. `family` is what a split keeps together: all sizes of a
    program, all kernels of a network."""

    name: str
    family: str
    machine: Machine
    threads: int
    compiler: str
    speeds: Speeds

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InvalidInputError(
                f"{self.name!r} is no name of a task: letters, digits, _ . - only"
            )


@dataclass(frozen=True)
class Sample:
    """One schedule of a task: the shortest of `runs` times and how far their median was above it,
    as a share; or the kind of failure."""

    task: str
    steps: str
    seconds: float | None
    noise: float = 0.0
    runs: int = 0
    failure: str | None = None
    detail: str = ""


@dataclass(frozen=True)
class DataSet:
    """A folder with tasks and samples, which several runs may append to."""

    folder: Path

    def add_task(self, task: Task, scop_text: str) -> None:
        """Add a task; one that is there already stays as it is."""
        if any(known.name == task.name for known in self.tasks()):
            return
        (self.folder / "scops").mkdir(parents=True, exist_ok=True)
        (self.folder / "scops" / f"{task.name}.mlir").write_text(scop_text, encoding="utf-8")
        data = {**asdict(task), "speeds": json.loads(task.speeds.to_json())}
        self._append("tasks.jsonl", data)

    def add_sample(self, sample: Sample) -> None:
        """Append a sample; it is on disk when this returns."""
        self._append("samples.jsonl", asdict(sample))

    def tasks(self) -> list[Task]:
        """All tasks."""
        found = []
        for data in self._lines("tasks.jsonl"):
            machine = {**data["machine"], "features": tuple(data["machine"]["features"])}
            speeds = Speeds.from_json(json.dumps(data["speeds"]))
            found.append(Task(**{**data, "machine": Machine(**machine), "speeds": speeds}))
        return found

    def samples(self) -> list[Sample]:
        """All samples, of several of one schedule the last one."""
        found: dict[tuple[str, str], Sample] = {}
        for data in self._lines("samples.jsonl"):
            sample = Sample(**data)
            found[sample.task, sample.steps] = sample
        return list(found.values())

    def scop_text(self, task: str) -> str:
        """The program of a task."""
        if not _NAME.fullmatch(task):
            raise InvalidInputError(f"{task!r} is no name of a task")
        return (self.folder / "scops" / f"{task}.mlir").read_text(encoding="utf-8")

    def _append(self, name: str, data: dict[str, Any]) -> None:
        """One line in one write, so that lines of two processes do not mix."""
        self.folder.mkdir(parents=True, exist_ok=True)
        line = json.dumps({"schema": SCHEMA, **data}, sort_keys=True) + "\n"
        descriptor = os.open(self.folder / name, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                line = "\n" + line  # the end of a line that a killed process did not finish
            os.write(descriptor, line.encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _lines(self, name: str) -> Iterator[dict[str, Any]]:
        """The lines of a file; what a killed process left unfinished is skipped."""
        path = self.folder / name
        if not path.exists():
            return
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if len(line) > LONGEST_LINE:
                    raise InvalidInputError(f"{path}:{number}: more than {LONGEST_LINE} characters")
                try:
                    data = json.loads(line)
                except ValueError:
                    continue
                if not isinstance(data, dict) or data.pop("schema", None) != SCHEMA:
                    raise InvalidInputError(f"{path}:{number}: expected samples of schema {SCHEMA}")
                yield data
