"""One builder per engine: a module and inputs in, a function of inputs to flat tensors out."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch.utils import _pytree as pytree

Inputs = tuple[torch.Tensor, ...]
Program = Callable[[Inputs], Any]


def build_tilecast(module: torch.nn.Module, inputs: Inputs, threads: int) -> Program:
    """tilecast for the CPU at hand; it verifies itself while compiling."""
    import tilecast

    compiled = tilecast.compile(module, inputs, target="native", threads=threads)
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


def build_openvino(module: torch.nn.Module, inputs: Inputs, threads: int) -> Program:
    """OpenVINO on the CPU in f32: its default may round to bf16."""
    import openvino

    model = openvino.convert_model(module, example_input=inputs)
    shapes = [list(value.shape) for value in inputs]
    model.reshape(dict(zip(model.inputs, shapes, strict=True)))
    compiled = openvino.compile_model(
        model,
        "CPU",
        {
            "INFERENCE_PRECISION_HINT": "f32",
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
ENGINES: dict[str, tuple[str, Callable[[torch.nn.Module, Inputs, int], Program]]] = {
    "tilecast": ("tilecast", build_tilecast),
    "eager": ("torch", build_eager),
    "inductor": ("torch", build_inductor),
    "onnxruntime": ("onnxruntime", build_onnxruntime),
    "openvino": ("openvino", build_openvino),
}


def installed_engines() -> list[str]:
    """Names of the engines whose package can be imported."""
    return [name for name, (package, _) in ENGINES.items() if find_spec(package) is not None]


def engine_version(name: str) -> str:
    """Version of the distribution behind an engine."""
    return version(ENGINES[name][0])


def flat_tensors(result: Any) -> list[torch.Tensor]:
    """The tensors of a result in any structure."""
    leaves = pytree.tree_leaves(result)
    return [torch.as_tensor(leaf) for leaf in leaves if leaf is not None]
