"""Emit cells: a folder each with CUDA sources, a shim, and cell.json, which `run.py` reads.

In: what `cells` lists. Out: a folder that needs nothing of tilecast any more.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tilecast.codegen.c.function import argument_roles
from tilecast.codegen.cuda.unit import cuda_headers, emit_cuda_unit
from tilecast.compiler.job import model_job
from tilecast.compiler.logging import Progress
from tilecast.compiler.lowering import lower
from tilecast.compiler.options import resolve_options
from tilecast.compiler.quantize.quantizers import quantize_matrix
from tilecast.compiler.target import resolve_target
from tilecast.dialects.quant import IntegerElement, parse_format
from tilecast.dialects.quant.activations import quantize_rows
from tilecast.passes.context import CompileContext
from tilecast.passes.loops.kernel_interface import KernelInterface
from tilecast.passes.loops.lower_opaque import LowerOpaquePass
from tilecast.passes.loops.pack_weights import pack_array
from xdsl.dialects.func import FuncOp
from xdsl.parser import Parser

from .cells import Module, Product

SHIM = """\
#include "tilecast_cuda.h"

{definition}extern "C" {prototype};

extern "C" int bench_run(void **a, void *stream)
{{
    tilecast_stream = (cudaStream_t)stream;
    {call};
    return cudaGetLastError() == cudaSuccess ? 0 : 1;
}}
"""
Entry = dict[str, Any]


def folder_name(name: str) -> str:
    """A name for the file system."""
    return re.sub(r"[^\w.-]+", "_", name)


def write_cell(
    folder: Path, facts: Mapping[str, Any], sources: Mapping[str, str], shim: str
) -> None:
    """The files of a cell; headers of all cells are next to their folders."""
    folder.mkdir(parents=True, exist_ok=True)
    listed = []
    for name, text in {**sources, "shim.cu": shim}.items():
        if name.endswith(".cu"):
            (folder / name).write_text(text, encoding="utf-8")
            listed.append(name)
    text = json.dumps({**facts, "sources": listed}, indent=1)
    (folder / "cell.json").write_text(text + "\n", encoding="utf-8")


def stored(folder: Path, name: str, values: Any) -> str:
    """Write a tensor, or a list of them; the name of the file."""
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(values, np.ndarray):
        raw = np.ascontiguousarray(values)
        values = torch.from_numpy(raw.reshape(-1).view(np.uint8).view(np.int8).copy())
    torch.save(values, folder / name)
    return name


DTYPES = {"f16": "float16", "f32": "float32", "i8": "int8", "i16": "int16", "i32": "int32"}


def entry(role: str, dtype: str, shape: Sequence[int], **more: Any) -> Entry:
    """An array of a cell; `dtype` is torch's name."""
    return {"role": role, "dtype": dtype, "shape": list(shape), **more}


def prepare_module(cell: Module, out: Path, target: str) -> None:
    """A module's program: all of its kernels, weights and scratch memory."""
    folder = out / folder_name(f"{cell.suite}-{cell.name}")
    module, inputs = cell.make()
    job = model_job(module.eval(), inputs, None, resolve_options({"target": target}))
    artifact = lower(job, Progress()).artifact("", ())
    arrays = []
    signature = artifact.signature
    for k, spec in enumerate(signature.inputs):
        value: torch.Tensor = job.leaves[signature.positions[k]]
        more: Entry = {}
        if not value.is_floating_point() or cell.suite == "check":
            more["file"] = stored(folder, f"input{k}.pt", value)
        arrays.append(entry("in", spec.dtype, spec.shape, **more))
    arrays += [entry("out", spec.dtype, spec.shape) for spec in signature.results]
    for k, weight in enumerate(artifact.weights.values()):
        file = stored(folder, f"weight{k}.pt", weight)
        arrays.append(entry("weight", "int8", [weight.nbytes], file=file))
    arrays.append(entry("scratch", "int8", [artifact.arena_bytes + 256], below=1))
    facts = {
        "suite": cell.suite,
        "name": cell.name,
        "flops": cell.flops,
        "bytes": cell.bytes,
        "tolerance": cell.tolerance,
        "arrays": arrays,
        "program": "program.pt2",
    }
    name = artifact.name
    counts = len(signature.inputs), len(signature.results), len(artifact.weights)
    places = [f"a + {sum(counts[:k])}" for k in range(3)]
    shim = SHIM.format(
        definition="",
        prototype=f"void {name}_program(const void *const *, void *const *, const void *const *, "
        "unsigned char *)",
        call=f"{name}_program((const void *const *)({places[0]}), {places[1]}, "
        f"(const void *const *)({places[2]}), (unsigned char *)a[{sum(counts)}])",
    )
    write_cell(folder, facts, artifact.sources, shim)
    if cell.suite == "check":
        with torch.no_grad():
            wanted = torch.utils._pytree.tree_leaves(module(*inputs))
        add(folder, expected=stored(folder, "expected.pt", wanted))
    torch.export.save(job.program, folder / "program.pt2")


def add(folder: Path, **facts: Any) -> None:
    """Further facts of a cell."""
    path = folder / "cell.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **facts}, indent=1) + "\n")


