"""The PolyBench comparison: everything is checked and timed, schedules are stored and replayed."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from tilecast.costmodel.hardware import Machine

from benchmarks.polybench import load_all
from benchmarks.polybench.anchors import anchor_dataset, load_anchors
from benchmarks.polybench.dgemm import FLOPS, SHAPES
from benchmarks.polybench.schedules import ScheduleDatabase, StoredSchedule
from benchmarks.polybench.table import blas_share, failures, geometric_means, schedule_gain, speedup

ROOT = Path(__file__).parents[2]


def run(tmp_path: Path, *arguments: str) -> dict[str, Any]:
    output = tmp_path / "result.json"
    command = [sys.executable, "-m", "benchmarks.polybench", "--dataset", "MINI"]
    command += ["--threads", "1", "--seconds", "0.01", "--json", str(output)]
    command += ["--schedules", str(tmp_path / "schedules"), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "geometric mean" in done.stdout
    document: dict[str, Any] = json.loads(output.read_text())
    return document


def test_a_kernel_is_searched_checked_and_timed_next_to_earlier_results(tmp_path: Path) -> None:
    rows = [{"kernel": k, "dataset": "MINI", "failed": "earlier"} for k in ("lu", "gesummv")]
    (tmp_path / "result.json").write_text(json.dumps({"results": rows}))
    document = run(tmp_path, "--kernel", "gesummv", "--evaluations", "4")
    assert set(document) == {"command", "date", "flags", "machine", "results", "speedups"}
    row, kept = document["results"]
    assert (row["kernel"], kept) == ("gesummv", rows[0])
    assert "failed" not in row
    assert row["variants"]["gcc nested"]["median_s"] > 0
    for name in ("identity", "vectorized", "auto", "search"):
        assert row["variants"][name]["median_s"] > 0, name
    report = row["search"]
    assert report["evaluated"] == 4
    assert report["failures"] == []


@pytest.mark.slow
def test_a_search_goes_on_from_what_is_stored(tmp_path: Path) -> None:
    run(tmp_path, "--kernel", "gesummv", "--evaluations", "6")
    [row] = run(tmp_path, "--kernel", "gesummv", "--evaluations", "4")["results"]
    assert row["search"]["best_seconds"] <= row["search"]["original_seconds"]
    report = row["search"]
    [again] = run(tmp_path, "--kernel", "gesummv", "--replay")["results"]
    assert "search" not in again
    assert again["variants"]["search"]["schedule"] == report["schedule"]


@pytest.mark.slow
def test_every_kernel_is_right_under_its_automatic_schedules(tmp_path: Path) -> None:
    document = run(tmp_path)
    assert len(document["results"]) == 30
    own = [line for line in failures(document["results"]) if "polly" not in line]
    assert own == []


def test_stored_schedules_come_back(tmp_path: Path) -> None:
    database = ScheduleDatabase(Machine("zen9", "avx2"), tmp_path)
    stored = StoredSchedule(("split(i, 4, a, b)", "parallelize(a)"), 0.5, 1.0, "by hand")
    assert database.find("gemm", "MINI", 2) is None
    database.store("gemm", "MINI", 2, stored)
    database.store("lu", "MINI", 2, stored)
    again = ScheduleDatabase(Machine("zen9", "avx2"), tmp_path)
    assert again.find("gemm", "MINI", 2) == stored
    assert again.find("gemm", "MINI", 1) is None
    assert [str(s) for s in stored.candidate.steps] == list(stored.schedule)
    assert [p.name for p in tmp_path.iterdir()] == ["zen9.json"]


def test_every_kernel_has_anchors() -> None:
    anchors = load_anchors()
    assert set(anchors) == set(load_all())
    for kernel, row in anchors.items():
        assert anchor_dataset(kernel) in ("MEDIUM", "LARGE")
        assert row["best_any"] >= row["best_pluto"] > 0


COUNTED = {
    "gemm": ["ijk"],
    "2mm": ["ijk", "ijl"],
    "3mm": ["ijk", "jlm", "ijl"],
    "syrk": ["tnm"],
    "syr2k": ["tnm", "tnm"],
    "symm": ["snm", "snm"],
    "trmm": ["snm"],
}


@pytest.mark.parametrize("name", FLOPS)
def test_flops_are_those_of_the_loops(name: str) -> None:
    """Iterations of the innermost loops, two operations each; t and s are triangles."""
    sizes = load_all()[name].dataset("SMALL")
    assert set(SHAPES[name]) <= set(sizes)
    if "ni" in sizes:
        values = {letter: sizes.get(f"n{letter}", 0) for letter in "ijklm"}
    else:
        m, n = sizes["m"], sizes["n"]
        values = {"m": 1, "n": 1, "t": m * n * (n + 1) // 2, "s": n * m * (m - 1) // 2}
    total = 0
    for loops in COUNTED[name]:
        total += 2 * math.prod(values[letter] for letter in loops)
    # symm works on the diagonal too.
    assert total <= FLOPS[name](sizes) <= 1.05 * total


def test_speedups_are_over_the_faster_gcc() -> None:
    times = {"gcc nested": 4.0, "gcc flat": 3.0, "auto": 1.5, "search": 1.0}
    row = {"kernel": "gemm", "dataset": "LARGE", "dgemm_flops": 40.0, "flops": 30.0}
    row["variants"] = {name: {"median_s": t} for name, t in times.items()}
    row["variants"]["vectorized"] = {"failed": "C: largest error 1"}
    assert speedup("auto")(row) == 2.0
    assert speedup("polly nested", "auto", "search")(row) == 3.0
    assert speedup("vectorized")(row) is None
    assert blas_share(row) == 0.75
    assert schedule_gain(row) is None
    plain = {**row, "variants": {**row["variants"], "vectorized": {"median_s": 6.0}}}
    assert speedup("vectorized")(plain) == 0.5
    assert schedule_gain(plain) == 6.0
    broken = {"kernel": "lu", "dataset": "LARGE", "failed": "no result within 3 s"}
    means = geometric_means([row, broken])
    assert means["search"] == pytest.approx(3.0)
    assert means["untimed"] is None
    assert failures([row, broken]) == [
        "gemm, vectorized: C: largest error 1",
        "lu: no result within 3 s",
    ]
