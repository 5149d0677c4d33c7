"""Our kernels: one `quant.linear` compiled by itself, checked against float64."""

from __future__ import annotations

import ctypes
import hashlib
from dataclasses import replace
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

from .built import DIGITS, NAME, NUMBERS, RESULT, WORDS, Argument, BuiltCell, call_of
from .cells import Cell
from .rotation import Array, aligned

SAMPLE = 1024  # outputs that are computed in float64: the first, the last, and others
STORED = {"f32": f32, "f16": IntegerType(16), "bf16": IntegerType(16), "e8m0": IntegerType(8)}


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

    def check(self) -> float:
        """The error over the allowed one; at most 1 is right. Remembered beside the library."""
        marker = self.library.with_suffix(".margin")
        if marker.exists():
            return float(marker.read_text())
        rng = np.random.default_rng(7)
        inputs = [random_argument(argument, rng) for argument in self.plain.body.block.args]
        arrays = [self.empty(argument) for argument in self.arguments()]
        for position, array in zip(self.interface.read, inputs, strict=True):
            arrays[position] = aligned(packed_argument(self.interface, position, array))
        function = getattr(ctypes.CDLL(str(self.library)), NAME)
        call_of(function, arrays)()
        found = arrays[self.interface.written[0]].reshape(self.cell.rows, self.cell.outputs)
        sample = self.sample(rng)
        outputs = self.cell.outputs
        some = [inputs[0], *(x[sample] if len(x) == outputs else x for x in inputs[1:])]
        kernel = kernel_of(replace(self.cell, outputs=len(sample)))
        (reference,) = evaluate_kernel(kernel, some, dtype=np.float64)
        (native,) = evaluate_kernel(kernel, some, dtype=np.float32)
        result = compare("kernel", NAME, found[:, sample], reference, native, self.cell.columns)
        marker.write_text(f"{result.margin}\n")
        return result.margin

    def sample(self, rng: np.random.Generator) -> Array:
        """The outputs that are checked: all, or the first and last tiles and others between."""
        outputs = self.cell.outputs
        if outputs <= SAMPLE:
            return np.arange(outputs)
        ends = SAMPLE // 4
        middle = rng.choice(outputs - 2 * ends, SAMPLE - 2 * ends, replace=False)
        return np.concatenate(
            [np.arange(ends), ends + np.sort(middle), np.arange(outputs - ends, outputs)]
        )

    def description(self, margin: float) -> BuiltCell:
        """What timing needs to know."""
        return BuiltCell(self.library.name, margin, self.arguments())

    def arguments(self) -> list[Argument]:
        """The arrays of the C function in order."""
        interface = self.interface
        count = len(interface.read) + len(interface.written) + len(interface.scratch)
        return [self.argument(position) for position in range(count)]

    def argument(self, position: int) -> Argument:
        """The array at `position`."""
        interface = self.interface
        type: MemRefType[Any] = interface.type_of(position)
        dtype, format = dtype_of(type), self.cell.weight_format
        is_weight = position in interface.read and position != interface.read[0]
        if position not in interface.read:
            holds = RESULT
        elif isinstance(interface.packs.get(position), BitPackAttr):
            holds = WORDS
        elif type.element_type == f32:
            holds = NUMBERS
        elif type.element_type == IntegerType(8) and format.zero == "int":
            holds = DIGITS
        else:
            holds = format.scale
        return Argument(list(type.get_shape()), dtype.str, holds, is_weight)

    @staticmethod
    def empty(argument: Argument) -> Array:
        """Poison for outputs and scratch."""
        dtype = np.dtype(argument.dtype)
        return aligned(np.full(argument.shape, np.nan if dtype.kind == "f" else -1, dtype))


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
        made.unlink()
    return library
