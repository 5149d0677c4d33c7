"""A data set: what was measured, and the programs it was measured on.

samples.jsonl      one sample a line; lines are only ever appended
objects.jsonl      one kernel a line with what compilers made of it (objects.py)
tasks.jsonl        one task a line: name, family, group, machine, threads, speeds
scops/NAME.mlir    the unscheduled program of task NAME
*.tar.xz           the same files, packed, where there are no others; several are read as one

Features are no part of it: they are computed from program and schedule, by whatever schema is
current.
"""

from __future__ import annotations

import io
import json
import lzma
import os
import re
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ...dialects.errors import InvalidInputError
from ..hardware import Machine
from ..speeds import Speeds
from .objects import ObjectSample, object_of

SCHEMA = 1
LONGEST_LINE = 1 << 20
LONGEST_SECONDS = 1e6
NOISY = 0.2
ARCHIVES = "*.tar.xz"
LARGEST_UNPACKED = 1 << 30
_MEMBER = re.compile(r"(tasks|samples|objects)\.jsonl|scops/[A-Za-z0-9][A-Za-z0-9_.-]{0,120}\.mlir")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,120}")


@dataclass(frozen=True)
class Task:
    """A program of one size on one machine. `family` is what a split keeps together: all sizes of a
    program, all kernels of a network. Tasks of one `group` are the same program with statements
    rewritten in different ways; their samples are compared with each other."""

    name: str
    family: str
    machine: Machine
    threads: int
    compiler: str
    speeds: Speeds
    group: str = ""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InvalidInputError(
                f"{self.name!r} is no name of a task: letters, digits, _ . - only"
            )


@dataclass(frozen=True)
class Sample:
    """One schedule of a task: the shortest of `runs` times and how far their median was above it,
    as a share; or the kind of failure. `halves` are the shortest of every other round and of the
    rest: two measurements, whose difference says what a time is good for. `choice` is what the
    rules were told, where they made it; instructions, vector instructions and spills are those in
    the object code."""

    task: str
    steps: str
    seconds: float | None
    noise: float = 0.0
    runs: int = 0
    failure: str | None = None
    detail: str = ""
    choice: str = ""
    instructions: int | None = None
    vector_instructions: int | None = None
    spills: int | None = None
    halves: tuple[float, float] | None = None

    @property
    def is_noisy(self) -> bool:
        """Whether the runs differ so much that something else must have run."""
        return self.noise >= NOISY


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

    def add_object(self, sample: ObjectSample) -> None:
        """Append what a compiler made of a kernel."""
        self._append("objects.jsonl", asdict(sample))

    def objects(self) -> list[ObjectSample]:
        """All kernels with what compilers made of them, equal ones once."""
        return list(dict.fromkeys(map(object_of, self._lines("objects.jsonl"))))

    def tasks(self) -> list[Task]:
        """All tasks."""
        return [task_of(data) for data in self._lines("tasks.jsonl")]

    def samples(self) -> list[Sample]:
        """All samples, of several of one schedule the shortest: disturbances make it longer."""
        found: dict[tuple[str, str], Sample] = {}
        for data in self._lines("samples.jsonl"):
            sample = sample_of(data)
            known = found.get((sample.task, sample.steps))
            if known is None or not is_shorter(known, sample):
                found[sample.task, sample.steps] = sample
        return list(found.values())

    def scop_text(self, task: str) -> str:
        """The program of a task."""
        if not _NAME.fullmatch(task):
            raise InvalidInputError(f"{task!r} is no name of a task")
        return (self.folder / "scops" / f"{task}.mlir").read_text(encoding="utf-8")

    def absorb(self, other: DataSet) -> None:
        """Add what `other` has. Of a program that both have, what is here stays: samples of another
        version of the compiler do not mix with its own."""
        known = {task.group or task.name for task in self.tasks()}
        kept = {t.name for t in other.tasks() if (t.group or t.name) not in known}
        (self.folder / "scops").mkdir(parents=True, exist_ok=True)
        for name in kept:
            path = self.folder / "scops" / f"{name}.mlir"
            path.write_text(other.scop_text(name), encoding="utf-8")
        for file, key in (
            ("tasks.jsonl", "name"),
            ("samples.jsonl", "task"),
            ("objects.jsonl", ""),
        ):
            with (self.folder / file).open("a", encoding="utf-8") as lines:
                for data in other._lines(file):
                    if not key or data.get(key) in kept:
                        line = json.dumps({"schema": SCHEMA, **data}, sort_keys=True)
                        lines.write(line + "\n")

    def pack(self, archive: Path) -> None:
        """Write all files into one compressed archive."""
        with tarfile.open(archive, "w:xz", preset=9) as packed:
            for path in [
                *sorted(self.folder.glob("*.jsonl")),
                *sorted(self.folder.glob("scops/*")),
            ]:
                info = tarfile.TarInfo(str(path.relative_to(self.folder)))
                content = path.read_bytes()
                info.size = len(content)
                packed.addfile(info, io.BytesIO(content))

    @staticmethod
    @contextmanager
    def opened(folder: Path) -> Iterator[DataSet]:
        """The data set in `folder`, unpacked elsewhere where only archives are there."""
        archives = sorted(folder.glob(ARCHIVES))
        if (folder / "tasks.jsonl").exists() or not archives:
            yield DataSet(folder)
            return
        with tempfile.TemporaryDirectory() as name:
            whole = DataSet(Path(name) / "all")
            unpack(archives[0], whole.folder)
            for archive in archives[1:]:
                part = Path(name) / archive.name
                unpack(archive, part)
                whole.absorb(DataSet(part))
            yield whole

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


