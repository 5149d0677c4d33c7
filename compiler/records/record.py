"""One measured schedule of one kernel on one kind of machine: plain data, checked when it is read.

A record holds no path and no code. What it says about itself is bounded, so that a file from a
stranger can waste neither memory nor the names of files.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from ...costmodel.hardware import Machine
from ...dialects.errors import InvalidInputError

# Those of `passes/poly/search`, which brings in isl: looking a schedule up must not.
FAILURES = ("illegal", "lowering", "build", "crash", "wrong", "slow", "memory")
LONGEST = {"steps": 200_000, "compiler": 2_000, "detail": 1_000, "name": 200, "target": 200}
HASH = re.compile(r"[0-9a-f]{40}")
LONGEST_SECONDS = 1e6
MOST_REPEATS = 1_000_000
MOST_THREADS = 65_536


@dataclass(frozen=True)
class Record:
    """A schedule (`steps`) of the kernel with the hash `task`, and its shortest time.

    `baseline` is the time of the default schedule in the same turns: ratios of the two compare
    between sessions, seconds do not. `noise` is median over shortest time, less one. `failure` says
    why there are no seconds, `time` is the Unix time of the measurement.
    """

    task: str
    name: str
    target: str
    compiler: str
    threads: int
    steps: str
    seconds: float | None
    baseline: float | None = None
    noise: float = 0.0
    repeats: int = 0
    failure: str | None = None
    detail: str = ""
    time: float = 0.0

    def __post_init__(self) -> None:
        problem = _problem(self)
        if problem:
            raise InvalidInputError(f"a tuning record is not valid: {problem}")
        for name in ("seconds", "baseline", "noise", "time"):  # 1 and 1.0 are one identity
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else float(value))

    @property
    def identity(self) -> str:
        """Equal for equal records: what makes merging a set union."""
        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.blake2b(text.encode(), digest_size=20).hexdigest()

    @property
    def speedup(self) -> float:
        """Time of the default schedule over this one's; 0 where there is none."""
        return 0.0 if not self.seconds or not self.baseline else self.baseline / self.seconds

    @staticmethod
    def from_data(data: Mapping[str, Any]) -> Record:
        """The record that `asdict` made `data` of; InvalidInputError for anything else."""
        names = {f.name for f in fields(Record)}
        if not isinstance(data, Mapping) or set(data) != names:
            raise InvalidInputError(f"a tuning record has the fields {', '.join(sorted(names))}")
        return Record(**data)


def _problem(record: Record) -> str:
    """What is wrong with `record`; empty where it is right."""
    for name in ("task", "name", "target", "compiler", "steps", "detail"):
        value = getattr(record, name)
        if not isinstance(value, str):
            return f"{name} is {type(value).__name__}, expected text"
        if len(value) > LONGEST.get(name, 40):
            return (
                f"{name} has {len(value)} characters, at most {LONGEST.get(name, 40)} are allowed"
            )
    if not HASH.fullmatch(record.task):
        return "task is not a hash of 40 hexadecimal digits"
    for name, most in (("threads", MOST_THREADS), ("repeats", MOST_REPEATS)):
        value = getattr(record, name)
        if type(value) is not int or not 0 <= value <= most:
            return f"{name} is {value!r:.40}, expected 0 to {most}"
    for name in ("seconds", "baseline"):
        value = getattr(record, name)
        if value is not None and not (_is_number(value) and 0 < value <= LONGEST_SECONDS):
            return f"{name} is {value!r:.40}, expected a time"
    for name in ("noise", "time"):
        value = getattr(record, name)
        if not _is_number(value) or not 0 <= value <= 1e12:
            return f"{name} is {value!r:.40}, expected a number"
    if record.failure is not None and record.failure not in FAILURES:
        return f"failure is {record.failure!r:.40}, expected one of {', '.join(FAILURES)}"
    if (record.failure is None) != (record.seconds is not None):
        return "expected either seconds or a failure"
    return ""


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def target_key(machine: Machine) -> str:
    """The name of a kind of machine: samples of machines with equal names can be compared."""
    digest = hashlib.blake2b(repr(machine).encode(), digest_size=4).hexdigest()
    return f"{machine.name}-{machine.isa}-{machine.cores}c-{digest}"
