"""The graph of a program whose products with quantized weights round their activations."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.fx import GraphModule

from ...dialects.quant.activations import quantize_rows
from ..quantize import activations_of, quantized_weights


def round_activations(x: Tensor, activations: str) -> Tensor:
    """What the rounded activations stand for, row by row, in the type of `x`."""
    rows = x.detach().reshape(-1, x.shape[-1]).to(torch.float32).numpy()
    rounded, steps = quantize_rows(rows, activations)
    with np.errstate(invalid="ignore"):
        values = rounded.astype("float64") * steps.astype("float64")
    return torch.from_numpy(values).to(x.dtype).reshape(x.shape)


def with_rounded_activations(program: ExportedProgram) -> GraphModule:
    """The graph of `program`, a call of `round_activations` before each such product."""
    activations = activations_of(program)
    if activations == "f32":
        return as_graph(program)
    quantized = quantized_weights(program)
    specs = program.graph_signature.input_specs
    weights = {spec.arg.name for spec in specs if spec.target in quantized}
    module = copy.deepcopy(as_graph(program))
    for node in module.graph.nodes:
        if str(node.target) == "aten.linear.default" and node.args[1].name in weights:
            with module.graph.inserting_before(node):
                arguments = node.args[0], activations
                rounded = module.graph.call_function(round_activations, arguments)
            node.update_arg(0, rounded)
    module.recompile()
    return module


def as_graph(program: ExportedProgram) -> GraphModule:
    """The graph of `program`, which torch types as a module."""
    module: GraphModule = program.graph_module
    return module
