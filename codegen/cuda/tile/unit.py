"""A CUDA C++ file out of tile programs: device functions that it uses, kernels, host launchers.

`nvcc` compiles it with nothing but the CUDA headers, `g++` with `emulation_tensor.h`. Each launcher
`NAME(arguments..., stream)` returns 0 or an error code.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from xdsl.dialects.builtin import BFloat16Type, Float16Type, Float32Type
from xdsl.ir import Attribute
from xdsl.ir.affine import (
    AffineBinaryOpExpr,
    AffineBinaryOpKind,
    AffineConstantExpr,
    AffineDimExpr,
    AffineExpr,
)

from ....costmodel.hardware import Machine
from ....dialects.errors import LoweringError
from ....dialects.tile import ops
from ....dialects.tile.atoms import FP8
from ....dialects.tile.types import PointerType
from ...c.prelude import Prelude
from ..text import as_cuda
from . import compute_rules, control_rules, memory_rules
from .emitter import Emitter

RULE_MODULES = (compute_rules, control_rules, memory_rules)
PREFACE = """\
// {description}
#ifndef __CUDACC__
#include "emulation_tensor.h"
#else
#include <cuda_runtime.h>

#include <cstdint>
#include <cstring>

#define TC_SHARED(name) extern __shared__ __align__(128) unsigned char name[]

{functions}#endif
"""
PART = """
#ifndef __CUDACC__
#include "emulation_tensor.h"
#else
{functions}#endif
"""
SWIZZLE = """
// Exchanges 16-byte chunks so that neither copies nor ldmatrix meet a bank twice.
template <int shift, int mask>
__device__ static inline int tc_swizzle(int offset)
{
    return offset ^ (offset >> shift & mask);
}
"""
STANDARD_SHARED = 48 * 1024


@dataclass(frozen=True)
class Kernel:
    """A kernel as text, and what a caller has to know.

    `parameters` are declarations, `grid` the blocks along each axis in terms of their names.
    """

    name: str
    text: str
    parameters: tuple[tuple[str, str], ...]
    grid: tuple[str, ...]
    threads: int
    shared_bytes: int

    @property
    def launcher(self) -> str:
        """A C function that starts the kernel on a stream."""
        signature = ", ".join(declaration for declaration, _ in self.parameters)
        listed = ", ".join(name for _, name in self.parameters)
        attribute = ""
        if self.shared_bytes > STANDARD_SHARED:
            attribute = f"    {self.shared_attribute}\n"
        return f"""
