"""Kernels side by side with their peers, each checked against float64 first.

    python -m benchmarks.kernels --suite matmul --threads 1 --build-only       # fills the caches
    python -m benchmarks.kernels --suite matmul --threads 1 --output result.json

`--part 2/3` measures every third case; runs with the same `--output` add up.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ..engines import ENGINES
from .ceilings import measure_ceilings
from .measure import Plan, measure
from .report import chosen_cases, format_table, write_results
from .suites import SUITES, load_suite
from .worker import WIDE


def main(arguments: Sequence[str]) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        "benchmarks.kernels",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--suite", choices=sorted(SUITES), required=True)
    parser.add_argument("--engine", nargs="+", choices=[*sorted(ENGINES), WIDE], default=None)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.02, help="length of one turn")
    parser.add_argument("--pause", type=float, default=0.02, help="seconds between turns")
    parser.add_argument("--cases", default="", help="only cases whose name contains this")
    parser.add_argument("--part", default="1/1", help="i/n: every n-th case from the i-th")
    parser.add_argument("--build-only", action="store_true", help="build and check, time nothing")
    parser.add_argument("--output", type=Path, help="add the results to this JSON file")
    chosen = parser.parse_args(arguments)
    suite = load_suite(chosen.suite)
    cases = [suite[name] for name in chosen_cases(list(suite), chosen.cases, chosen.part)]
    rounds = 0 if chosen.build_only else chosen.rounds
    plan = Plan(chosen.threads, rounds, chosen.seconds, chosen.pause)
    ceilings = measure_ceilings(chosen.threads) if rounds else None
    rows = measure(
        chosen.suite,
        cases,
        chosen.engine or ["tilecast", "eager"],
        plan,
        ceilings,
        lambda line: print(line, file=sys.stderr),
    )
    if ceilings is None:
        return
    print(
        f"ceilings: {ceilings.flops / 1e9:.1f} GFLOP/s, {ceilings.bf16_flops / 1e9:.1f} in bf16, "
        f"{ceilings.bytes / 1e9:.1f} GB/s"
    )
    print(format_table(chosen.suite, chosen.threads, rows))
    if chosen.output is not None:
        command = "python -m benchmarks.kernels " + " ".join(arguments)
        write_results(
            chosen.output, chosen.suite, chosen.threads, command, ceilings.as_data(), rows
        )


if __name__ == "__main__":
    main(sys.argv[1:])
