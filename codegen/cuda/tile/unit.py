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

from ....dialects.errors import LoweringError
from ....dialects.tile import ops
from ....dialects.tile.types import PointerType
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

// Exchanges 16-byte chunks so that neither copies nor ldmatrix meet a bank twice.
template <int shift, int mask>
__device__ static inline int tc_swizzle(int offset)
{{
    return offset ^ (offset >> shift & mask);
}}
"""
STANDARD_SHARED = 48 * 1024


@dataclass(frozen=True)
class Kernel:
    """Text of a kernel and its launcher, and what a caller has to know."""

    name: str
    text: str
    shared_bytes: int
    threads: int


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
    return {"i8": "int8_t", "i32": "int32_t"}[str(element)]


def emit_kernel(program: ops.ProgramOp) -> Kernel:
    """The kernel of a program and its launcher."""
    program.verify()
    name = program.sym_name.data
    emitter = Emitter(name, program.threads.data)
    written = {
        view.pointer
        for view in program.walk()
        if isinstance(view, ops.ViewGlobalOp)
        and any(
            isinstance(use.operation, ops.StoreGlobalOp | ops.ReleaseOp) for use in view.result.uses
        )
    }
    parameters, names, sizes = [], [], []
    for argument, label in zip(program.body.block.args, program.arguments.data, strict=True):
        parameter = emitter.fresh(label.data)
        emitter.bind(argument, parameter)
        names.append(parameter)
        if isinstance(argument.type, PointerType):
            const = "" if argument in written else "const "
            type = c_type(argument.type.pointee)
            parameters.append(f"{const}{type}* __restrict__ {parameter}")
        else:
            parameters.append(f"int {parameter}")
            sizes.append(parameter)
    emitter.emit_block(program.body.block)
    threads, shared = program.threads.data, emitter.shared_bytes
    grid = [affine_text(e, sizes) for e in program.grid.data.results]
    listed = ", ".join(names)
    signature = ", ".join(parameters)
    attribute = ""
    if shared > STANDARD_SHARED:
        attribute = (
            f"    cudaFuncSetAttribute({name}_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, "
            f"{shared});\n"
        )
    body = "\n".join(emitter.lines)
    tables = "".join(f"{table}\n" for table in emitter.tables)
    text = f"""
{tables}__global__ void __launch_bounds__({threads}) {name}_kernel(
    {signature})
{{
    TC_SHARED(shared);
    const unsigned t = threadIdx.x;
{body}
}}

extern "C" int {name}({signature}, void* stream)
{{
    const dim3 grid({", ".join(grid)});
#ifndef __CUDACC__
    (void)stream;
    return tilecast_emulation::launch(
        grid, {threads}, {shared}, [=] {{ {name}_kernel({listed}); }});
#else
{attribute}    {name}_kernel<<<grid, {threads}, {shared}, static_cast<cudaStream_t>(stream)>>>(
        {listed});
    return cudaGetLastError();
#endif
}}
"""
    return Kernel(name, text, shared, threads)


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


def emit_unit(programs: Sequence[ops.ProgramOp], description: str) -> str:
    """The whole file."""
    text = "".join(emit_kernel(program).text for program in programs)
    return PREFACE.format(description=description, functions=used_functions(text)) + text