def product_kernel(cell: Product, target: str) -> FuncOp:
    """The kernel's function, from types alone: a weight of gigabytes is not needed."""
    format = parse_format(cell.format)
    groups = format.groups(cell.k)
    kinds = {"f32": "f32", "f16": "i16", "bf16": "i16", "e8m0": "i8", "int": "i8"}
    types = {
        "codes": f"tensor<{cell.n}x{cell.k}xi8>",
        "scales": f"tensor<{cell.n}x{groups}x{kinds[format.scale]}>",
    }
    if format.zero != "none":
        types["zeros"] = f"tensor<{cell.n}x{groups}x{kinds[format.zero]}>"
    if not isinstance(format.element, IntegerElement):
        types["levels"] = f"tensor<{1 << format.element.width}xf32>"
    given = [int(name in types) for name in ("zeros", "levels")]
    names, listed = ", ".join(f"%{n}" for n in types), ", ".join(types.values())
    arguments = ", ".join(f"%{n}: {t} {{tilecast.weight}}" for n, t in types.items())
    x, y = f"tensor<{cell.m}x{cell.k}xf16>", f"tensor<{cell.m}x{cell.n}xf16>"
    text = f"""
func.func private @product(%x: {x}, {arguments}) -> {y} {{
  %y = "quant.linear"(%x, {names}) <{{format = "{format}", activations = "{cell.activations}",
      operandSegmentSizes = array<i32: 1, 1, 1, {given[0]}, {given[1]}, 0>}}>
      : ({x}, {listed}) -> {y}
  func.return %y : {y}
}}
"""
    context = CompileContext()
    context.machine = resolve_target(target)
    module = Parser(context, text).parse_module()
    LowerOpaquePass().apply(context, module)
    func = module.body.block.first_op
    assert isinstance(func, FuncOp)
    return func


def prepare_product(cell: Product, out: Path, target: str) -> None:
    """One product; small ones come with a weight and the result."""
    folder = out / folder_name(f"{cell.suite}-{cell.name}")
    func = product_kernel(cell, target)
    interface, roles = KernelInterface(func), argument_roles(func)
    format = parse_format(cell.format)
    tensors: list[Any] = []
    facts: dict[str, Any] = {}
    if cell.suite == "check":
        rng = np.random.default_rng(0)
        weight = rng.normal(size=(cell.n, cell.k)).astype(np.float32)
        tensor = quantize_matrix(weight, cell.format)
        x = rng.normal(size=(cell.m, cell.k)).astype(np.float16)
        parts = (tensor.codes, tensor.scales, tensor.zeros, tensor.levels)
        tensors = [x, *(p for p in parts if p is not None)]
        rows = x.astype(float)
        if cell.activations != "f32":
            rounded, steps = quantize_rows(x, cell.activations)
            rows = rounded.astype(float) * steps
        wanted = rows @ tensor.dequantize(np.float64).T
        facts["expected"] = stored(folder, "expected.pt", [torch.from_numpy(wanted)])
    arrays = []
    for k, argument in enumerate(func.body.block.args):
        kind, shape = interface.type_of(k), interface.type_of(k).get_shape()
        dtype = DTYPES[str(kind.element_type)]
        more: Entry = {"below": 1} if k in interface.semaphores else {}
        role = roles[k]
        if k < len(tensors) and role in ("in", "weight"):
            value = tensors[k].view(np.int8) if tensors[k].dtype == np.uint8 else tensors[k]
            if k in interface.packs:
                value = pack_array(value, interface.packs[k], shape)
            more["file"] = stored(folder, f"array{k}.pt", torch.from_numpy(np.array(value)))
        arrays.append(entry(role, dtype, shape, **more))
        assert argument.index == k
    machine = resolve_target(target)
    weight_bytes = format.bits(cell.n, cell.k) / 8 * cell.n * cell.k
    facts |= {
        "suite": cell.suite,
        "name": cell.name,
        "flops": 2.0 * cell.m * cell.n * cell.k,
        "bytes": weight_bytes + 2 * cell.m * (cell.n + cell.k),
        "tolerance": 5e-3,
        "arrays": arrays,
        "linear": [cell.n, cell.k],
    }
    text = emit_cuda_unit([func], machine, "bench_")
    head = re.search(r'extern "C" (void bench_product\([^)]*\))', text)
    assert head is not None
    declared = [p.rsplit("*", 1)[0] + "*" for p in head[1].partition("(")[2][:-1].split(",")]
    given = ", ".join(f"({t.strip()})a[{k}]" for k, t in enumerate(declared))
    shim = SHIM.format(
        definition="thread_local cudaStream_t tilecast_stream;\n\n",
        prototype=head[1],
        call=f"bench_product({given})",
    )
    write_cell(folder, facts, {"product.cu": text}, shim)


def prepare(cells: Sequence[Product | Module], out: Path, target: str) -> None:
    """All cells, the headers, and the file that measures them."""
    out.mkdir(parents=True, exist_ok=True)
    for name, text in cuda_headers().items():
        (out / "include").mkdir(exist_ok=True)
        (out / "include" / name).write_text(text, encoding="utf-8")
    shutil.copy(Path(__file__).with_name("run.py"), out / "run.py")
    for number, cell in enumerate(cells):
        print(f"{number + 1}/{len(cells)} {cell.suite} {cell.name}", flush=True)
        make = prepare_product if isinstance(cell, Product) else prepare_module
        make(cell, out, target)  # type: ignore[operator]
