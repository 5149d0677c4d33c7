"""Peers measured once before, on another machine: 2 cores of a Sapphire Rapids, 2026-11-20.

`anchors.csv` has speedups over gcc 12 -O3 -march=native of the original PolyBench/C 4.2.1, in f64
with sizes known at compile time: clang 19, Polly (19), Pluto (May 2026, `--tile --parallel`, then
gcc), and OpenBLAS through NumPy. `best_pluto` is the best of four ways to compile Pluto's output,
`best_any` the best of all but BLAS. Wrong results are left out.
"""

from __future__ import annotations

import csv
from pathlib import Path

TABLE = Path(__file__).with_name("anchors.csv")
Anchors = dict[str, dict[str, float]]


def load_anchors() -> Anchors:
    """kernel -> column -> number."""
    with TABLE.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    return {
        row["kernel"]: {k: float(v) for k, v in row.items() if v and k not in ("kernel", "set")}
        for row in rows
    }


def anchor_dataset(kernel: str) -> str:
    """The dataset that the anchors of `kernel` were measured with."""
    with TABLE.open(newline="", encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            if row["kernel"] == kernel:
                return row["set"]
    raise KeyError(kernel)
