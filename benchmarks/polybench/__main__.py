"""Time PolyBench kernels: lowered in original order, compiled by gcc -O3 -march=native.

    python -m benchmarks.polybench --dataset LARGE --kernel gemm lu --runs 5 --output result.json

Every variant of a kernel is checked before it is timed, and variants take turns. Schedules to be
compared are further variants: see VARIANTS.
"""

from __future__ import annotations

import argparse
import datetime
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from ..machine import describe_machine
from .benchmark import DATASETS, Benchmark, Data, load_all
from .build import BASELINE_FLAGS, ORIGINAL_ORDER, NativeKernel, build

# name -> passes from affine IR to loops; "original" is the baseline that others are compared with
VARIANTS: dict[str, tuple[str, ...]] = {"original": ORIGINAL_ORDER}


def is_correct(benchmark: Benchmark, native: NativeKernel) -> bool:
    """Whether the kernel, compiled for dataset SMALL, agrees with NumPy."""
    actual, expected = benchmark.data("SMALL"), benchmark.data("SMALL")
    native(actual)
    with np.errstate(all="ignore"):
        benchmark.reference(*benchmark.arguments("SMALL", expected))
    wanted = benchmark.live_out(expected)
    bound = 1e-5 if benchmark.name == "deriche" else 1e-9
    return all(
        bool(np.abs(value - wanted[name]).max() <= bound * np.abs(wanted[name]).max())
        for name, value in benchmark.live_out(actual).items()
    )


def seconds_of(native: NativeKernel, data: Data) -> float:
    """The time of one run on fresh arrays."""
    fresh = {name: np.array(value) for name, value in data.items()}
    start = time.perf_counter()
    native(fresh)
    return time.perf_counter() - start


def measure(
    benchmark: Benchmark, dataset: str, variants: Sequence[str], runs: int, folder: Path
) -> dict[str, Any]:
    """Times of all variants of a kernel, run in turns."""
    built: dict[str, NativeKernel] = {}
    lowering: dict[str, float] = {}
    result: dict[str, Any] = {"kernel": benchmark.name, "dataset": dataset, "variants": {}}
    for variant in variants:
        start = time.perf_counter()
        passes = VARIANTS[variant]
        native = build(benchmark, dataset, folder / variant, BASELINE_FLAGS, passes)
        lowering[variant] = time.perf_counter() - start
        small = build(benchmark, "SMALL", folder / variant, BASELINE_FLAGS, passes)
        if is_correct(benchmark, small):
            built[variant] = native
        else:
            result["variants"][variant] = {"failed": "wrong result at SMALL"}
    data = benchmark.data(dataset)
    times: dict[str, list[float]] = {variant: [] for variant in built}
    for _ in range(runs):
        for variant, native in built.items():
            times[variant].append(seconds_of(native, data))
    for variant in built:
        result["variants"][variant] = {
            "median_s": statistics.median(times[variant]),
            "min_s": min(times[variant]),
            "build_s": lowering[variant],
        }
    return result


def print_table(results: Sequence[dict[str, Any]], variants: Sequence[str]) -> None:
    """One row per kernel: median seconds of each variant, and its ratio to the first one."""
    table = Table("kernel", "dataset", *variants)
    for result in results:
        cells = []
        base = result["variants"][variants[0]].get("median_s")
        for variant in variants:
            measured = result["variants"][variant]
            if "failed" in measured:
                cells.append(measured["failed"])
                continue
            ratio = f" ({base / measured['median_s']:.2f}x)" if base and variants[1:] else ""
            cells.append(f"{measured['median_s']:.6f}{ratio}")
        table.add_row(result["kernel"], result["dataset"], *cells)
    Console().print(table)


def main() -> None:
    """Entry point."""
    benchmarks = load_all()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.polybench")
    parser.add_argument("--kernel", nargs="+", choices=sorted(benchmarks), default=None)
    parser.add_argument("--dataset", choices=DATASETS, default="MEDIUM")
    parser.add_argument("--variant", nargs="+", choices=sorted(VARIANTS), default=["original"])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    results = []
    for name in options.kernel or benchmarks:
        with tempfile.TemporaryDirectory(prefix="polybench-") as folder:
            benchmark = benchmarks[name]
            results.append(
                measure(benchmark, options.dataset, options.variant, options.runs, Path(folder))
            )
        print(f"{name} done", file=sys.stderr)
    print_table(results, options.variant)
    if options.output is not None:
        document = {
            "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "command": "python -m benchmarks.polybench " + " ".join(sys.argv[1:]),
            "flags": " ".join(BASELINE_FLAGS),
            "machine": describe_machine(),
            "results": results,
        }
        options.output.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
