"""A verification that failed while compiling: the pass that did it, and a folder to look at.

in:  the failure, the model and its lowered form
out: the failure with the culprit, where interpreting the wrong kernels is quick, and the folder
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram
from xdsl.dialects.func import FuncOp
from xdsl.dialects.linalg.ops import GenericOp

from ...costmodel.hardware import Machine
from ...dialects.errors import TilecastError, VerifyFailure
from ..lowering import Lowered
from ..options import Options
from ..runtime.toolchain import Toolchain
from ..verify.reduction_length import loop_extents
from ..verify.report import VerifyReport
from .bisect import bisect
from .repro import write_repro

MOST_ITERATIONS = 200_000  # of the wrong kernels, some ten seconds in an interpreter


def explained(
    error: VerifyFailure,
    report: VerifyReport | None,
    program: ExportedProgram,
    leaves: Sequence[Any],
    lowered: Lowered,
    settings: Options,
    machine: Machine,
    toolchain: Toolchain,
) -> VerifyFailure:
    """`error` with what is known about its cause."""
    folder = Path(tempfile.mkdtemp(prefix="tilecast-repro-"))
    repeat = f"tilecast bisect {save_model(program, leaves, folder)} --target {settings.target}"
    cause = ""
    if not machine.is_gpu and settings.dynamic_shapes is None and is_quick(report, lowered):
        try:
            culprit = bisect(program, leaves, settings, machine, toolchain)
        except TilecastError as failed:
            cause = f"\nlooking for the pass that did it failed: {failed}"
        else:
            if culprit is not None:
                write_repro(culprit, folder, repeat)
                cause = f"\n{culprit}"
    else:
        (folder / "README").write_text(f"{error}\nLook for the pass that did it: {repeat}\n")
    return VerifyFailure(f"{error}{cause}\nthe model and what is known are in {folder}; {repeat}")


def save_model(program: ExportedProgram, leaves: Sequence[Any], folder: Path) -> Path:
    """The model as a file, and the example inputs beside it."""
    for stage, value in {"inputs.pt": list(leaves), "model.pt2": program}.items():
        path = folder / stage
        try:
            if isinstance(value, ExportedProgram):
                torch.export.save(value, path)
            else:
                torch.save(value, path)
        except Exception as error:  # torch cannot write every model: say so in the file's place
            path.with_suffix(".txt").write_text(f"torch cannot write it: {error}\n")
    return folder / "model.pt2"


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
