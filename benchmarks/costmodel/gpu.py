"""What ptxas makes of kernels of networks: registers, spills, instructions. No GPU is needed.

Each network is compiled in f32 for one architecture and in f16 for the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from tilecast.codegen.cuda.launches import TileLaunch, launches_of
from tilecast.codegen.cuda.unit import cuda_headers, emit_cuda_unit
from tilecast.compiler.cuda.nvcc import build_cubin, instructions
from tilecast.compiler.cuda.reports import plain_name
from tilecast.compiler.target import resolve_target
from tilecast.costmodel.data.objects import ObjectSample
from tilecast.costmodel.data.samples import DataSet
from tilecast.costmodel.features.loop_text import loop_text
from tilecast.dialects.graph.control import is_program
from xdsl.dialects.func import FuncOp

from .corpus import is_first_time
from .zoo import Network, functions, networks

ARCHITECTURES = ("sm_80", "sm_90")
TYPES = (torch.float32, torch.float16)


def collect(data: DataSet, work: Path) -> Iterator[str]:
    """Add the kernels of all networks that were not compiled yet."""
    for number, network in enumerate([*networks(), *functions()]):
        for k, dtype in enumerate(TYPES):
            target = ARCHITECTURES[(number + k) % 2]
            label = f"{network.label}-{target}-{str(dtype).removeprefix('torch.')}"
            if not is_first_time(work, label):
                continue
            try:
                found = list(reports_of(network, target, dtype))
            except Exception as error:  # what cannot be compiled has no kernels
                yield f"{label}: {type(error).__name__}: {str(error)[:200]}"
                continue
            for sample in found:
                data.add_object(sample)
            yield f"{label}: {len(found)} kernels"


def reports_of(network: Network, target: str, dtype: torch.dtype) -> Iterator[ObjectSample]:
    """A sample for every launch of the network's kernels."""
    import tilecast

    module, inputs = network.make()
    module = module.to(dtype)
    inputs = tuple(x.to(dtype) if x.is_floating_point() else x for x in inputs)
    loops = tilecast.compile(module, inputs, target=target, stop_after="loops")
    kernels: list[FuncOp] = [
        op
        for op in loops.ops
        if isinstance(op, FuncOp) and op.sym_name.data != "main" and not is_program(op)
    ]
    texts: dict[str, Any] = {}
    for kernel in kernels:
        for launch in launches_of(kernel.clone()):
            body = launch.program if isinstance(launch, TileLaunch) else launch.func
            texts[body.sym_name.data] = loop_text(body)  # type: ignore[attr-defined]
    cubin = build_cubin(
        emit_cuda_unit(kernels, resolve_target(target), "m_"), target, cuda_headers()
    )
    code = {plain_name(symbol): opcodes for symbol, opcodes in instructions(cubin).items()}
    for report in cubin.reports:
        name = plain_name(report.symbol)
        short = name.removeprefix("m_")
        text = texts.get(short) or texts.get(short.removesuffix("_kernel"))  # of a tile program
        if text is None:
            raise ValueError(f"no loops for {name}; there are {', '.join(texts)}")
        yield ObjectSample(
            network.family,
            f"{network.label}-{name}",
            target,
            tuple(" ".join(words) for words in text.lines),
            text.live_vectors,
            text.live_integers,
            report.registers,
            report.spill_bytes,
            len(code[name]),
        )
