"""One builder per engine: a module and inputs in, a function of inputs to flat tensors out."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch.utils import _pytree as pytree

Inputs = tuple[torch.Tensor, ...]
Program = Callable[[Inputs], Any]
Builder = Callable[[torch.nn.Module, Inputs, int], Program]


def build_tilecast(
    module: torch.nn.Module, inputs: Inputs, threads: int, precision: str = "f32"
) -> Program:
    """tilecast for the CPU at hand; it verifies itself while compiling."""
    import tilecast

    compiled = tilecast.compile(
        module, inputs, target="native", threads=threads, precision=precision
    )
    return lambda values: compiled(*values)


def build_eager(module: torch.nn.Module, inputs: Inputs, threads: int) -> Program:
    """PyTorch as it is."""
    return lambda values: module(*values)


def build_inductor(module: torch.nn.Module, inputs: Inputs, threads: int) -> Program:
    """torch.compile with frozen weights, its fastest setting for inference."""
    import torch._inductor.config as config

    config.freezing = True
    compiled = torch.compile(module)
    return lambda values: compiled(*values)


def build_onnxruntime(module: torch.nn.Module, inputs: Inputs, threads: int) -> Program:
    """ONNX Runtime on the exported model, all graph optimizations."""
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        torch.onnx.export(module, inputs, path, dynamo=True, verbose=False)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [item.name for item in session.get_inputs()]

    def run(values: Inputs) -> list[Any]:
        feed = {name: value.numpy() for name, value in zip(names, values, strict=True)}
        return list(session.run(None, feed))

    return run


def build_openvino(
    module: torch.nn.Module, inputs: Inputs, threads: int, precision: str = "f32"
) -> Program:
    """OpenVINO on the CPU in just this precision: its default may round to bf16."""
    import openvino

    model = openvino.convert_model(module, example_input=inputs)
    shapes = [list(value.shape) for value in inputs]
    model.reshape(dict(zip(model.inputs, shapes, strict=True)))
    compiled = openvino.compile_model(
        model,
        "CPU",
        {
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
        },
    )
    request = compiled.create_infer_request()

    def run(values: Inputs) -> list[Any]:
        results = request.infer([value.numpy() for value in values], share_inputs=True)
        return [results[output] for output in compiled.outputs]

    return run


# Name -> (distribution that must be installed, builder).
ENGINES: dict[str, tuple[str, Builder]] = {
    "tilecast": ("tilecast", build_tilecast),
    "eager": ("torch", build_eager),
    "inductor": ("torch", build_inductor),
    "onnxruntime": ("onnxruntime", build_onnxruntime),
    "openvino": ("openvino", build_openvino),
}


# What an engine does for `precision="bf16"`: it takes that option, or a module in bf16.
BF16: dict[str, Builder] = {
    "tilecast": partial(build_tilecast, precision="bf16"),
    "openvino": partial(build_openvino, precision="bf16"),
}
BF16_MODULES = ("eager", "inductor")


def installed_engines(precision: str = "f32") -> list[str]:
    """Names of the engines whose package can be imported, and that have this precision."""
    able = ENGINES if precision == "f32" else [*BF16, *BF16_MODULES]
    return [name for name in able if find_spec(ENGINES[name][0]) is not None]


def in_bf16(inputs: Inputs) -> Inputs:
    """Every float rounded."""
    return tuple(x.to(torch.bfloat16) if x.is_floating_point() else x for x in inputs)


def engine_version(name: str) -> str:
    """Version of the distribution behind an engine."""
    return version(ENGINES[name][0])


def flat_tensors(result: Any) -> list[torch.Tensor]:
    """The tensors of a result in any structure."""
    leaves = pytree.tree_leaves(result)
    return [torch.as_tensor(leaf) for leaf in leaves if leaf is not None]
