"""What our kernels are compared with: libraries' products of the same shape, weights rotated too.

A peer gives a function and how many products one call of it computes.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from .llama_cpp import TYPES, library_folder, llama_cpp
from .rotation import copies_needed

Call = Callable[[], object]
Made = tuple[Call, int]
GROUP = 32


def torch_plain(rows: int, outputs: int, columns: int, dtype: torch.dtype) -> Made:
    """`torch.nn.functional.linear`."""
    size = outputs * columns * dtype.itemsize
    weights = [torch.randn(outputs, columns).to(dtype) for _ in range(copies_needed(size))]
    x, turns = torch.randn(rows, columns).to(dtype), itertools.cycle(weights)
    return lambda: torch.nn.functional.linear(x, next(turns)), 1


def torch_int4(rows: int, outputs: int, columns: int) -> Made:
    """Groups of 32, activations in bf16."""
    codes = torch.randint(0, 16, (outputs, columns), dtype=torch.int32)
    packed = torch.ops.aten._convert_weight_to_int4pack_for_cpu(codes, 1)
    scales = torch.rand(columns // GROUP, outputs, 2).to(torch.bfloat16)
    count = copies_needed(outputs * columns * (0.5 + 4 / GROUP))
    turns = itertools.cycle([(packed.clone(), scales.clone()) for _ in range(count)])
    x = torch.randn(rows, columns).to(torch.bfloat16)

    def call() -> object:
        weight, zeros = next(turns)
        return torch.ops.aten._weight_int4pack_mm_for_cpu(x, weight, GROUP, zeros)

    return call, 1


def torch_int8(rows: int, outputs: int, columns: int) -> Made:
    """A scale per output channel, activations in bf16."""
    codes = torch.randint(-128, 128, (outputs, columns), dtype=torch.int8)
    weights = [codes.clone() for _ in range(copies_needed(outputs * columns))]
    scales = torch.rand(outputs).to(torch.bfloat16)
    x, turns = torch.randn(rows, columns).to(torch.bfloat16), itertools.cycle(weights)
    return lambda: torch.ops.aten._weight_int8pack_mm(x, next(turns), scales), 1


def onnx_runtime(rows: int, outputs: int, columns: int, bits: int, level: int) -> Made:
    """MatMulNBits, one node per copy of the weight, so that a run computes them all."""
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    blocks = -(-columns // GROUP)
    count = copies_needed(outputs * blocks * (GROUP * bits / 8 + 4))
    rng = np.random.default_rng(0)
    nodes, stored, results = [], [], []
    for k in range(count):
        shape = (outputs, blocks, GROUP * bits // 8)
        codes = np.frombuffer(rng.bytes(int(np.prod(shape))), np.uint8).reshape(shape)
        scales = rng.uniform(0.1, 1.0, (outputs, blocks)).astype(np.float32)
        stored.append(numpy_helper.from_array(codes, f"w{k}"))
        stored.append(numpy_helper.from_array(scales, f"s{k}"))
        node = helper.make_node(
            "MatMulNBits",
            ["x", f"w{k}", f"s{k}"],
            [f"y{k}"],
            domain="com.microsoft",
            K=columns,
            N=outputs,
            bits=bits,
            block_size=GROUP,
            accuracy_level=level,
        )
        nodes.append(node)
        results.append(helper.make_tensor_value_info(f"y{k}", TensorProto.FLOAT, [rows, outputs]))
    source = helper.make_tensor_value_info("x", TensorProto.FLOAT, [rows, columns])
    graph = helper.make_graph(nodes, "products", [source], results, stored)
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    x = rng.standard_normal((rows, columns)).astype(np.float32)
    return lambda: session.run(None, {"x": x}), count


PEERS: dict[str, Callable[[int, int, int], Made]] = {
    "torch f32": lambda *shape: torch_plain(*shape, torch.float32),
    "torch bf16": lambda *shape: torch_plain(*shape, torch.bfloat16),
    "torch int4": torch_int4,
    "torch int8": torch_int8,
    "ort 2 bits": lambda *shape: onnx_runtime(*shape, 2, 4),
    "ort 4 bits": lambda *shape: onnx_runtime(*shape, 4, 4),
    "ort 8 bits": lambda *shape: onnx_runtime(*shape, 8, 4),
    **{f"llama.cpp {kind}": partial(llama_cpp, kind=kind) for kind in TYPES},
}
INSTALLED = [name for name in PEERS if library_folder() or not name.startswith("llama.cpp")]


def make_peer(name: str, shape: tuple[int, int, int]) -> Made:
    """The peer called `name` at (rows, outputs, columns), after its first call."""
    made: Any = PEERS[name](*shape)
    made[0]()
    return made[0], made[1]
