"""The log of all fuzzing, in one file: ranges of seeds and seconds per parser add up over runs.

    {"models": [{"first": 0, "count": 64, "commit": ..., "counts": ..., "failures": ...}, ...],
     "programs": [...], "parsers": {"gguf": [{"seconds": 90, "inputs": 10799, ...}, ...]}}

Several processes may write at once.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any, Literal

Kind = Literal["models", "programs"]
Record = dict[str, Any]
RESULTS = Path(__file__).parents[1] / "results" / "fuzz.json"


def current_commit() -> str:
    """The commit of the sources, with a plus where they differ from it; empty where none is."""
    command = ["git", "describe", "--always", "--dirty=+"]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True)
    return done.stdout.strip()


@contextmanager
def changed(path: Path) -> Iterator[Record]:
    """The content of the log, to be changed in the block; written in one step."""
    with Path(f"{path}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        content: Record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        yield content
        new = Path(f"{path}.new")
        new.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        os.replace(new, path)


class RangeLog:
    """The record of one run over consecutive seeds; every `save` replaces the one before."""

    def __init__(self, path: Path, kind: Kind, first: int) -> None:
        self.path, self.kind, self.first = path, kind, first
        self.head = {"commit": current_commit(), "date": date.today().isoformat()}

    @staticmethod
    def end(path: Path, kind: Kind) -> int:
        """The seed after all that were run."""
        content: Record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        return max((r["first"] + r["count"] for r in content.get(kind, [])), default=0)

    def save(self, count: int, seconds: float, report: Record) -> None:
        """Note that `count` seeds are done."""
        record = {"first": self.first, "count": count, **self.head, "seconds": round(seconds)}
        with changed(self.path) as content:
            ranges = content.setdefault(self.kind, [])
            kept = [
                r for r in ranges if (r["first"], r["commit"]) != (self.first, record["commit"])
            ]
            content[self.kind] = [*kept, record | report]


def add_parser_run(
    path: Path, name: str, seconds: int, busy: int, inputs: int, uncaught: list[str]
) -> None:
    """Add a run of atheris, which had a processor for `busy` of its `seconds`."""
    record = {"commit": current_commit(), "date": date.today().isoformat()}
    record |= {"seconds": seconds, "processor_seconds": busy}
    with changed(path) as content:
        runs = content.setdefault("parsers", {}).setdefault(name, [])
        runs.append(record | {"inputs": inputs, "uncaught": uncaught})


def totals(path: Path) -> Iterator[str]:
    """What all runs together did: seeds and outcomes, minutes per parser."""
    content: Record = json.loads(path.read_text(encoding="utf-8"))
    for kind in ("models", "programs"):
        ranges, counts = content.get(kind, []), Counter[str]()
        for record in ranges:
            counts.update(record["counts"])
        outcomes = ", ".join(f"{n} {status}" for status, n in sorted(counts.items()))
        yield f"{sum(r['count'] for r in ranges)} {kind} in {len(ranges)} ranges: {outcomes}"
    for name, runs in content.get("parsers", {}).items():
        minutes = sum(run["seconds"] for run in runs) / 60
        uncaught = sum(len(run["uncaught"]) for run in runs)
        busy = sum(run.get("processor_seconds", 0) for run in runs) / 60
        inputs = sum(run["inputs"] for run in runs)
        yield (
            f"{name}: {busy:.1f} minutes of processor time (in {minutes:.1f}), "
            f"{inputs} inputs, {uncaught} uncaught"
        )
