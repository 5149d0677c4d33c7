"""A data set as measured candidates: its programs are read and scheduled, features computed."""

from __future__ import annotations

import numpy as np
from xdsl.dialects.builtin import ModuleOp
from xdsl.parser import Parser

from ...costmodel.data.samples import DataSet, Sample, Task
from ...costmodel.evaluation.evaluate import Measured
from ...costmodel.features.hardware import Hardware
from ...costmodel.features.nests import ScheduledProgram
from ...costmodel.models.interface import Candidates
from ...dialects.errors import IllegalScheduleError, InvalidInputError
from ...dialects.poly import ScopOp
from ...dialects.schedule import parse_steps
from ...passes.context import CompileContext
from ...passes.poly.cost.describe import ScopDescriber


def measured(data: DataSet, machine: str | None = None) -> Measured:
    """All samples of `data` that have a time and are not noisy; those of `machine` alone, where one
    is named."""
    by_task: dict[str, list[Sample]] = {}
    for sample in data.samples():
        if sample.seconds is not None and not sample.is_noisy:
            by_task.setdefault(sample.task, []).append(sample)
    parts, samples, families, names, machines = [], [], [], [], []
    groups: dict[str, int] = {}
    for task in data.tasks():
        group = task.group or task.name
        number = groups.setdefault(group, len(groups))
        if machine not in (None, task.machine.name):
            continue
        found = described(data, task, by_task.get(task.name, []))
        if not found:
            continue
        hardware = Hardware(task.machine, task.speeds)
        parts.append(Candidates.of([program for program, _ in found], hardware, number))
        samples += [sample for _, sample in found]
        families += [task.family] * len(found)
        names += [group] * len(found)
        machines += [task.machine.name] * len(found)
    if not parts:
        where = "" if machine is None else f" of {machine}"
        raise InvalidInputError(f"{data.folder} has no measured samples{where}")
    seconds = np.array([s.seconds for s in samples], np.float64)
    return Measured(
        Candidates.joined(parts),
        seconds,
        tuple(families),
        tuple(names),
        tuple(s.choice for s in samples),
        tuple(machines),
        np.array([s.halves or (np.nan, np.nan) for s in samples]),
    )


def described(
    data: DataSet, task: Task, samples: list[Sample]
) -> list[tuple[ScheduledProgram, Sample]]:
    """The scheduled programs of one task with their samples; steps that no longer apply are left
    out."""
    if not samples:
        return []
    describe = ScopDescriber(read_scop(data.scop_text(task.name)), task.threads)
    found = []
    for sample in samples:
        try:
            found.append((describe(parse_steps(sample.steps)), sample))
        except IllegalScheduleError:
            continue
    return found


def read_scop(text: str) -> ScopOp:
    """The one scop in the text of a module."""
    module = Parser(CompileContext(), text).parse_module()
    assert isinstance(module, ModuleOp)
    scops = [op for op in module.ops if isinstance(op, ScopOp)]
    if len(scops) != 1:
        raise InvalidInputError(f"expected a module with one poly.scop, found {len(scops)}")
    return scops[0]
