"""Kernels of a model as tasks: each fused group that affine loops describe, with random inputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp

from ...costmodel.hardware import Machine
from ...dialects.graph import LaunchOp
from ...dialects.poly import ScopOp
from ...passes.context import CompileContext
from ...passes.poly.array_shapes import element_type, shape_of
from ...passes.poly.task_key import task_key
from ...passes.registry import load_pass
from ..runtime.toolchain import Toolchain
from ..verify.kernels import random_evaluation, storage_type
from .task import Argument, MeasureTask, roles_of

BOUND = 1e-4  # of the largest result: float32 sums in another order
LARGEST_BYTES = 256 * 2**20


@dataclass(frozen=True)
class KernelTask:
    """A kernel that can be measured: its folder, its unscheduled program with the `key` that
    records have it under, and how often the model calls it."""

    task: MeasureTask
    scop: ScopOp
    text: str
    key: str
    calls: int


def kernel_tasks(
    structure: ModuleOp,
    folder: Path,
    machine: Machine,
    toolchain: Toolchain,
    threads: int,
) -> Iterator[KernelTask]:
    """A task in a sub-folder of `folder` for every kernel of `structure`, a model whose kernels are
    linalg. Kernels of opaque ops, of dynamic sizes and with very large arrays are left out.

    The expected results are still to be recorded.
    """
    kernels = {op.sym_name.data: op for op in structure.ops if isinstance(op, FuncOp)}
    calls = Counter(
        op.kernel.root_reference.data for op in structure.walk() if isinstance(op, LaunchOp)
    )
    module = structure.clone()
    load_pass("extract-scop")().apply(CompileContext(machine=machine, threads=threads), module)
    for scop in [op for op in module.ops if isinstance(op, ScopOp)]:
        if scop.parameters or sum(map(bytes_of, scop.body.block.args)) > LARGEST_BYTES:
            continue
        name = scop.sym_name.data
        scop.detach()  # type: ignore[no-untyped-call]
        inputs, _ = random_evaluation(kernels[name], np.random.default_rng(0))
        initial: dict[str, Any] = {}
        arguments = []
        roles = roles_of([r.data for r in scop.roles])
        for k, (array, role) in enumerate(zip(scop.body.block.args, roles, strict=True)):
            shape = shape_of(array)
            if k < len(inputs):
                initial[f"a{k}"] = inputs[k].reshape(shape)
            else:
                initial[f"a{k}"] = np.zeros(shape, storage_type(element_type(array)))
            arguments.append(Argument(f"a{k}", role, BOUND))
        command = (*toolchain.command, *toolchain.flags(machine))
        task = MeasureTask(
            folder / name, name, tuple(arguments), machine, command, threads, origin="model"
        )
        text = str(ModuleOp([scop.clone()]))
        task.write(text, initial)
        yield KernelTask(task, scop, text, task_key(scop), calls[name])


def bytes_of(array: Any) -> int:
    """Bytes of an array of static shape."""
    return int(np.prod(shape_of(array))) * storage_type(array.type.element_type).itemsize
