"""Weights of any bit width next to their peers and to the streaming bandwidth.

    python -m benchmarks.lowbit --build-only                       # compiles and checks all cells
    python -m benchmarks.lowbit --peer --rounds 3 --output all.json  # times them, no peers
    python -m benchmarks.lowbit --rows 1 --shape 4096x4096 --output benchmarks/results/lowbit.json
    python -m benchmarks.lowbit --report benchmarks/results/lowbit.json --plot lowbit.png

Cells are timed as they were built last. What is there already, built or in the output, is left out
(--again does it anew), so that a suite may consist of many short runs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ..machine import command_of
from .cells import ACTIVATIONS, FAMILIES, KINDS, ROWS, SHAPES, Cell, cells_of
from .measure import Plan, build_all, measure_block
from .peers import INSTALLED, PEERS
from .report import Results, format_report, plot

FOLDER = Path("build/lowbit")


def main(arguments: Sequence[str]) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        "benchmarks.lowbit",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--family", nargs="+", choices=sorted(FAMILIES), default=list(FAMILIES))
    parser.add_argument("--activations", nargs="+", choices=KINDS, default=list(ACTIVATIONS))
    parser.add_argument("--rows", nargs="+", type=int, default=list(ROWS))
    parser.add_argument("--shape", nargs="+", type=parse_shape, default=list(SHAPES))
    parser.add_argument("--formats", default="", help="only formats that contain this")
    parser.add_argument("--peer", nargs="*", choices=sorted(PEERS), default=INSTALLED)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.02, help="length of one turn")
    parser.add_argument("--build-only", action="store_true", help="build and check, time nothing")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where what is built lies")
    parser.add_argument("--again", action="store_true", help="cells that are there too")
    parser.add_argument("--output", type=Path, help="add the results to this JSON file")
    parser.add_argument(
        "--report", type=Path, help="print what this JSON file says, measure nothing"
    )
    parser.add_argument("--plot", type=Path, help="heat maps as PNG (with --report)")
    chosen = parser.parse_args(arguments)
    if chosen.report is not None:
        results = Results.read(chosen.report)
        print(format_report(results))
        if chosen.plot is not None:
            plot(results, chosen.plot)
        return
    plan = Plan(chosen.threads, chosen.rounds, chosen.seconds, chosen.folder)
    results = Results.read(chosen.output)
    blocks = [
        [cell for cell in block if chosen.formats in cell.format]
        for block in cells_of(chosen.family, chosen.activations, chosen.rows, chosen.shape)
    ]

    def wanted(block: list[Cell]) -> list[Cell]:
        return [cell for cell in block if chosen.again or cell.name not in results.cells]

    def progress(line: str) -> None:
        print(line, file=sys.stderr)

    if chosen.build_only:
        cells = [cell for block in blocks for cell in block]
        build_all([cell for cell in cells if chosen.again or not plan.has(cell)], plan, progress)
        return
    command = command_of("benchmarks.lowbit")
    for block in blocks:
        cells = wanted(block)
        if cells:
            found = measure_block(cells, chosen.peer, plan, progress)
            results.add(found, command)
            results.write(chosen.output)
            print(format_report(results.only({cell.name for cell in cells})))


def parse_shape(text: str) -> tuple[int, int]:
    """(N, K) from NxK."""
    outputs, _, columns = text.partition("x")
    return int(outputs), int(columns)


if __name__ == "__main__":
    main(sys.argv[1:])
