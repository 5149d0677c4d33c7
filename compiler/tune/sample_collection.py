"""Collection of samples for the cost model, in two stages that may run at different times.

`build` draws schedules of programs and compiles many per call of the compiler: that takes long and
may share the machine. `measure` only loads and times them: short, and needs the machine to itself.
Each continues where it was ended.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

from xdsl.dialects.builtin import ModuleOp

from ...costmodel.data.objects import ObjectSample
from ...costmodel.data.samples import DataSet, Sample, Task, merged
from ...costmodel.features.loop_text import LoopText
from ...dialects.errors import IllegalScheduleError
from ...dialects.poly import ScopOp
from ...passes.poly.rules.choice import RULES, RuleChoice, alternatives, random_choice
from ...passes.poly.rules.schedule import choose_schedule
from ...passes.poly.search import ScopCheck, scop_space
from ...passes.poly.search.rule_space import RuleSpace
from ..probe.probe import known_speeds
from ..runtime.cache import open_store
from ..runtime.toolchain import find_toolchain
from ..target import native_machine
from .draw import Effort, draw
from .sample_build import BUILT, BuiltFunction, Draft, build_drafts
from .sample_programs import Program, read_program
from .sample_run import measure_program
from .training_data import read_scop

PER_LIBRARY = 14
MISSES = 40  # choices in a row that made a known schedule: the kernel has hardly any other
STALE = 3  # after so many, mutants of choices that made a new one come in between
DRAWN = Effort(schedules=14, proposals=60, drawing_seconds=6.0)


def rule_drafts(program: Program, scop: ScopOp, rng: Random, count: int) -> Iterator[Draft]:
    """What the rules make of their own choice, of alternatives, and of random ones, every other of
    which is one that tuning would try; of mutants of these where they hardly differ."""
    variants: dict[str, str] = {}
    seen: set[tuple[str, object]] = set()
    machine = native_machine()
    space = RuleSpace(scop, machine, program.threads)
    choices = [RULES, *alternatives(program.threads)]
    found: list[RuleChoice] = []
    misses = 0
    for number in range(4 * count):
        if len(seen) == count or misses > MISSES:
            return
        misses += 1
        if number < len(choices):
            choice = choices[number]
        elif found and misses > STALE and number % 3:
            choice = space.mutate(space.mutate(rng.choice(found), rng), rng)
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
            found.append(choice)
            yield Draft(task, rewritten, steps.data, str(choice))  # type: ignore[attr-defined]


def affine_drafts(program: Program, scop: ScopOp, rng: Random, count: int) -> Iterator[Draft]:
    """Schedules of the search space."""
    space = scop_space(scop, native_machine(), program.threads)
    effort = Effort(count, DRAWN.proposals, DRAWN.drawing_seconds)
    for steps in draw(space, ScopCheck(scop), effort, rng):
        yield Draft(program.name, scop, steps)


def build(
    data: DataSet,
    work: Path,
    seconds: float,
    count: int = DRAWN.schedules,
    part: str = "0/1",
    kind: str = "any",
) -> Iterator[str]:
    """Draw and build `count` schedules of each program that has none, for about `seconds`; a line
    on each. `part` 0/2 and 1/2 are halves of the programs, for two processes. Tasks carry the name
    of the machine: on another one, a program is another task."""
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
        program = replace(program, name=f"{machine.name}.{program.name}")
        make = rule_drafts if program.space == "rules" else affine_drafts
        try:
            drafts = list(make(program, scop, rng, count))
        except Exception as error:
            yield f"{program.name}: {type(error).__name__}: {error}"[:300]
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
            for function, loops in batch.built:
                data.add_object(object_of(program, machine.isa, loops, function))
            for draft, why in batch.failures:
                data.add_sample(
                    Sample(draft.task, draft.steps, None, failure="lowering", detail=why)
                )
        yield f"{program.name}: {total} of {len(drafts)}"


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


def measure(data: DataSet, work: Path, seconds: float) -> int:
    """Measure what is built, program by program, for about `seconds`; how many schedules."""
    end = time.monotonic() + seconds
    known = {(s.task, s.steps): s for s in data.samples()}
    count = 0
    for built in sorted((work / "programs").glob(f"*/{BUILT}")):
        folder = built.parent
        if (folder / "measured").exists():
            continue
        if time.monotonic() > end:
            break
        samples = measure_program(folder, read_program(folder)[0].threads)
        before = [known.get((s.task, s.steps)) for s in samples]
        samples = [merged(b, s) if b else s for b, s in zip(before, samples, strict=True)]
        for sample in samples:
            data.add_sample(sample)
            count += 1
        # Where others were at work meanwhile, the next run measures once more, and what comes out
        # twice counts.
        if sum(s.is_noisy for s in samples) * 4 <= len(samples):
            (folder / "measured").touch()
    return count
