"""Kernels of the loops level as CUDA files: `__global__` functions, and a C function per kernel.

    __global__ void k_kernel(const float *x, float *y) { ... }
    extern "C" void NAME_k(const float *x, float *y) { TILECAST_LAUNCH(k_kernel, ...); }

The C function queues its launches on `tilecast_stream` and does not wait for them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import prod
from pathlib import Path

from xdsl.dialects.builtin import MemRefType
from xdsl.dialects.func import FuncOp

from ...costmodel.hardware import Machine
from ..c.function import FunctionEmitter, signature_comment
from ..c.prelude import Prelude
from ..c.program import emit_program
from .function import CudaFunctionEmitter
from .launches import Launch, TileLaunch, launches_of
from .text import as_cuda
from .tile.unit import STANDARD_SHARED, Kernel, emit_kernel, tile_functions

INCLUDE = Path(__file__).with_name("include")
HEADERS = (
    "tilecast_cuda.h",
    "emulation.h",
    "emulation_blocks.h",
    "emulation_fibers.h",
    "emulation_order.h",
    "emulation_runtime.h",
    "emulation_tensor.h",
)


def cuda_headers() -> dict[str, str]:
    """The headers that emitted files include."""
    return {name: (INCLUDE / name).read_text(encoding="utf-8") for name in HEADERS}


def emit_cuda_unit(kernels: Sequence[FuncOp], machine: Machine, prefix: str) -> str:
    """A CUDA file with `kernels`."""
    prelude = Prelude(machine)
    bodies = [_kernel(kernel, prelude, prefix) for kernel in kernels]
    head = '#include "tilecast_cuda.h"\n\n#include <stdbool.h>\n#include <string.h>\n'
    helpers = as_cuda(prelude.text())
    return "\n".join([head + tile_functions(helpers + "".join(bodies)) + helpers, *bodies])


def emit_cuda_program(main: FuncOp, kernels: Sequence[FuncOp], name: str, prefix: str) -> str:
    """The CUDA file of the program: it calls the kernels over the arena, all on one stream."""
    text = emit_program(main, kernels, name, prefix)
    text = as_cuda(text)
    text = re.sub(
        r"^(    const )(\w+(?: \w+)*) \*(\w+) = ((?:inputs|weights)\[\d+\]);",
        r"\1\2 *\3 = (const \2 *)\4;",
        text,
        flags=re.M,
    )
    text = re.sub(
        r"^(    )(\w+(?: \w+)*) \*(\w+) = (outputs\[\d+\]);",
        r"\1\2 *\3 = (\2 *)\4;",
        text,
        flags=re.M,
    )
    text = re.sub(
        r"memcpy\((.*)\);", r"cudaMemcpyAsync(\1, cudaMemcpyDeviceToDevice, tilecast_stream);", text
    )
    text = text.replace(
        "#include <stdint.h>\n", '#include "tilecast_cuda.h"\n\n#include <stdint.h>\n'
    )
    head, includes_end, body = text.partition("\n\n#include <stdint.h>\n")
    return (
        f"{head}{includes_end}\nthread_local cudaStream_t tilecast_stream;\n\n"
        f'extern "C" {{\n{body}\n}}\n'
    )


def _kernel(kernel: FuncOp, prelude: Prelude, prefix: str) -> str:
    launches = launches_of(kernel)
    texts: list[str] = []
    emitter = FunctionEmitter(kernel, prelude, prefix)
    head = as_cuda(emitter.prototype())
    lines = [
        f"    (void){emitter.expr(argument).text};"
        for k, argument in enumerate(kernel.body.block.args)
        if not any(k in launch.arguments for launch in launches)
    ]
    for launch in launches:
        arguments = [emitter.expr(kernel.body.block.args[k]).text for k in launch.arguments]
        if isinstance(launch, TileLaunch):
            made = emit_kernel(launch.program, prelude, prefix)
            texts.append(made.text)
            lines += tile_launch(made, kernel, launch, arguments)
            continue
        texts.append(_global(launch, prelude, prefix))
        grid, block = (f"dim3({x}, {y})" for x, y in (launch.grid, launch.block))
        values = ", ".join(
            [prefix + launch.func.sym_name.data, grid, block, "0", "tilecast_stream", *arguments]
        )
        lines.append(f"    TILECAST_LAUNCH({values});")
    host = f'extern "C" {head};\n{head}\n{{\n' + "\n".join(lines) + "\n}\n"
    return "\n".join([signature_comment(kernel) + "\n".join(texts), host])


def tile_launch(
    made: Kernel, kernel: FuncOp, launch: TileLaunch, arguments: Sequence[str]
) -> list[str]:
    """The statements that queue a tile program; under emulation, they tell the arrays' sizes."""
    types = [kernel.body.block.args[k].type for k in launch.arguments]
    sizes = [
        f"{{{argument}, {prod(type.get_shape())} * sizeof *{argument}}}"
        for argument, type in zip(arguments, types, strict=True)
        if isinstance(type, MemRefType)
    ]
    lines = [f"    TILECAST_ARRAYS({', '.join(sizes)});"]
    if made.shared_bytes > STANDARD_SHARED:
        lines.append(f"    {made.shared_attribute}")
    grid = f"dim3({', '.join(made.grid)})"
    values = [f"{made.name}_kernel", grid, f"dim3({made.threads})", str(made.shared_bytes)]
    return [*lines, f"    TILECAST_LAUNCH({', '.join([*values, 'tilecast_stream', *arguments])});"]


def _global(launch: Launch, prelude: Prelude, prefix: str) -> str:
    threads = launch.block[0] * launch.block[1]
    emitter = CudaFunctionEmitter(launch, prelude, prefix)
    return as_cuda(emitter.emit(f"static __global__ __launch_bounds__({threads}) "))
