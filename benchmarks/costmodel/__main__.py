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
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

from tilecast.compiler.probe.probe import known_speeds
from tilecast.compiler.runtime.cache import open_store
from tilecast.compiler.runtime.toolchain import find_toolchain
from tilecast.compiler.target import native_machine
from tilecast.compiler.tune.draw import Effort, draw
from tilecast.compiler.tune.sample_build import BUILT, BuiltFunction, Draft, build_drafts
from tilecast.compiler.tune.training_data import read_scop
from tilecast.costmodel.data.objects import ObjectSample
from tilecast.costmodel.data.samples import ARCHIVE, DataSet, Sample, Task
from tilecast.costmodel.features.loop_text import LoopText
from tilecast.dialects.errors import IllegalScheduleError
from tilecast.dialects.poly import ScopOp
from tilecast.passes.poly.rules.choice import RULES, alternatives, random_choice
from tilecast.passes.poly.rules.schedule import choose_schedule
from tilecast.passes.poly.search import ScopCheck, scop_space
from tilecast.passes.poly.search.rule_space import RuleSpace
from xdsl.dialects.builtin import ModuleOp

from . import gpu
from .corpus import Program, read_program, write_networks, write_polybench, write_random

FOLDER = Path(__file__).parent / "data"
WORK = Path(__file__).parents[2] / "build" / "costmodel"
PER_LIBRARY = 14
MISSES = 12  # choices in a row that made a known schedule: the kernel has hardly any other
DRAWN = Effort(schedules=14, proposals=60, drawing_seconds=6.0)


def programs(work: Path, count: int) -> None:
    """Write all programs."""
    write_polybench(work)
    write_random(work, count)
    for line in write_networks(work):
        print(line, file=sys.stderr, flush=True)


def rule_drafts(program: Program, scop: ScopOp, rng: Random, count: int) -> Iterator[Draft]:
    """What the rules make of their own choice, of alternatives, and of random ones, every other of
    which is one that tuning would try."""
    variants: dict[str, str] = {}
    seen = set()
    machine = native_machine()
    space = RuleSpace(scop, machine, program.threads)
    choices = [RULES, *alternatives(program.threads)]
    misses = 0
    for number in range(4 * count):
        if len(seen) == count or misses > MISSES:
            return
        misses += 1
        if number < len(choices):
            choice = choices[number]
        else:
            choice = space.sample(rng) if number % 2 else random_choice(program.threads, rng)
        rewritten = scop.clone()
        try:
            choose_schedule(rewritten, machine, program.threads, choice)
        except IllegalScheduleError:
            continue
        steps = rewritten.properties.pop("schedule")
        text = str(ModuleOp([rewritten.clone()]))
        task = variants.setdefault(text, f"{program.name}.{len(variants)}")
        if (text, steps) not in seen:
            seen.add((text, steps))
            misses = 0
            yield Draft(task, rewritten, steps.data, str(choice))  # type: ignore[attr-defined]


def affine_drafts(program: Program, scop: ScopOp, rng: Random, count: int) -> Iterator[Draft]:
    """Schedules of the search space."""
    space = scop_space(scop, native_machine(), program.threads)
    effort = Effort(count, DRAWN.proposals, DRAWN.drawing_seconds)
    for steps in draw(space, ScopCheck(scop), effort, rng):
        yield Draft(program.name, scop, steps)


def build(data: DataSet, work: Path, seconds: float, part: str, count: int, kind: str) -> None:
    """Draw and build schedules of programs that have none, for about `seconds`."""
    end = time.monotonic() + seconds
    machine, toolchain = native_machine(), find_toolchain()
    speeds = known_speeds(machine, toolchain, open_store())
    number, of = map(int, part.split("/"))
    folders = sorted((work / "programs").iterdir())
    Random(0).shuffle(folders)
    for folder in folders[number::of]:
        if time.monotonic() > end:
            return
        if (folder / "tried").exists():
            continue
        program, text = read_program(folder)
        if kind not in ("any", program.space):
            continue
        (folder / "tried").touch()
        scop, rng = read_scop(text), Random(program.name)
        make = rule_drafts if program.space == "rules" else affine_drafts
        try:
            drafts = list(make(program, scop, rng, count))
        except Exception as error:
            print(f"{program.name}: {type(error).__name__}: {error}"[:300], file=sys.stderr)
            continue
        tasks = {d.task: d.scop for d in drafts}
        for name, rewritten in tasks.items():
            task = Task(
                name,
                program.family,
                machine,
                program.threads,
                toolchain.identity,
                speeds,
                program.name,
            )
            data.add_task(task, str(ModuleOp([rewritten.clone()])))
        total = 0
        for start in range(0, len(drafts), PER_LIBRARY):
            batch = build_drafts(
                drafts[start : start + PER_LIBRARY], folder, machine, program.threads, toolchain
            )
            total += len(batch.built)
            for function, text in batch.built:
                data.add_object(object_of(program, machine.isa, text, function))
            for draft, why in batch.failures:
                data.add_sample(
                    Sample(draft.task, draft.steps, None, failure="lowering", detail=why)
                )
        print(f"{program.name}: {total} of {len(drafts)}", file=sys.stderr, flush=True)


def object_of(program: Program, target: str, text: LoopText, report: BuiltFunction) -> ObjectSample:
    """What the compiler made of a kernel."""
    return ObjectSample(
        program.family,
        program.name,
        target,
        tuple(" ".join(words) for words in text.lines),
        text.live_vectors,
        text.live_integers,
        report.registers,
        report.spills,
        report.instructions,
    )


def measure(data: DataSet, work: Path, seconds: float) -> None:
    """Measure what is built, program by program."""
    from tilecast.compiler.tune.sample_run import measure_program

    end = time.monotonic() + seconds
    count = 0
    for built in sorted((work / "programs").glob(f"*/{BUILT}")):
        folder = built.parent
        if (folder / "measured").exists():
            continue
        if time.monotonic() > end:
            break
        samples = measure_program(folder, read_program(folder)[0].threads)
        for sample in samples:
            data.add_sample(sample)
            count += 1
        # Where others were at work meanwhile, the next run measures once more.
        if sum(s.is_noisy for s in samples) * 4 <= len(samples):
            (folder / "measured").touch()
    print(f"{count} measured", file=sys.stderr)


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
    options = parser.parse_args()
    data = DataSet(options.data)
    options.work.mkdir(parents=True, exist_ok=True)
    if options.phase == "programs":
        programs(options.work, options.random)
    elif options.phase == "build":
        build(data, options.work, options.seconds, options.part, options.schedules, options.kind)
    elif options.phase == "measure":
        measure(data, options.work, options.seconds)
    elif options.phase == "gpu":
        for line in gpu.collect(data, options.work):
            print(line, file=sys.stderr, flush=True)
    else:
        FOLDER.mkdir(exist_ok=True)
        data.pack(FOLDER / ARCHIVE)


if __name__ == "__main__":
    main()
