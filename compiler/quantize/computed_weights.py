"""Values of a program that are computed from stored tensors alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind
from torch.fx import Interpreter, Node

from ..frontend.states import STORED, stored

INTEGERS = (torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64)


def stored_values(program: ExportedProgram) -> dict[str, Tensor]:
    """Parameters, buffers and constants by the name of their placeholder."""
    kinds = (*STORED, InputKind.PARAMETER)
    specs = [s for s in program.graph_signature.input_specs if s.kind in kinds and s.target]
    return {spec.arg.name: stored(program, str(spec.target)) for spec in specs}


def is_fixed(node: Any, values: Mapping[str, Tensor]) -> bool:
    """Whether a value is stored, or computed from nothing but stored tensors."""
    if not isinstance(node, Node):
        return False
    leaves = [n for n in ancestors(node) if n.op != "call_function"]
    return all(n.op == "placeholder" and n.name in values for n in leaves)


def is_computed(node: Any, values: Mapping[str, Tensor]) -> bool:
    """Whether the weight is computed, from nothing but stored tensors, integers among them."""
    if not is_fixed(node, values) or node.op == "placeholder":
        return False
    tensors = [values[n.name] for n in ancestors(node) if n.op == "placeholder"]
    return any(value.dtype in INTEGERS for value in tensors)


def ancestors(node: Node) -> list[Node]:
    """`node` and all that it is computed from, in the order of the program."""
    seen: dict[Node, None] = {}
    pending = [node]
    while pending:
        current = pending.pop()
        if current not in seen:
            seen[current] = None
            pending.extend(current.all_input_nodes)
    return [n for n in node.graph.nodes if n in seen]


class Recorder(Interpreter):
    """Runs some nodes of a graph, given the values of placeholders."""

    def tensors(self, nodes: list[Node], values: Mapping[str, Tensor]) -> list[Tensor]:
        """The values of `nodes`, as far as they are tensors."""
        with torch.no_grad():
            for node in nodes:
                value = values[node.name] if node.op == "placeholder" else self.run_node(node)
                self.env[node] = value
        return [self.env[node] for node in nodes if isinstance(self.env[node], Tensor)]


def computed_tensors(node: Node, values: Mapping[str, Tensor]) -> list[Tensor]:
    """What `node` is computed from, in the order of the program; itself comes last."""
    module = node.graph.owning_module
    assert module is not None
    return Recorder(module).tensors(ancestors(node), values)


def evaluated(node: Node, values: Mapping[str, Tensor]) -> Tensor:
    """The value of a node that is fixed."""
    return computed_tensors(node, values)[-1]
