"""The database of schedules that searches found: one JSON file per class of machine.

{"threads 2": {"gemm": {"LARGE": {"schedule": [...], "seconds": 0.01, ...}}}}
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tilecast.costmodel.hardware import Machine
from tilecast.passes.poly.search import Candidate

FOLDER = Path(__file__).with_name("schedules")


@dataclass(frozen=True)
class StoredSchedule:
    """A schedule with what it took then, and in which way it was found."""

    schedule: tuple[str, ...]
    seconds: float
    original_seconds: float
    found: str

    @property
    def candidate(self) -> Candidate:
        """The schedule as steps."""
        return Candidate.parse("\n".join(self.schedule))


class ScheduleDatabase:
    """Schedules of one class of machine; a machine is told by its microarchitecture's name."""

    def __init__(self, machine: Machine, folder: Path = FOLDER) -> None:
        self.path = folder / f"{machine.name}.json"

    def find(self, kernel: str, dataset: str, threads: int) -> StoredSchedule | None:
        """The stored schedule, if there is one."""
        entry = self._read().get(f"threads {threads}", {}).get(kernel, {}).get(dataset)
        if entry is None:
            return None
        return StoredSchedule(**{**entry, "schedule": tuple(entry["schedule"])})

    def store(self, kernel: str, dataset: str, threads: int, found: StoredSchedule) -> None:
        """Add or replace a schedule; the file is replaced as a whole."""
        content = self._read()
        kernels = content.setdefault(f"threads {threads}", {})
        kernels.setdefault(kernel, {})[dataset] = asdict(found)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(content, indent=2, sort_keys=True) + "\n"
        with tempfile.NamedTemporaryFile(
            "w", dir=self.path.parent, suffix=".new", delete=False, encoding="utf-8"
        ) as new:
            new.write(text)
        os.replace(new.name, self.path)

    def _read(self) -> dict[str, Any]:
        if not self.path.exists():
            return {}
        content: dict[str, Any] = json.loads(self.path.read_text(encoding="utf-8"))
        return content