def merged(first: Sample, second: Sample) -> Sample:
    """Two measurements of one schedule as one. A time that came out twice is good, however often
    something else ran in between: the noise is at most by how much they differ."""
    if first.seconds is None or second.seconds is None:
        return first if second.seconds is None else second
    times = [*(first.halves or (first.seconds,)), *(second.halves or (second.seconds,))]
    shortest, next_one = sorted(times)[:2]
    noise = min(first.noise, second.noise, next_one / shortest - 1)
    best = second if is_shorter(second, first) else first
    runs = first.runs + second.runs
    return replace(best, noise=noise, runs=runs, halves=(shortest, next_one))


def is_shorter(known: Sample, other: Sample) -> bool:
    """Whether `known` has a time that is shorter than that of `other`."""
    return known.seconds is not None and (other.seconds is None or known.seconds < other.seconds)


def unpack(archive: Path, folder: Path) -> None:
    """Files of a packed data set; InvalidInputError for other files and absurd sizes."""
    left = LARGEST_UNPACKED
    try:
        with tarfile.open(archive, "r:xz") as packed:
            for member in packed:
                left -= member.size
                if not (member.isfile() and _MEMBER.fullmatch(member.name)) or left < 0:
                    raise InvalidInputError(f"{archive} is no data set: it holds {member.name!r}")
                path = folder / member.name
                path.parent.mkdir(parents=True, exist_ok=True)
                file = packed.extractfile(member)
                assert file is not None
                path.write_bytes(file.read())
    except (OSError, EOFError, tarfile.TarError, lzma.LZMAError) as error:
        raise InvalidInputError(f"{archive} is no data set: {error}") from error


def task_of(data: dict[str, Any]) -> Task:
    """The task of a line; InvalidInputError where fields are missing or of another type."""
    try:
        machine = {**data["machine"], "features": tuple(data["machine"]["features"])}
        speeds = Speeds.from_json(json.dumps(data["speeds"]))
        return Task(**{**data, "machine": Machine(**machine), "speeds": speeds})
    except (TypeError, KeyError) as error:
        raise InvalidInputError(f"a line of tasks.jsonl is no task: {error}") from error


def sample_of(data: dict[str, Any]) -> Sample:
    """The sample of a line; InvalidInputError for times that none can be."""
    try:
        sample = Sample(**data)
        if sample.halves is not None:
            first, second = map(float, sample.halves)
            sample = replace(sample, halves=(first, second))
        if not (isinstance(sample.task, str) and isinstance(sample.steps, str)):
            raise TypeError("task and steps are texts")
        if sample.seconds is not None and not 0 < sample.seconds < LONGEST_SECONDS:
            raise TypeError(f"{sample.seconds} seconds")
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"a line of samples.jsonl is no sample: {error}") from error
    return sample
