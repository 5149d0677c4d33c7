"""Kernels of a model as tasks: each fused group that affine loops describe, with random inputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp

from ...costmodel.hardware import Machine
from ...dialects.poly import ScopOp
from ...passes.context import CompileContext
from ...passes.poly.sets import box_extents
from ...passes.poly.simplification.collapse_dims import collapse_dims, shape_of
from ...passes.poly.simplification.inline_statements import inline_statements
from ...passes.registry import load_pass
from ..runtime.toolchain import Toolchain
from ..verify.kernels import random_argument, storage_type
from .task import Argument, MeasureTask, roles_of

BOUND = 1e-4  # of the largest result: float32 sums in another order
LARGEST_BYTES = 256 * 2**20


@dataclass(frozen=True)
class KernelTask:
    """A kernel that can be measured, and its program text."""

    task: MeasureTask
    scop: ScopOp
    text: str


def kernel_tasks(
    structure: ModuleOp,
    folder: Path,
    machine: Machine,
    toolchain: Toolchain,
    threads: int,
) -> Iterator[KernelTask]:
    """A task in a sub-folder of `folder` for every kernel of `structure`, a model whose kernels are
    linalg. Kernels of opaque ops and those with very large arrays are left out."""
    kernels = {op.sym_name.data: op for op in structure.ops if isinstance(op, FuncOp)}
    module = structure.clone()
    load_pass("extract-scop")().apply(CompileContext(machine=machine, threads=threads), module)
    for scop in [op for op in module.ops if isinstance(op, ScopOp)]:
        if sum(bytes_of(a) for a in scop.body.block.args) > LARGEST_BYTES:
            continue
        scop.detach()  # type: ignore[no-untyped-call]
        if scop.is_sequence_of_nests and all(box_extents(s.domain.data) for s in scop.statements):
            collapse_dims(scop)
            inline_statements(scop)
        yield kernel_task(scop, kernels[scop.sym_name.data], folder, machine, toolchain, threads)


def kernel_task(
    scop: ScopOp,
    kernel: FuncOp,
    folder: Path,
    machine: Machine,
    toolchain: Toolchain,
    threads: int,
) -> KernelTask:
    """Write the task of one kernel; the expected results are still to be recorded."""
    name = scop.sym_name.data
    rng = np.random.default_rng(0)
    values = [random_argument(argument, rng) for argument in kernel.body.block.args]
    initial: dict[str, Any] = {}
    arguments = []
    roles = roles_of([r.data for r in scop.roles])
    for k, (array, role) in enumerate(zip(scop.body.block.args, roles, strict=True)):
        shape = shape_of(array)
        if k < len(values):
            initial[f"a{k}"] = values[k].reshape(shape)
        else:
            initial[f"a{k}"] = np.zeros(shape, storage_type(array.type.element_type))  # type: ignore[attr-defined]
        arguments.append(Argument(f"a{k}", role, BOUND))
    command = (*toolchain.command, *toolchain.flags(machine))
    task = MeasureTask(folder / name, name, tuple(arguments), machine, command, threads)
    text = str(ModuleOp([scop.clone()]))
    task.write(text, initial)
    return KernelTask(task, scop, text)


def bytes_of(array: Any) -> int:
    """Bytes of an array of static shape."""
    return int(np.prod(shape_of(array))) * storage_type(array.type.element_type).itemsize
