"""Our kernels: one `quant.linear` compiled by itself, checked against float64, called in C."""

from __future__ import annotations

import ctypes
import hashlib
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from tilecast.codegen.c import emit_unit
from tilecast.compiler.runtime.toolchain import find_toolchain
from tilecast.compiler.target import native_machine
from tilecast.compiler.verify.compare import compare
from tilecast.compiler.verify.kernels import packed_argument, random_argument
from tilecast.costmodel.hardware import Machine
from tilecast.dialects.quant import IntegerElement
from tilecast.dialects.quant.ops import BitPackAttr, QuantizedLinearOp
from tilecast.dialects.quant.scale_types import SCALE_TYPES
from tilecast.dialects.reference.linalg import evaluate_kernel
from tilecast.dialects.reference.loop_arithmetic import dtype_of
from tilecast.passes.context import CompileContext
from tilecast.passes.loops.kernel_interface import KernelInterface
from tilecast.passes.loops.lower_opaque import LowerOpaquePass
from xdsl.dialects.builtin import (
    ArrayAttr,
    DictionaryAttr,
    IntegerType,
    MemRefType,
    ModuleOp,
    TensorType,
    UnitAttr,
    f32,
)
from xdsl.dialects.func import FuncOp, ReturnOp

from .cells import Cell
from .rotation import aligned, copies_needed

NAME = "product"
STORED = {"f32": f32, "f16": IntegerType(16), "bf16": IntegerType(16), "e8m0": IntegerType(8)}
Call = Callable[[], object]


def kernel_of(cell: Cell, has_bias: bool = False, name: str = NAME) -> FuncOp:
    """A kernel of one `quant.linear`."""
    format = cell.weight_format
    groups = format.groups(cell.columns)
    has_levels = not isinstance(format.element, IntegerElement)
    zero = {"none": None, "int": IntegerType(8), **STORED}[format.zero]
    types = [
        TensorType(f32, [cell.rows, cell.columns]),
        TensorType(IntegerType(8), [cell.outputs, cell.columns]),
        TensorType(STORED[format.scale], [cell.outputs, groups]),
        TensorType(zero, [cell.outputs, groups]) if zero is not None else None,
        TensorType(f32, [2**format.element.width]) if has_levels else None,
        TensorType(f32, [cell.outputs]) if has_bias else None,
    ]
    present = [t for t in types if t is not None]
    result = TensorType(f32, [cell.rows, cell.outputs])
    func = FuncOp(name, (present, [result]), visibility="private")
    arguments = iter(func.body.block.args)
    op = QuantizedLinearOp(
        str(format),
        *(None if t is None else next(arguments) for t in types),
        activations=cell.activations,
    )
    func.body.block.add_ops([op, ReturnOp(op.result)])
    weight = DictionaryAttr({"tilecast.weight": UnitAttr()})
    func.arg_attrs = ArrayAttr([DictionaryAttr({}), *[weight] * (len(present) - 1)])
    return func


class CompiledCell:
    """The library of one cell, from `folder` where it is there already."""

    def __init__(self, cell: Cell, folder: Path, threads: int, machine: Machine | None = None):
        self.cell, self.machine = cell, machine or native_machine()
        self.plain = kernel_of(cell)
        ctx = CompileContext()
        ctx.machine, ctx.threads = self.machine, threads
        module = ModuleOp([self.plain.clone()])
        LowerOpaquePass().apply(ctx, module)
        (self.lowered,) = (op for op in module.ops if isinstance(op, FuncOp))
        self.interface = KernelInterface(self.lowered)
        self.source = emit_unit([self.lowered], self.machine, prefix="")
        self.library = build_source(self.source, folder, self.machine)
        self.function = getattr(ctypes.CDLL(str(self.library)), NAME)

    def check(self) -> float:
        """The error over the allowed one; at most 1 is right. Remembered beside the library."""
        marker = self.library.with_suffix(".margin")
        if marker.exists():
            return float(marker.read_text())
        rng = np.random.default_rng(7)
        inputs = [random_argument(argument, rng) for argument in self.plain.body.block.args]
        (reference,) = evaluate_kernel(self.plain, inputs, dtype=np.float64)
        (native,) = evaluate_kernel(self.plain, inputs, dtype=np.float32)
        arrays = self.empty_arrays()
        for position, array in zip(self.interface.read, inputs, strict=True):
            arrays[position] = aligned(packed_argument(self.interface, position, array))
        self.call(arrays)()
        found = arrays[self.interface.written[0]].reshape(reference.shape)
        result = compare("kernel", NAME, found, reference, native, self.cell.columns)
        marker.write_text(f"{result.margin}\n")
        return result.margin

    def rotating(self) -> Call:
        """A call that reads another copy of the weight each time."""
        rng = np.random.default_rng(1)
        weights = [k for k in self.interface.read if k != self.interface.read[0]]
        base = self.empty_arrays()
        for position in self.interface.read:
            base[position] = self.random_array(position, rng)
        calls = []
        for _ in range(copies_needed(self.cell.weight_bytes)):
            own = {k: aligned(base[k]) for k in weights}
            calls.append(self.call({**base, **own}))
        turns = itertools.cycle(calls)
        return lambda: next(turns)()

    def empty_arrays(self) -> dict[int, Any]:
        """Outputs and scratch, poisoned."""
        arrays = {}
        for position in (*self.interface.written, *self.interface.scratch):
            type = self.interface.type_of(position)
            shape = type.get_shape()
            fill: Any = np.nan if dtype_of(type).kind == "f" else -1
            arrays[position] = aligned(np.full(shape, fill, dtype_of(type)))
        return arrays

    def random_array(self, position: int, rng: np.random.Generator) -> Any:
        """An argument as it is packed: any bits for codes, ordinary numbers for the rest."""
        type: MemRefType[Any] = self.interface.type_of(position)
        shape, format = type.get_shape(), self.cell.weight_format
        if isinstance(self.interface.packs.get(position), BitPackAttr):
            words = rng.integers(-(2**31), 2**31, shape, np.int64).astype(np.int32)
            return aligned(words)
        values = rng.uniform(0.1, 1.0, shape).astype(np.float32)
        if type.element_type == f32:
            return aligned(values)
        if type.element_type == IntegerType(8) and format.zero == "int":
            return aligned(rng.integers(0, 2**format.element.width, shape, np.uint8))
        return aligned(SCALE_TYPES[format.scale].encode(values))

    def call(self, arrays: dict[int, Any]) -> Call:
        """The function on these arrays, which the call keeps alive."""
        pointers = [ctypes.c_void_p(arrays[k].ctypes.data) for k in range(len(arrays))]
        function = self.function

        def run() -> object:
            return function(*pointers), arrays

        return run


def build_source(source: str, folder: Path, machine: Machine) -> Path:
    """The shared library made of `source`, kept in `folder` under a name that follows from both."""
    toolchain = find_toolchain()
    flags = toolchain.flags(machine)
    key = hashlib.blake2b(f"{source}{flags}{toolchain.identity}".encode(), digest_size=10)
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{key.hexdigest()}.c"
    library = path.with_suffix(".so")
    if not library.exists():
        path.write_text(source)
        made = path.with_suffix(".o")
        toolchain.compile(path, made, flags)
        toolchain.link([made], library, flags)
    return library
