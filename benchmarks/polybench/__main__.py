"""PolyBench against gcc, Polly and OpenBLAS: one interleaved run, checked before it is timed.

    python -m benchmarks.polybench --threads 2 --budget 60 --json benchmarks/results/polybench.json

The baseline is gcc -O3 -march=native on the untransformed loop nest as our emitter prints it. Each
kernel runs in a process of its own. Sizes are LARGE, and MEDIUM where the anchors have MEDIUM.
Schedules found by search are stored in benchmarks/polybench/schedules and replayed by --replay.
A result file keeps the kernels of earlier runs that this run does not repeat, so that a table may
be made kernel by kernel:

    python -m benchmarks.polybench --replay --kernel gemm lu --json polybench.json
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from tilecast.compiler.target import physical_cores

from ..machine import now, result_head
from .anchors import anchor_dataset
from .benchmark import DATASETS, load_all
from .build import BASELINE_FLAGS
from .schedules import FOLDER
from .table import failures, geometric_means, speedup_table

ROOT = Path(__file__).parents[2]
SLACK_SECONDS = 900.0


def run(name: str, dataset: str, options: argparse.Namespace) -> dict[str, Any]:
    """The result of one kernel; a process that fails is a result too."""
    command = [sys.executable, "-m", "benchmarks.polybench.run_kernel", name, dataset]
    command += ["--threads", str(options.threads), "--budget", str(options.budget)]
    command += ["--evaluations", str(options.evaluations)]
    command += ["--seconds", str(options.seconds), *(["--replay"] if options.replay else [])]
    command += ["--schedules", str(options.schedules.resolve())]
    limit = options.budget + options.seconds + SLACK_SECONDS
    result: dict[str, Any] = {"kernel": name, "dataset": dataset}
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return {**result, "failed": f"no result within {limit:.0f} s"}
    if done.returncode != 0:
        return {**result, "failed": done.stderr.strip().rpartition("\n")[2] or "no result"}
    return {**json.loads(done.stdout), "date": now()}


def main() -> None:
    """Entry point."""
    benchmarks = load_all()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.polybench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--kernel", nargs="+", choices=sorted(benchmarks), metavar="NAME")
    parser.add_argument("--dataset", choices=DATASETS, help="instead of the anchors' sizes")
    parser.add_argument("--threads", type=int, default=physical_cores())
    parser.add_argument("--budget", type=float, default=0.0, help="seconds of search per kernel")
    parser.add_argument("--evaluations", type=int, default=0, help="schedules searched per kernel")
    parser.add_argument("--seconds", type=float, default=8.0, help="seconds of timing per kernel")
    parser.add_argument("--replay", action="store_true", help="time the stored schedules")
    parser.add_argument("--schedules", type=Path, default=FOLDER, help="folder of the database")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results")
    options = parser.parse_args()
    rows = {} if options.json is None else earlier_rows(options.json)
    for name in options.kernel or benchmarks:
        rows[name] = run(name, options.dataset or anchor_dataset(name), options)
        print(f"{name} done", file=sys.stderr, flush=True)
        if options.json is not None:
            write(options.json, in_order(rows, benchmarks))
    table = in_order(rows, benchmarks)
    Console(width=140 if not sys.stdout.isatty() else None).print(speedup_table(table))
    for line in failures(table):
        print(line)


def earlier_rows(path: Path) -> dict[str, dict[str, Any]]:
    """The rows of a result file by kernel; none where there is no such file yet."""
    if not path.exists():
        return {}
    rows = json.loads(path.read_text(encoding="utf-8"))["results"]
    return {row["kernel"]: row for row in rows}


def in_order(rows: Mapping[str, dict[str, Any]], names: Iterable[str]) -> list[dict[str, Any]]:
    """The rows in the order of the table, whatever order they were made in."""
    return [rows[name] for name in names if name in rows]


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    """The result file; written after each kernel, so that a broken run leaves what it has."""
    document = {
        **result_head("benchmarks.polybench"),
        "flags": " ".join(BASELINE_FLAGS),
        "speedups": geometric_means(rows),
        "results": rows,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
