"""Samples for cost models: draw schedules of tasks, build them, measure them, append.

Building and measuring are separate: building may share the machine with others, measuring may not.
Each continues where an earlier run ended; a sample is on disk as soon as it is measured.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

from ...costmodel.data.samples import DataSet, Sample
from ...dialects.errors import IllegalScheduleError
from ...passes.poly.search import Candidate, Result, ScopCheck, SearchSpace
from .libraries import BuildPool, Library
from .run_process import RunProcess
from .task import MeasureTask
from .worker_process import WorkerDied, WorkerTimeout

BUILT = "built.jsonl"


@dataclass(frozen=True)
class Effort:
    """How much of what: schedules per task, proposals to find them among, seconds of drawing,
    building and running of one, runs of one. A schedule that takes `hopeless` times the fastest of
    its task is measured once."""

    schedules: int = 24
    proposals: int = 200
    drawing_seconds: float = 25.0
    build_seconds: float = 20.0
    run_seconds: float = 4.0
    fewest: int = 3
    most: int = 9
    sample_seconds: float = 0.06
    hopeless: float = 8.0


def draw(space: SearchSpace[Any], check: ScopCheck, effort: Effort, rng: Random) -> Iterator[str]:
    """The texts of different legal schedules: defaults, samples, and mutants of these."""
    seen: set[str] = set()
    points: list[Any] = []
    end = time.monotonic() + effort.drawing_seconds
    proposals = list(space.defaults())
    for _ in range(effort.proposals):
        if len(seen) == effort.schedules or time.monotonic() > end:
            return
        if proposals:
            point = proposals.pop(0)
        elif points and rng.random() < 0.5:
            point = space.mutate(rng.choice(points), rng)
        else:
            point = space.sample(rng)
        try:
            candidate = Candidate(tuple(space.steps(point)))
            if candidate.text in seen:
                continue
            check(candidate)
        except IllegalScheduleError:
            continue
        seen.add(candidate.text)
        points.append(point)
        yield candidate.text


def build_schedules(
    task: MeasureTask, name: str, texts: Sequence[str], data: DataSet, effort: Effort, workers: int
) -> int:
    """Build what is not built yet, into the task's folder; failures become samples. How many."""
    known = {text for text, _ in built(task.folder)} | _measured(data, name)
    waiting = [text for text in texts if text not in known]
    pool = BuildPool(task, workers, first=len(known))
    try:
        for start in range(0, len(waiting), workers):
            part = waiting[start : start + workers]
            for text, answer in zip(part, pool.build(part, effort.build_seconds), strict=True):
                if isinstance(answer, Result):
                    detail = answer.detail[:200]
                    data.add_sample(Sample(name, text, None, failure=answer.failure, detail=detail))
                else:
                    with (task.folder / BUILT).open("a", encoding="utf-8") as file:
                        file.write(json.dumps({"steps": text, **asdict(answer)}) + "\n")
    finally:
        pool.close()
    return len(waiting)


def built(folder: Path) -> list[tuple[str, Library]]:
    """What `build_schedules` has built in `folder`."""
    path, found = folder / BUILT, []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        entry = json.loads(line)
        scratch = tuple((tuple(shape), dtype) for shape, dtype in entry["scratch"])
        steps = entry.pop("steps")
        found.append((steps, Library(**{**entry, "scratch": scratch})))
    return found


def measure_schedules(
    task: MeasureTask, name: str, data: DataSet, effort: Effort, seconds: float
) -> int:
    """Measure what is built and not measured, for at most `seconds`. How many were measured."""
    end = time.monotonic() + seconds
    known, count = _measured(data, name), 0
    times = [s.seconds for s in data.samples() if s.task == name and s.seconds is not None]
    best = min(times, default=float("inf"))
    runner = RunProcess(task)
    try:
        for text, library in built(task.folder):
            if text in known:
                continue
            if time.monotonic() > end:
                break
            sample = replace(_measure(runner, library, best, effort), task=name, steps=text)
            data.add_sample(sample)
            best = min(best, sample.seconds or best)
            count += 1
    finally:
        runner.close()
    return count


def _measured(data: DataSet, name: str) -> set[str]:
    return {s.steps for s in data.samples() if s.task == name}


def _measure(runner: RunProcess, library: Library, best: float, effort: Effort) -> Sample:
    """Check a candidate once, then time it; the sample has no task and no steps yet."""
    try:
        answer = runner.ask("check", library, effort.run_seconds)
        if "failure" in answer:
            return Sample("", "", None, failure=answer["failure"], detail=answer["detail"][:200])
        if answer["wrong"]:
            runner.close()  # who knows what else it wrote
            return Sample("", "", None, failure="wrong", detail=answer["wrong"][:200])
        first = float(answer["seconds"][0])
        times: list[float] = []
        fewest = effort.fewest if first < effort.hopeless * best else 1
        while len(times) < effort.most and (
            len(times) < fewest or sum(times) < effort.sample_seconds
        ):
            times.append(runner.time(library, first, effort.run_seconds))
    except WorkerTimeout as error:
        return Sample("", "", None, failure="slow", detail=str(error))
    except WorkerDied as error:
        return Sample("", "", None, failure="crash", detail=str(error)[:200])
    shortest = min(times)
    return Sample("", "", shortest, noise=median(times) / shortest - 1, runs=len(times))
