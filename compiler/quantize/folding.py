"""What folding a change into parameters needs: the program, its parameters, who reads a value.

in:  a module or an ExportedProgram, the parameters that are to change
out: a copy with those parameters, which computes the same
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind
from torch.fx import Node

LINEAR = "aten.linear.default"
# Operators that leave the last dim as it is, where its extent stays
PASSED = ("aten.view.default", "aten.reshape.default", "aten.dropout.default", "aten.to.dtype")


def exported(model: nn.Module, example: tuple[Any, ...]) -> ExportedProgram:
    """The program of a module in evaluation mode."""
    training = model.training
    model.eval()
    try:
        return torch.export.export(model, example)
    finally:
        model.train(training)


def parameter_names(program: ExportedProgram) -> dict[str, str]:
    """The parameters by the name of their placeholder."""
    return {
        spec.arg.name: str(spec.target)
        for spec in program.graph_signature.input_specs
        if spec.kind is InputKind.PARAMETER
    }


def is_own_vector(node: Any, targets: Mapping[str, str]) -> bool:
    """Whether `node` is a one-dimensional parameter that is used here only."""
    if not isinstance(node, Node) or node.name not in targets or len(node.users) != 1:
        return False
    return len(node.meta["val"].shape) == 1


def linear_readers(node: Node, targets: Mapping[str, str]) -> list[Node]:
    """The linear layers with a weight of their own that alone read `node`; none where others do."""
    found: list[Node] = []
    pending = list(node.users)
    while pending:
        user = pending.pop(0)
        if str(user.target) in PASSED and extent(user) == extent(node):
            pending.extend(user.users)
            continue
        weight = arguments(user)[1] if str(user.target) == LINEAR else None
        if not isinstance(weight, Node) or weight.name not in targets or len(weight.users) != 1:
            return []
        if arguments(user)[0] is weight:
            return []
        found.append(user)
    return found


def arguments(node: Node) -> tuple[Any, ...]:
    """The arguments of an operator; its name says what they are."""
    return node.args


def extent(node: Node) -> Any:
    """The last extent of a value; None of a number."""
    shape = node.meta["val"].shape
    return shape[-1] if len(shape) else None


def with_values(model: Any, values: Mapping[str, Tensor]) -> Any:
    """A copy of `model` with other parameters."""
    parameters = {n: nn.Parameter(v.detach(), requires_grad=False) for n, v in values.items()}
    if isinstance(model, ExportedProgram):
        program = copy.copy(model)
        program._state_dict = {**model.state_dict, **parameters}
        return program
    found = copy.deepcopy(model)
    for name, value in parameters.items():
        owner, _, leaf = name.rpartition(".")
        setattr(found.get_submodule(owner), leaf, value)
    return found
