"""A pass that raised, or C that the compiler refused: the IR it happened to, from compiling again.

in:  the error and the model
out: the culprit, for a refused file the kernel whose C it is
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from ...codegen.c import emit_unit
from ...costmodel.hardware import Machine
from ...dialects.errors import PassError, RefusedSourceError, TilecastError
from ..job import Job
from ..lowering import Lowered
from ..pipeline import Stage, pipeline_for, run_stage
from ..runtime.toolchain import toolchain_for
from .culprit import WHOLE, Culprit

Defect = PassError | RefusedSourceError


def crashed(error: Defect, job: Job, schedules: Mapping[str, str] | None = None) -> Culprit:
    """What failed, and the IR before it; `schedules` are recorded ones that were used."""
    name = error.pass_name if isinstance(error, PassError) else "emit"
    problem = str(error).partition("\n")[0]
    if name == "import":
        return Culprit(name, WHOLE, None, str(job.program.graph), "", problem=problem)
    lowered = Lowered.of(job, schedules)
    before = before_failing_pass(lowered)
    if isinstance(error, PassError) or job.machine.is_gpu:
        return Culprit(name, WHOLE, None, before, "", problem=problem)
    return refused_kernel(lowered, job.machine, problem) or Culprit(
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
