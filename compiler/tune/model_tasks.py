"""Kernels of a model as tasks: each fused group that affine loops describe, with random inputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from xdsl.dialects.builtin import ModuleOp, TensorType
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute

from ...costmodel.hardware import Machine
from ...dialects.graph import LaunchOp
from ...dialects.poly import ScopOp
from ...dialects.quant.ops import QuantizedLinearOp
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
    records have it under, and how often the model calls it.

    The program is a scop or, for GPUs, the function of a product with a quantized weight.
    """

    task: MeasureTask
    program: ScopOp | FuncOp
    text: str
    key: str
    calls: int

    def type_of(self, position: int) -> tuple[tuple[int, ...], Attribute]:
        """Shape and element of an array; results come behind the arguments."""
        block = self.program.body.block
        if isinstance(self.program, ScopOp):
            return shape_of(block.args[position]), element_type(block.args[position])
        types = [*(a.type for a in block.args), *self.program.function_type.outputs]
        type = types[position]
        assert isinstance(type, TensorType)
        return type.get_shape(), type.element_type


def kernel_tasks(
    structure: ModuleOp,
    folder: Path,
    machine: Machine,
    toolchain: Toolchain,
    threads: int,
) -> Iterator[KernelTask]:
    """A task in a sub-folder of `folder` for every kernel of `structure`, a model whose kernels are
    linalg. Kernels of opaque ops, of dynamic sizes and with very large arrays are left out, but
    for products with quantized weights on GPUs.

    The expected results of scops are still to be recorded.
    """
    kernels = {op.sym_name.data: op for op in structure.ops if isinstance(op, FuncOp)}
    calls = Counter(
        op.kernel.root_reference.data for op in structure.walk() if isinstance(op, LaunchOp)
    )
    module = structure.clone()
    load_pass("extract-scop")().apply(CompileContext(machine=machine, threads=threads), module)
    command = (*toolchain.command, *toolchain.flags(machine))
    for name, func in kernels.items() if machine.is_gpu else ():
        is_product = any(isinstance(op, QuantizedLinearOp) for op in func.body.walk())
        if is_product and name in calls:
            yield product_task(func, folder, machine, command, calls[name])
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
        task = MeasureTask(
            folder / name, name, tuple(arguments), machine, command, threads, origin="model"
        )
        text = str(ModuleOp([scop.clone()]))
        task.write(text, initial)
        yield KernelTask(task, scop, text, task_key(scop), calls[name])


def product_task(
    func: FuncOp, folder: Path, machine: Machine, command: tuple[str, ...], calls: int
) -> KernelTask:
    """The task of a product with a quantized weight, its results among the files."""
    name = func.sym_name.data
    inputs, results = random_evaluation(func, np.random.default_rng(0))
    [result] = results
    [output] = func.function_type.outputs
    assert isinstance(output, TensorType)
    stored = np.asarray(result).astype(storage_type(output.element_type))
    attributes = func.arg_attrs.data if func.arg_attrs is not None else ()
    weights = {k for k, entry in enumerate(attributes) if "tilecast.weight" in entry.data}
    arguments = [
        Argument(f"a{k}", "weight" if k in weights else "in", BOUND) for k in range(len(inputs))
    ]
    arguments.append(Argument(f"a{len(inputs)}", "out", BOUND))
    task = MeasureTask(folder / name, name, tuple(arguments), machine, command, 1, origin="model")
    copy = func.clone()
    text = str(ModuleOp([copy]))
    initial = {f"a{k}": array for k, array in enumerate([*inputs, np.zeros_like(stored)])}
    task.write(text, initial)
    task.set_expected({arguments[-1].name: stored})
    return KernelTask(task, func, text, task_key(func), calls)


def bytes_of(array: Any) -> int:
    """Bytes of an array of static shape."""
    return int(np.prod(shape_of(array))) * storage_type(array.type.element_type).itemsize
