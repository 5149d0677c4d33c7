"""A pass that raised, or C that the compiler refused: the IR it happened to, from compiling again.

in:  the error and the model
out: the culprit, for a refused file the kernel whose C it is
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch.export import ExportedProgram

from ...codegen.c import emit_unit
from ...costmodel.hardware import Machine
from ...dialects.errors import PassError, RefusedSourceError, TilecastError
from ..driver import apply_settings, thread_count
from ..lowering import Lowered
from ..options import Options
from ..pipeline import Stage, pipeline_for, run_stage
from ..runtime.toolchain import toolchain_for
from .culprit import WHOLE, Culprit

Defect = PassError | RefusedSourceError


def crashed(
    error: Defect,
    program: ExportedProgram,
    leaves: Sequence[Any],
    settings: Options,
    machine: Machine,
    schedules: Mapping[str, str] | None = None,
) -> Culprit:
    """What failed, and the IR before it; `schedules` are recorded ones that were used."""
    name = error.pass_name if isinstance(error, PassError) else "emit"
    problem = str(error).partition("\n")[0]
    if name == "import":
        return Culprit(name, WHOLE, None, str(program.graph), "", problem=problem)
    lowered = Lowered.from_program(program, leaves, machine, thread_count(settings, machine))
    apply_settings(lowered.ctx, settings)
    lowered.ctx.recorded_schedule = schedules.get if schedules else None
    before = before_failing_pass(lowered)
    if isinstance(error, PassError) or machine.is_gpu:
        return Culprit(name, WHOLE, None, before, "", problem=problem)
    return refused_kernel(lowered, machine, problem) or Culprit(
        name, WHOLE, None, before, "", problem=problem
    )


def before_failing_pass(lowered: Lowered) -> str:
    """The IR that goes into the pass that raises; after the last one where none does."""
    for stage in pipeline_for(lowered.ctx.machine):
        for name in stage.passes:
            before = str(lowered.module)
            try:
                run_stage(Stage(stage.name, (name,)), lowered.ctx, lowered.module)
            except TilecastError:
                return before
    return str(lowered.module)


def refused_kernel(lowered: Lowered, machine: Machine, problem: str) -> Culprit | None:
    """The first kernel whose C alone is refused; None where all are accepted."""
    toolchain = toolchain_for(machine)
    with tempfile.TemporaryDirectory(prefix="tilecast-") as name:
        source = Path(name) / "kernel.c"
        for kernel in lowered.functions()[1]:
            text = emit_unit([kernel], machine)
            source.write_text(text, encoding="utf-8")
            try:
                toolchain.compile(source, source.with_suffix(".o"), toolchain.flags(machine))
            except RefusedSourceError:
                label = kernel.sym_name.data
                return Culprit("emit", label, None, str(kernel), text, problem=problem)
    return None