extern "C" int {self.name}({signature}, void* stream)
{{
    const dim3 grid({", ".join(self.grid)});
#ifndef __CUDACC__
    (void)stream;
    return tilecast_emulation::launch(
        grid, {self.threads}, {self.shared_bytes}, [=] {{ {self.name}_kernel({listed}); }});
#else
{attribute}    {self.name}_kernel<<<grid, {self.threads}, {self.shared_bytes},
        static_cast<cudaStream_t>(stream)>>>(
        {listed});
    return cudaGetLastError();
#endif
}}
"""

    @property
    def shared_attribute(self) -> str:
        """The statement that lets the kernel have more shared memory than 48 KiB."""
        return (
            f"cudaFuncSetAttribute({self.name}_kernel, "
            "cudaFuncAttributeMaxDynamicSharedMemorySize, "
            f"{self.shared_bytes});"
        )


@cache
def device_functions() -> dict[str, str]:
    """Every function of device_functions.h by name."""
    text = (
        files("tilecast.codegen.cuda").joinpath("include", "device_functions.h").read_text("utf-8")
    )
    found: dict[str, str] = {}
    for part in re.split(r"\n\n(?=template|__device__)", text)[1:]:
        match = re.search(r"\b(tc_\w+)\(", part)
        assert match is not None
        found[match[1]] = part.strip() + "\n"
    return found


def used_functions(text: str) -> str:
    """The functions that `text` calls, and those that these call, in the order of the file."""
    functions = device_functions()
    needed: set[str] = set()
    waiting = [text]
    while waiting:
        for name in set(re.findall(r"\btc_\w+", waiting.pop())) & set(functions) - needed:
            needed.add(name)
            waiting.append(functions[name])
    return "".join(f"{functions[name]}\n" for name in functions if name in needed)


def c_type(element: Attribute) -> str:
    """The type of an element in global memory."""
    if isinstance(element, Float16Type | BFloat16Type):
        return "uint16_t"
    if isinstance(element, Float32Type):
        return "float"
    if element in FP8:
        return "int8_t"
    return {"i8": "int8_t", "i32": "int32_t"}[str(element)]


def emit_kernel(program: ops.ProgramOp, prelude: Prelude, prefix: str = "") -> Kernel:
    """The kernel of a program, called `prefix` and its name; helpers go to `prelude`."""
    program.verify()
    name = prefix + program.sym_name.data
    emitter = Emitter(name, program.threads.data, prelude)
    written = {
        view.pointer
        for view in program.walk()
        if isinstance(view, ops.ViewGlobalOp)
        and any(
            isinstance(use.operation, ops.StoreGlobalOp | ops.ReleaseOp) for use in view.result.uses
        )
    }
    parameters: list[tuple[str, str]] = []
    sizes: list[str] = []
    for argument, label in zip(program.body.block.args, program.arguments.data, strict=True):
        parameter = emitter.fresh(label.data)
        emitter.bind(argument, parameter)
        if isinstance(argument.type, PointerType):
            const = "" if argument in written else "const "
            type = c_type(argument.type.pointee)
            parameters.append((f"{const}{type}* __restrict__ {parameter}", parameter))
        else:
            parameters.append((f"int {parameter}", parameter))
            sizes.append(parameter)
    emitter.emit_block(program.body.block)
    threads = program.threads.data
    signature = ", ".join(declaration for declaration, _ in parameters)
    body = "\n".join(emitter.lines)
    tables = "".join(f"{table}\n" for table in emitter.tables)
    shared = "    TC_SHARED(shared);\n" if re.search(r"\bshared\b", body) else ""
    text = f"""
{tables}static __global__ void __launch_bounds__({threads}) {name}_kernel(
    {signature})
{{
{shared}    const unsigned t = threadIdx.x;
{body}
}}
"""
    grid = tuple(affine_text(e, sizes) for e in program.grid.data.results)
    return Kernel(name, text, tuple(parameters), grid, threads, emitter.shared_bytes)


def affine_text(expression: AffineExpr, sizes: Sequence[str]) -> str:
    """An affine expression of sizes, none negative, in C++."""
    if isinstance(expression, AffineConstantExpr):
        return str(expression.value)
    if isinstance(expression, AffineDimExpr):
        return sizes[expression.position]
    assert isinstance(expression, AffineBinaryOpExpr)
    a, b = affine_text(expression.lhs, sizes), affine_text(expression.rhs, sizes)
    sign = {
        AffineBinaryOpKind.Add: "+",
        AffineBinaryOpKind.Mul: "*",
        AffineBinaryOpKind.FloorDiv: "/",
        AffineBinaryOpKind.Mod: "%",
    }.get(expression.kind)
    if sign is None:
        raise LoweringError(f"the grid of a tile program has no rule for {expression}")
    return f"({a} {sign} {b})"


def tile_functions(text: str) -> str:
    """What kernels in `text`, part of a larger file, need before them."""
    if not set(re.findall(r"\btc_\w+", text)) & set(device_functions()):
        return ""
    swizzle = SWIZZLE if "tc_swizzle" in text else ""
    return PART.format(functions=used_functions(text)) + swizzle


def emit_unit(programs: Sequence[ops.ProgramOp], description: str) -> str:
    """The whole file."""
    prelude = Prelude(Machine("sm_80", "scalar"))
    kernels = [emit_kernel(program, prelude) for program in programs]
    text = "".join(kernel.text + kernel.launcher for kernel in kernels)
    head = PREFACE.format(description=description, functions=used_functions(text))
    return head + SWIZZLE + as_cuda(prelude.text()) + text
