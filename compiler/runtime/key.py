"""The cache key of a whole model, from the exported program: what decides the code, no paths.

The parts are kept apart so that a miss can say which of them changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.export import ExportedProgram
from torch.fx import GraphModule, Node

from ...costmodel.hardware import Machine
from ...costmodel.models.default import chosen_model, model_identity
from ...passes.added import added_passes
from ..job import Job
from ..probe.target_speeds import target_speeds
from ..quantize import quantized_weights
from .toolchain import Toolchain

PACKAGE = Path(__file__).resolve().parents[2]
# Folders of a source checkout that are not part of the compiler.
NOT_COMPILER = ("tests", "benchmarks", "examples", "docs", "build")


def key_parts(job: Job, toolchain: Toolchain, schedules: Mapping[str, str]) -> dict[str, str]:
    """Everything that the result depends on, by name."""
    program, options, machine = job.program, job.settings, job.machine
    return {
        "graph": digest_lines(graph_lines(program)),
        "weights": weights_digest(program),
        "quantized": quantized_digest(program),
        "activations": options.activations,
        "precision": options.precision,
        "convolutions": options.convolutions,
        "max memory": str(options.max_memory),
        "stream weights": str(options.stream_weights),
        "name": options.name,
        "verify": str(options.verify),
        "cost model": model_identity(options.cost_model),
        "grouping model": model_identity(options.grouping_model),
        "speeds": deciding_speeds(options.grouping_model or options.cost_model, machine),
        "recorded schedules": digest_lines(f"{k} {v}" for k, v in sorted(schedules.items())),
        "machine": repr(machine),
        "threads": str(job.threads),
        "compiler": toolchain.identity,
        "flags": " ".join(toolchain.flags(machine)),
        "torch": torch.__version__,
        "tilecast": sources_digest(),
        "registered passes": digest_lines(added_passes()),
    }


def deciding_speeds(cost_model: str | None, machine: Machine) -> str:
    """The speeds that a cost model decides by; nothing where none decides."""
    return "" if chosen_model(cost_model) is None else target_speeds(machine).to_json()


def model_key(parts: Mapping[str, str]) -> str:
    """One name for the parts."""
    return digest_lines(f"{name}={value}" for name, value in sorted(parts.items()))


def graph_lines(program: ExportedProgram) -> Iterator[str]:
    """The program as text: ops, arguments, types, signature and calling convention."""
    for name, module in program.graph_module.named_modules():
        if not isinstance(module, GraphModule):
            continue
        yield f"module {name}"
        for node in module.graph.nodes:
            yield (
                f"{node.name} = {node.op} {node.target} {node.args} {node.kwargs} {type_of(node)}"
            )
    yield str(program.range_constraints)
    yield from map(str, program.graph_signature.input_specs)
    yield from map(str, program.graph_signature.output_specs)
    yield str(program.call_spec.in_spec)
    yield str(program.call_spec.out_spec)


def type_of(node: Node) -> str:
    """Type and shape of what a node computes."""
    value: Any = node.meta.get("val")
    leaves = value if isinstance(value, list | tuple) else [value]
    return " ".join(
        f"{leaf.dtype}{list(leaf.shape)}" if isinstance(leaf, torch.Tensor) else repr(leaf)
        for leaf in leaves
    )


def weights_digest(program: ExportedProgram) -> str:
    """Names, types, shapes and bytes of parameters, buffers and constants."""
    state = hashlib.blake2b(digest_size=20)
    for name, value in sorted({**program.constants, **program.state_dict}.items()):
        if not isinstance(value, torch.Tensor):
            state.update(f"{name} {value!r}\n".encode())
            continue
        dense = value.detach().cpu().contiguous()
        state.update(f"{name} {dense.dtype} {list(dense.shape)}\n".encode())
        state.update(dense.reshape(-1).view(torch.uint8).numpy().data)
    return state.hexdigest()


def quantized_digest(program: ExportedProgram) -> str:
    """Names, formats and codes of quantized weights."""
    state = hashlib.blake2b(digest_size=20)
    for name, tensor in sorted(quantized_weights(program).items()):
        state.update(f"{name} {tensor.format!r} {tensor.shape}\n".encode())
        for array in (tensor.codes, tensor.scales, tensor.zeros, tensor.levels):
            state.update(b"none" if array is None else np.ascontiguousarray(array).data)
    return state.hexdigest()


@cache
def sources_digest() -> str:
    """The compiler's own code: a change of any of its files makes every entry stale."""
    state = hashlib.blake2b(digest_size=20)
    for file in sorted(PACKAGE.rglob("*")):
        inside = file.relative_to(PACKAGE)
        hidden = any(part.startswith(".") for part in inside.parts)
        if file.suffix not in {".py", ".h"} or hidden or inside.parts[0] in NOT_COMPILER:
            continue
        state.update(f"{inside.as_posix()} ".encode())
        state.update(file.read_bytes())
    return state.hexdigest()


def digest_lines(lines: Iterable[str]) -> str:
    """BLAKE2b of the lines."""
    state = hashlib.blake2b(digest_size=20)
    for line in lines:
        state.update(line.encode())
        state.update(b"\n")
    return state.hexdigest()
