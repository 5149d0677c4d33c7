"""A compilation that failed by a defect: the pass that did it, and a folder to look at.

in:  the failure, the model and, of a failed verification, its lowered form
out: the failure with the culprit, where interpreting the wrong kernels is quick, and the folder
"""

from __future__ import annotations

import math
import shutil
import tempfile
import traceback
from collections.abc import Mapping
from pathlib import Path

from xdsl.dialects.func import FuncOp
from xdsl.dialects.linalg.ops import GenericOp

from ...dialects.errors import TilecastError, VerifyFailure
from ..job import Job
from ..lowering import Lowered
from ..pipeline import write_text
from ..runtime.toolchain import Toolchain
from ..verify.reduction_length import loop_extents
from ..verify.report import VerifyReport
from .bisect import bisect
from .crash import Defect, crashed
from .repro import bisect_command, save_model, write_repro

MOST_ITERATIONS = 200_000  # of the wrong kernels, some ten seconds in an interpreter


def explained(
    error: VerifyFailure,
    report: VerifyReport | None,
    lowered: Lowered,
    toolchain: Toolchain,
) -> VerifyFailure:
    """`error` with what is known about its cause."""
    folder, job = Path(tempfile.mkdtemp(prefix="tilecast-repro-")), lowered.job
    try:
        repeat = bisect_command(save_model(job.program, job.leaves, folder), job.settings)
    except OSError as failed:
        shutil.rmtree(folder, ignore_errors=True)
        return VerifyFailure(f"{error}\nthe model cannot be kept: {failed}")
    cause = ""
    has_fixed_shapes = job.settings.dynamic_shapes is None
    if not job.machine.is_gpu and has_fixed_shapes and is_quick(report, lowered):
        try:
            culprit = bisect(job, toolchain)
        except TilecastError as failed:
            cause = f"\nlooking for the pass that did it failed: {failed}"
        else:
            if culprit is not None:
                write_repro(culprit, folder, repeat)
                cause = f"\n{culprit}"
    else:
        (folder / "README").write_text(f"{error}\nLook for the pass that did it: {repeat}\n")
    return VerifyFailure(f"{error}{cause}\nthe model and what is known are in {folder}; {repeat}")


def left_behind(error: Defect, job: Job, schedules: Mapping[str, str] | None) -> str:
    """What to say about the folder with the model and the IR that a pass, or the C compiler, failed
    on; it is left out where the disk has no room for it."""
    folder = Path(tempfile.mkdtemp(prefix="tilecast-repro-"))
    try:
        repeat = bisect_command(save_model(job.program, job.leaves, folder), job.settings)
        culprit = crashed(error, job, schedules)
        write_repro(culprit, folder, repeat)
        trace = traceback.format_exception(error.__cause__ or error)
        write_text(folder, "error.txt", "".join(trace))
    except (OSError, TilecastError) as failed:
        shutil.rmtree(folder, ignore_errors=True)
        return f"no folder with the model and its IR could be written: {failed}"
    return f"the model and the IR before it are in {folder}; {repeat}"


def is_quick(report: VerifyReport | None, lowered: Lowered) -> bool:
    """Whether the kernels with wrong results are small enough for an interpreter."""
    wrong = [] if report is None else [r for r in report.results if not r.passed]
    names = {result.name.partition("[")[0] for result in wrong if result.kind == "kernel"}
    iterations = sum(
        math.prod(loop_extents(op))
        for func in lowered.structure.ops
        if isinstance(func, FuncOp) and func.sym_name.data in names
        for op in func.walk()
        if isinstance(op, GenericOp)
    )
    return iterations <= MOST_ITERATIONS
