"""Parameters that consist of several tensors, such as quantized ones, become one parameter each.

before: parameter w, a tensor subclass; access_subclass_inner_tensor(w, "qdata")
after:  parameter w.qdata, a tensor
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, InputSpec, TensorArgument
from torch.fx import Node

from .states import STORED, copied_graph, rebuilt

ACCESS = "export.access_subclass_inner_tensor.default"


def with_inner_tensors(program: ExportedProgram) -> ExportedProgram:
    """`program` with inner tensors as parameters; itself where it has no tensor subclasses."""
    if not any(str(node.target) == ACCESS for node in program.graph.nodes):
        return program
    module = copied_graph(program)
    specs = {spec.arg.name: spec for spec in program.graph_signature.input_specs}
    tensors: dict[str, Any] = {**program.constants, **program.state_dict}
    inner: dict[str, Tensor] = {}
    for node in list(module.graph.nodes):
        if str(node.target) != ACCESS:
            continue
        source, attribute = node.args
        outer = specs[source.name]
        name = f"{outer.target}.{attribute}"
        inner[name] = tensors[name] = getattr(tensors[str(outer.target)], attribute).detach()
        with module.graph.inserting_before(source):
            new = module.graph.placeholder(f"{source.name}_{attribute}")
        new.meta = dict(node.meta)
        specs[new.name] = InputSpec(
            InputKind.BUFFER, TensorArgument(new.name), name, persistent=True
        )
        node.replace_all_uses_with(new)
        module.graph.erase_node(node)
    used: list[Node] = []
    for node in [n for n in module.graph.nodes if n.op == "placeholder"]:
        spec = specs[node.name]
        if spec.kind in (*STORED, InputKind.PARAMETER) and is_subclass(tensors[str(spec.target)]):
            module.graph.erase_node(node)
        else:
            used.append(node)
    module.recompile()
    source = copy.copy(program)
    source._state_dict = {**program.state_dict, **inner}
    inputs = [specs[node.name] for node in used]
    return rebuilt(source, module, inputs, list(program.graph_signature.output_specs))


def is_subclass(tensor: Tensor) -> bool:
    """Whether a tensor consists of others."""
    return torch.utils._python_dispatch.is_traceable_wrapper_subclass(tensor)
