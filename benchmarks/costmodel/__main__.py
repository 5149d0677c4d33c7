"""Collect samples for the cost model: build schedules of the corpus, then measure them.

    python -m benchmarks.costmodel build --seconds 500      # shares the machine with others
    python -m benchmarks.costmodel measure --seconds 100    # needs the machine for itself

Both continue where the last run ended.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from random import Random

from tilecast.compiler.probe.probe import known_speeds
from tilecast.compiler.runtime.cache import open_store
from tilecast.compiler.runtime.toolchain import find_toolchain
from tilecast.compiler.target import native_machine
from tilecast.compiler.tune.collect import Effort, build_schedules, draw, measure_schedules
from tilecast.compiler.tune.task import MeasureTask
from tilecast.compiler.tune.worker_process import WorkerDied, WorkerTimeout
from tilecast.costmodel.data.samples import DataSet, Task
from tilecast.dialects.errors import TilecastError
from tilecast.passes.poly.search import ScopCheck, scop_space

from .corpus import Source, sources

FOLDER = Path(__file__).parent / "data"
WORK = Path(__file__).parents[2] / "build" / "costmodel"


def build(data: DataSet, work: Path, seconds: float, effort: Effort, only: list[str]) -> None:
    """Draw and build schedules of the sources that are not done, for about `seconds`."""
    end = time.monotonic() + seconds
    for source in sources():
        done = work / f"{source.family}.done"
        if done.exists() or (only and source.family not in only):
            continue
        if time.monotonic() > end:
            return
        try:
            build_source(source, data, work, effort, end)
        except (TilecastError, WorkerDied, WorkerTimeout) as error:
            print(f"{source.family}: {type(error).__name__}: {error}", file=sys.stderr)
        if time.monotonic() < end:
            done.touch()


def build_source(source: Source, data: DataSet, work: Path, effort: Effort, end: float) -> None:
    """All tasks of one source."""
    machine, toolchain = native_machine(), find_toolchain()
    speeds = known_speeds(machine, toolchain, open_store())
    for name, made in source.tasks(work):
        if (made.task.folder / "built.done").exists():
            continue
        if time.monotonic() > end:
            return
        threads = made.task.threads
        task = Task(name, source.family, machine, threads, toolchain.identity, speeds)
        space = scop_space(made.scop, machine, threads)
        texts = list(draw(space, ScopCheck(made.scop), effort, Random(name)))
        data.add_task(task, made.text)
        count = build_schedules(made.task, name, texts, data, effort, workers=2)
        (made.task.folder / "built.done").write_text(name)
        print(f"{name}: {count} schedules", file=sys.stderr, flush=True)


def measure(data: DataSet, work: Path, seconds: float, effort: Effort) -> None:
    """Measure what is built, task by task."""
    end = time.monotonic() + seconds
    for done in sorted(work.rglob("built.done")):
        left = end - time.monotonic()
        if left <= 0:
            return
        task, name = MeasureTask.read(done.parent), done.read_text()
        count = measure_schedules(task, name, data, effort, left)
        if count:
            print(f"{name}: {count} measured", file=sys.stderr, flush=True)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.costmodel", description=__doc__)
    parser.add_argument("phase", choices=["build", "measure"])
    parser.add_argument("--seconds", type=float, default=100.0)
    parser.add_argument("--schedules", type=int, default=Effort.schedules, help="per task")
    parser.add_argument("--only", nargs="+", default=[], metavar="FAMILY")
    parser.add_argument("--data", type=Path, default=FOLDER)
    parser.add_argument("--work", type=Path, default=WORK)
    options = parser.parse_args()
    data, effort = DataSet(options.data), Effort(schedules=options.schedules)
    options.work.mkdir(parents=True, exist_ok=True)
    if options.phase == "build":
        build(data, options.work, options.seconds, effort, options.only)
    else:
        measure(data, options.work, options.seconds, effort)


if __name__ == "__main__":
    main()
