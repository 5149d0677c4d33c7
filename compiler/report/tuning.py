"""How tuning went for every kernel of a package: the measurements in a database, in their order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...codegen.package import StoredPackage
from ...passes.poly.task_key import task_key
from ..records.best import best_record
from ..records.database import Database
from ..records.record import Record, target_key
from .built_for import machine_of, original_scops, threads_of


def tuning_curves(package: StoredPackage, database: Path) -> dict[str, Any]:
    """By kernel, what was measured for the target and the number of threads of the package."""
    target, threads = target_key(machine_of(package)), threads_of(package)
    curves = {}
    with Database(database, create=False) as opened:
        for name, key in task_keys(package).items():
            records = opened.records(key, target, threads)
            if records:
                curves[name] = curve(records)
    return curves


def curve(records: list[Record]) -> dict[str, Any]:
    """Speed over the default schedule per measurement, oldest first; None where one failed."""
    best = best_record(records)
    return {
        "speedups": [record.speedup or None for record in records],
        "failures": [record.failure for record in records],
        "best": 1.0 if best is None else best.speedup,
        "steps": "" if best is None else best.steps,
    }


def task_keys(package: StoredPackage) -> dict[str, str]:
    """Under which name tuning records know each kernel that affine loops describe."""
    scops = original_scops(package)
    return {name: task_key(scop) for name, scop in scops.items() if not scop.parameters}
