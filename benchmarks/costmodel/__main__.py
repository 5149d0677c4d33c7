"""Collect samples for the cost model.

    python -m benchmarks.costmodel programs                # kernels of networks, affine programs
    python -m benchmarks.costmodel build --seconds 500     # shares the machine with others
    python -m benchmarks.costmodel measure --seconds 100   # needs the machine for itself
    python -m benchmarks.costmodel gpu                     # reports of ptxas, needs nvcc
    python -m benchmarks.costmodel pack                    # what is committed

Each continues where its last run ended. Several builds may run at a time, as --part 0/2 and 1/2.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from tilecast.compiler.tune.sample_collection import DRAWN, build, measure
from tilecast.costmodel.data.samples import DataSet, unpack

from . import gpu
from .corpus import write_networks, write_polybench, write_random

FOLDER = Path(__file__).parent / "data"
WORK = Path(__file__).parents[2] / "build" / "costmodel"


def programs(work: Path, count: int) -> None:
    """Write all programs."""
    write_polybench(work)
    write_random(work, count)
    shown(write_networks(work))


def shown(lines: Iterable[str]) -> None:
    """Print progress."""
    for line in lines:
        print(line, file=sys.stderr, flush=True)


def pack(data: DataSet, archive: Path) -> None:
    """Commit the samples, with those of programs that have none of their own from before."""
    archive.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        before, whole = Path(name) / "before", DataSet(Path(name) / "whole")
        whole.absorb(data)
        if archive.exists():
            unpack(archive, before)
            whole.absorb(DataSet(before))
        whole.pack(archive)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.costmodel", description=__doc__)
    parser.add_argument("phase", choices=["programs", "build", "measure", "gpu", "pack"])
    parser.add_argument("--seconds", type=float, default=100.0)
    parser.add_argument("--schedules", type=int, default=DRAWN.schedules, help="per program")
    parser.add_argument("--random", type=int, default=160, help="random programs")
    parser.add_argument("--part", default="0/1")
    parser.add_argument("--kind", choices=["any", "rules", "affine"], default="any")
    parser.add_argument("--data", type=Path, default=WORK / "data")
    parser.add_argument("--work", type=Path, default=WORK)
    parser.add_argument("--archive", default="data", help="to pack into: one per machine")
    options = parser.parse_args()
    data = DataSet(options.data)
    options.work.mkdir(parents=True, exist_ok=True)
    if options.phase == "programs":
        programs(options.work, options.random)
    elif options.phase == "build":
        shown(
            build(
                data, options.work, options.seconds, options.schedules, options.part, options.kind
            )
        )
    elif options.phase == "measure":
        print(f"{measure(data, options.work, options.seconds)} measured", file=sys.stderr)
    elif options.phase == "gpu":
        shown(gpu.collect(data, options.work))
    else:
        pack(data, FOLDER / f"{options.archive}.tar.xz")


if __name__ == "__main__":
    main()
