"""Prepares GPU benchmarks; the folder runs where a GPU is.

python -m benchmarks.gpu --prepare build/gpu             # here: sources of all cells
python build/gpu/run.py --output gpu.json                # there: nvcc, torch, Triton
python build/gpu/run.py --emulate --suite check          # anywhere, to test the harness
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tilecast.compiler.quantize.activation_support import FP8_TARGETS
from tilecast.compiler.target import resolve_target

from .cells import modules, products
from .prepare import prepare


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        "benchmarks.gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--prepare", type=Path, required=True, metavar="DIR")
    parser.add_argument("--target", default="sm_80", help="sm_80, sm_89, sm_90")
    parser.add_argument("--suite", nargs="+", help="only these suites")
    parser.add_argument("--cells", default="", help="only cells whose name contains this")
    chosen = parser.parse_args()
    has_fp8 = resolve_target(chosen.target).name in FP8_TARGETS
    known = [p for p in products() if has_fp8 or p.activations != "fp8"]
    cells = [
        cell
        for cell in (*known, *modules())
        if (not chosen.suite or cell.suite in chosen.suite) and chosen.cells in cell.name
    ]
    if not cells:
        parser.error("no cell is called so")
    prepare(cells, chosen.prepare, chosen.target)


if __name__ == "__main__":
    main()
