"""The comparison harness: engines run in turns, failures are told, results are written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.accuracy import measure_accuracy

ROOT = Path(__file__).parents[1]


def compare(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.compare", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


def test_a_comparison_is_measured_and_written(tmp_path: Path) -> None:
    result = compare(
        *("--model", "mlp", "--engine", "eager", "tilecast", "--threads", "1", "--rounds", "2"),
        *("--seconds", "0.02", "--output", tmp_path / "result.json"),
    )
    assert result.returncode == 0, result.stderr
    document = json.loads((tmp_path / "result.json").read_text())
    assert set(document) == {"machine", "results"}
    [comparison] = document["results"]
    assert comparison["command"].startswith("python -m benchmarks.compare --model mlp")
    assert comparison["failed"] == []
    rows = {row["engine"]: row for row in comparison["engines"]}
    assert rows["tilecast"]["ratio_to_tilecast"] == 1.0
    for row in rows.values():
        assert row["calls"] >= 2
        assert 0 < row["p10_ms"] <= row["median_ms"] <= row["p90_ms"]
        assert row["error"] < 1e-5
    assert "tilecast" in result.stdout


def test_a_file_is_continued_and_summarized(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    row = {"median_ms": 2.0, "p10_ms": 2.0, "p90_ms": 2.0, "ratio_to_tilecast": 1.0}
    engines = [{"engine": name, **row} for name in ("tilecast", "eager")]
    engines[1]["median_ms"] = 5.0
    known = {"model": "mlp", "threads": 1, "engines": engines}
    path.write_text(json.dumps({"machine": {}, "results": [known]}))
    again = compare("--model", "mlp", "--threads", "1", "--resume", "--output", path)
    assert (again.returncode, again.stdout) == (0, "")  # nothing was left to measure
    other = compare(
        *("--model", "mlp", "--engine", "eager", "--threads", "2", "--rounds", "1"),
        *("--seconds", "0.02", "--resume", "--output", path),
    )
    assert other.returncode == 0, other.stderr
    results = json.loads(path.read_text())["results"]
    assert [result["threads"] for result in results] == [1, 2]
    assert results[0] == {"precision": "f32", **known}
    assert "2.50" in compare("--summary", path).stdout


def test_wrong_results_are_not_timed() -> None:
    """An engine that computes something else is refused by the accuracy check."""
    module, x = torch.nn.Linear(8, 8), torch.randn(4, 8)
    changes = {
        "none": lambda y: y,
        "scaled": lambda y: y * 1.001,
        "cut": lambda y: y[:2],
        "lost": lambda y: y * float("nan"),
    }
    with torch.no_grad():
        fine = {
            name: measure_accuracy(module, lambda v, f=change: f(module(*v)), (x,)).is_ok
            for name, change in changes.items()
        }
    assert fine == {"none": True, "scaled": False, "cut": False, "lost": False}


def test_an_engine_that_fails_is_left_out_with_its_reason(tmp_path: Path) -> None:
    script = """
import benchmarks.engines as engines
from benchmarks.worker import main
def broken(module, inputs, threads):
    raise RuntimeError("no such device\\nsecond line")
engines.ENGINES["eager"] = ("torch", broken)
main("eager", "mlp", 1)
"""
    command = [sys.executable, "-c", script]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert json.loads(result.stdout) == {"failed": "RuntimeError: no such device"}
