"""Programs whose linear layers compute their weight from stored integers: keep the integers.

before: linear(x, dequantize(q, scale, zero)), in any operators: one of torchao's or of PT2E, or
        plain arithmetic such as ((q.float() - zero) * scale).reshape(...)
after:  linear(x, w), w a parameter with those values and `q`, `scale`, `zero` as its codes

Nothing is matched by the names of operators. The computation of the weight is run, its values are
looked through for integers, scales and zero points of fitting sizes, and what they stand for has to
be the weight that was computed; a weight that is not so stays as it is.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, InputSpec, TensorArgument
from torch.fx import Node

from ...dialects.quant import QuantizedTensor, parse_format
from ...dialects.quant.weight_format import PERIOD
from ..frontend.states import copied_graph, rebuilt
from .computed_weights import INTEGERS, computed_tensors, is_computed, stored_values
from .integer_products import with_scaled_weights

Array = npt.NDArray[Any]
SCALES = {torch.float32: "f32", torch.float16: "f16", torch.bfloat16: "f32", torch.float64: "f32"}
CLOSE = 1e-6  # of the largest weight: (q - z) * s and q * s - z * s are the same codes
MOST_BITS = 8
SHORT_GROUPS = (8, 16)


def with_stored_integers(
    program: ExportedProgram,
) -> tuple[ExportedProgram, dict[str, QuantizedTensor]]:
    """The program with such weights as parameters, and their codes by parameter name."""
    values = stored_values(program)
    scaled = with_scaled_weights(program, values)
    products = [
        node
        for node in scaled.graph.nodes
        if str(node.target) == "aten.linear.default" and is_computed(node.args[1], values)
    ]
    found: dict[str, QuantizedTensor] = {}
    for product in products:
        name = f"{product.args[1].name}_codes"
        tensor = codes_of(product.args[1], values)
        if tensor is not None:
            found[name] = tensor
    return (with_parameters(scaled, found), found) if found else (program, {})


def codes_of(weight: Node, values: Mapping[str, Tensor]) -> QuantizedTensor | None:
    """The codes that `weight` is computed from, or None where that is something else."""
    tensors = computed_tensors(weight, values)
    target = tensors[-1]
    if target.dtype != torch.float32 or target.ndim != 2:
        return None
    for codes, scale, zero in candidates(tensors[:-1], target.shape[0], target.shape[1]):
        tensor = quantized(codes, scale, zero, target.shape[0], target.shape[1])
        if tensor is not None and is_same(tensor, target.numpy()):
            return tensor
    return None


def candidates(
    tensors: list[Tensor], rows: int, columns: int
) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
    """(codes, scales, zero points) of fitting sizes; the codes computed last come first."""
    codes = [t for t in tensors if t.dtype in INTEGERS and t.numel() == rows * columns]
    sizes = {1, *(rows * n for n in range(1, columns + 1) if columns % n == 0)}
    scales = [t for t in tensors if t.dtype in SCALES and t.numel() in sizes]
    others = [t for t in tensors if t.dtype in (*SCALES, *INTEGERS)]
    for code in reversed(codes):
        for scale in scales:
            zeros = [z for z in others if z is not scale and z.numel() == scale.numel()]
            for zero in (*zeros, None):
                yield code, scale, zero


def quantized(
    codes: Tensor, scale: Tensor, zero: Tensor | None, rows: int, columns: int
) -> QuantizedTensor | None:
    """These integers in the narrowest format that holds them; None where there is none."""
    groups = max(1, scale.numel() // rows)
    group = columns // groups
    if groups > 1 and group % PERIOD and group not in SHORT_GROUPS:
        return None
    numbers = codes.reshape(rows, columns).to(torch.int64).numpy()
    points = None if zero is None else zero.to(torch.float64).numpy().reshape(-1)
    if points is not None and not points.any():
        points = None
    # zero points that are integers are kept as codes, all others as numbers
    is_whole = points is not None and bool((points == np.rint(points)).all())
    held = numbers if points is None or not is_whole else np.append(numbers, points)
    low, high = int(held.min()), int(held.max())
    width = max(1, high.bit_length()) if low >= 0 else max(high, -low - 1).bit_length() + 1
    if width > MOST_BITS:
        return None
    base = 0 if low >= 0 else -(1 << (width - 1))
    element = "u" if is_whole or low >= 0 else "i"
    zero_kind = "none" if points is None else "int" if is_whole else "f32"
    scale_kind = SCALES[scale.dtype]
    kind = f"g{group}" if groups > 1 else "channel"
    format = parse_format(f"{element}{width}:{kind}:s{scale_kind}:z{zero_kind}")
    scales = scale.view(torch.int16) if scale_kind == "f16" else scale.to(torch.float32)
    zeros = None
    if points is not None:
        zeros = (points - base).astype(np.uint8) if is_whole else points.astype(np.float32)
    return QuantizedTensor(
        format,
        (numbers - base).astype(np.uint8),
        spread(scales.numpy(), rows, groups),
        None if zeros is None else spread(zeros, rows, groups),
    )


def spread(values: Array, rows: int, groups: int) -> Array:
    """[rows, groups] of one value per tensor, row or group."""
    shape = (1, 1) if values.size == 1 else (rows, groups)
    return np.ascontiguousarray(np.broadcast_to(values.reshape(shape), (rows, groups)))


def is_same(tensor: QuantizedTensor, weight: Array) -> bool:
    """Whether the codes stand for `weight`, up to the rounding of another order of operations."""
    found = tensor.dequantize()
    largest = float(np.abs(weight).max(initial=0.0))
    return bool(np.isfinite(found).all()) and bool(
        (np.abs(found - weight) <= CLOSE * largest).all()
    )


def with_parameters(
    program: ExportedProgram, tensors: Mapping[str, QuantizedTensor]
) -> ExportedProgram:
    """`program` whose nodes called `NAME`, for each `NAME_codes`, are parameters of that value."""
    module = copied_graph(program)
    nodes = {node.name: node for node in module.graph.nodes}
    first = next(iter(module.graph.nodes))
    specs: list[InputSpec] = []
    for name in tensors:
        old = nodes[name.removesuffix("_codes")]
        with module.graph.inserting_before(first):
            new = module.graph.placeholder(f"p_{name}")
        new.meta = dict(old.meta)
        old.replace_all_uses_with(new)
        specs.append(InputSpec(InputKind.PARAMETER, TensorArgument(new.name), name))
    module.graph.eliminate_dead_code()
    used = {node.name for node in module.graph.nodes if node.op == "placeholder" and node.users}
    for spec in program.graph_signature.input_specs:
        if spec.kind is InputKind.USER_INPUT or spec.arg.name in used:
            specs.append(spec)
        else:
            module.graph.erase_node(nodes[spec.arg.name])
    module.recompile()
    parameters = {
        name: nn.Parameter(torch.from_numpy(tensor.dequantize()), requires_grad=False)
        for name, tensor in tensors.items()
    }
    source = copy.copy(program)
    source._state_dict = {**program.state_dict, **parameters}
    return rebuilt(source, module, specs, list(program.graph_signature.output_specs))
