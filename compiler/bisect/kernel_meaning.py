"""The meaning of one kernel as loops, and under the first steps of its schedule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp

from ...dialects.errors import TilecastError
from ...dialects.poly import ScopOp
from ...dialects.reference.loops import run_kernel
from ...passes.poly.emission.lower_scop import lower_scop
from ..verify.kernels import check_kernel
from ..verify.report import CheckResult

Array = npt.NDArray[Any]


class InterpretedKernel:
    """Stands for a compiled library: runs the loops of one kernel in Python."""

    def __init__(self, func: FuncOp) -> None:
        self.func = func

    def run_kernel(self, name: str, arrays: list[Array], sizes: Sequence[int] = ()) -> None:
        """Run the kernel, one of fixed sizes, on its arguments, outputs last."""
        run_kernel(self.func, arrays)


def loops_result(structure: FuncOp, loops: FuncOp, seed: int) -> CheckResult | None:
    """The first output of `loops` that differs from the linalg kernel `structure`."""
    rng = np.random.default_rng(seed)
    rows = check_kernel(structure, loops, InterpretedKernel(loops), rng)
    return next((row for row in rows if not row.passed), None)


def first_wrong_step(structure: FuncOp, scop: ScopOp, schedule: str, seed: int) -> str:
    """The first step of `schedule` under which the loops of `scop` are wrong; empty where they are
    wrong in their original order."""
    steps = schedule.splitlines()
    for count in range(len(steps) + 1):
        copy = scop.clone()
        copy.properties["schedule"] = StringAttr("\n".join(steps[:count]))
        try:
            loops = ModuleOp([lower_scop(copy)]).body.block.first_op
            assert isinstance(loops, FuncOp)
            wrong = loops_result(structure, loops, seed)
        except TilecastError:
            continue  # the first steps of a schedule need not be one that can be lowered
        if wrong is not None:
            return steps[count - 1] if count else ""
    return ""
