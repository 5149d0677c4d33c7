"""The result of compiling one kernel as plain data: what is called, cached, saved and verified."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ...costmodel.hardware import Machine
from ..runtime.cache import Entry
from ..verify.report import VerifyReport
from .arguments import Argument
from .size_conditions import SizeConditions

LIBRARY = "library.so"
DESCRIPTION = "kernel.json"


@dataclass(frozen=True)
class KernelArtifact:
    """A compiled kernel.

    `arguments` are in the order of the Python function; the C function takes the sizes first, then
    the others, then `scratch`: temporaries that the runtime allocates. `conditions` say for which
    sizes it is defined. `sources` maps file names to C text, `ir` stage file names to IR text,
    `schedule` holds the steps that were applied, one a line.
    """

    name: str
    machine: Machine
    threads: int
    arguments: tuple[Argument, ...]
    scratch: tuple[Argument, ...]
    conditions: SizeConditions
    schedule: str
    sources: Mapping[str, str]
    ir: Mapping[str, str]
    compiler: str
    flags: tuple[str, ...]
    seconds: Mapping[str, float] = field(default_factory=dict)
    report: VerifyReport | None = None
    library: Path | None = None
    is_stored: bool = False

    def to_files(self, library: bytes) -> dict[str, bytes]:
        """The files of a cache entry."""
        description = {
            **{k: v for k, v in vars(self).items() if k != "library"},
            "machine": asdict(self.machine),
            "arguments": [a.to_json() for a in self.arguments],
            "scratch": [a.to_json() for a in self.scratch],
            "conditions": self.conditions.to_json(),
            "report": None if self.report is None else self.report.to_json(),
            "sources": dict(self.sources),
            "ir": dict(self.ir),
            "seconds": dict(self.seconds),
        }
        return {LIBRARY: library, DESCRIPTION: json.dumps(description).encode()}

    @staticmethod
    def from_entry(entry: Entry) -> KernelArtifact | None:
        """The artifact of a cache entry; None where a file of it is damaged."""
        text = entry.read(DESCRIPTION)
        if text is None or entry.read(LIBRARY) is None:
            return None
        data: dict[str, Any] = json.loads(text)
        machine = data["machine"] | {"features": tuple(data["machine"]["features"])}
        report = data["report"]
        return KernelArtifact(
            **{
                **data,
                "machine": Machine(**machine),
                "arguments": tuple(map(Argument.from_json, data["arguments"])),
                "scratch": tuple(map(Argument.from_json, data["scratch"])),
                "conditions": SizeConditions.from_json(data["conditions"]),
                "flags": tuple(data["flags"]),
                "report": None if report is None else VerifyReport.from_json(report),
                "library": entry.path / LIBRARY,
                "is_stored": True,
            }
        )
