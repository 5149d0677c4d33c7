"""`python -m benchmarks.mathlib`: speed of every function beside its peers, as JSON.

Run `python -m benchmarks.mathlib.prove --json benchmarks/results/mathlib_proofs.json` first; its
bounds stand in the table beside the speeds.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from tilecast.codegen.c.elementary import natural_table_size
from tilecast.codegen.mathlib import FUNCTIONS
from tilecast.compiler.target import native_machine

from ..machine import result_head
from .speed import PEERS, build, clock, geometric_mean, measure, ratio

RESULTS = Path(__file__).parents[1] / "results"
PROOFS = RESULTS / "mathlib_proofs.json"
# What torch calls; SLEEF's coarser functions are measured for comparison only.
FAIR = ("libmvec", "sleef_u10")


def rows_of(element: str) -> list[dict[str, Any]]:
    """One row per function: cycles per element, ratios, the proven bound."""
    loops = build(element)
    proofs = json.loads(PROOFS.read_text()) if PROOFS.exists() else {}
    rows = []
    for name, function in FUNCTIONS.items():
        if element not in function.elements:
            continue
        cycles = measure(name, element, loops)
        row: dict[str, Any] = {"function": name, "type": element, "cycles_per_element": cycles}
        for accuracy in (1, 4):
            row[f"over_fastest_peer_{accuracy}ulp"] = ratio(cycles, accuracy, FAIR)
            row[f"over_torch_{accuracy}ulp"] = ratio(cycles, accuracy, ("sleef_u10",))
        # Functions with tables of several sizes have a row for each.
        proof = proofs.get(f"{name}.{natural_table_size(native_machine())}", proofs.get(name))
        if element == "f32" and proof is not None:
            row["proof"] = {k: v for k, v in proof.items() if k != "seconds"}
        rows.append(row)
        print(f"{element} {name}: {cycles}", file=sys.stderr)
    return rows


def summary(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Geometric means of the ratios, by type."""
    means = {}
    for element in sorted({row["type"] for row in rows}):
        for key in rows[0]:
            if not key.startswith("over_"):
                continue
            ratios = [row[key] for row in rows if row["type"] == element and row[key] is not None]
            means[f"{element}_{key}"] = round(geometric_mean(ratios), 3)
    return means


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, default=RESULTS / "mathlib.json")
    parser.add_argument("--build", action="store_true", help="only compile, so that a run is short")
    arguments = parser.parse_args()
    if arguments.build:
        clock()
        for element in ("f32", "f64"):
            build(element)
        return
    rows = [row for element in ("f32", "f64") for row in rows_of(element)]
    result = {
        **result_head("benchmarks.mathlib"),
        "unit": "core cycles per element, 2048 elements, one thread, medians of rounds in turns",
        "peers": f"{', '.join(PEERS)}; the fastest of {', '.join(FAIR)} counts",
        "means": summary(rows),
        "rows": rows,
    }
    arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result["means"], indent=1))


if __name__ == "__main__":
    main()
