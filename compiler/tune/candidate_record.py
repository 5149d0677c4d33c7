"""The record of a candidate: its kernel, and a time or the reason why there is none."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

from ...passes.poly.search import Result
from ..records.record import Record, target_key
from .model_tasks import KernelTask

LONGEST_NAME, LONGEST_DETAIL = 200, 1000


@dataclass(frozen=True)
class Times:
    """Seconds of a candidate and of the default schedule; `noise` is the spread of the first."""

    seconds: float
    baseline: float
    noise: float = 0.0
    repeats: int = 1


def candidate_record(kernel: KernelTask, compiler: str, text: str, found: Times | Result) -> Record:
    """The record of the candidate `text`."""
    task = kernel.task
    given: dict[str, Any] = {
        "task": kernel.key,
        "name": task.function[:LONGEST_NAME],
        "target": target_key(task.machine),
        "compiler": compiler,
        "threads": task.threads,
        "steps": text,
        "time": time.time(),
    }
    if isinstance(found, Result):
        detail = found.detail[:LONGEST_DETAIL]
        return Record(**given, seconds=None, failure=found.failure, detail=detail)
    return Record(**given, **asdict(found))
