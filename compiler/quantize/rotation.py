"""Rotate what flows between linear layers, so that no column stands out (QuaRot, Ashkboos 2024).

before: y = norm(h) * g W^T          h = h + x V^T
after:  y = norm(h Q) (W g Q)^T      h Q = h Q + x (Q V)^T

Q is orthogonal, and both sides of it are in parameters: the function stays, nothing is computed in
addition. Columns that stood out, of the weights or of what they meet, are spread over all columns:
groups of codes then need no range for a few large numbers.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from ...dialects.errors import OptionError
from .folding import LINEAR, arguments, exported, parameter_names, with_values
from .hadamard import rotate
from .rotation_spaces import NotRotatableError, Space, space_of


def rotated(model: Any, example: tuple[Any, ...] | None) -> Any:
    """A copy of `model` that computes the same, with rotations wherever they cancel.

    A module is exported with `example`; parameters that it shares are two where one is rotated.
    OptionError, with the reasons, where no rotation cancels.
    """
    if isinstance(model, ExportedProgram):
        program = model
    elif example is None:
        raise OptionError("rotate needs calibration: inputs to trace the module with")
    else:
        program = exported(without_sharing(model), example)
    parameters = parameter_names(program)
    spaces, reasons = spaces_of(program, parameters)
    if not spaces:
        found = "; ".join(reasons) or "it has no linear layers"
        raise OptionError(f"rotate: no rotation cancels in this model: {found}")
    return with_values(model, rotated_parameters(spaces, program.state_dict, parameters))


def spaces_of(
    program: ExportedProgram, parameters: Mapping[str, str]
) -> tuple[list[Space], list[str]]:
    """The spaces that linear layers read, and why there are no more."""
    spaces: list[Space] = []
    reasons: dict[str, None] = {}
    for node in program.graph.nodes:
        if str(node.target) != LINEAR or any(
            arguments(node)[0] in space.values for space in spaces
        ):
            continue
        try:
            spaces.append(space_of(arguments(node)[0], parameters))
        except NotRotatableError as reason:
            reasons[str(reason)] = None
    return spaces, list(reasons)


def rotated_parameters(
    spaces: list[Space], state: Mapping[str, Tensor], parameters: Mapping[str, str]
) -> dict[str, Tensor]:
    """All parameters that change, by name."""
    changed: dict[str, Tensor] = {}

    def value(node: Any) -> Tensor:
        name = parameters[node.name]
        if name not in changed:
            changed[name] = state[name].detach().to(torch.float64).clone()
        return changed[name]

    for space in spaces:
        for gain in space.gains.values():
            for reader in gain.readers:
                weight = value(arguments(reader)[1])
                if gain.summand is not None:
                    value(arguments(reader)[2]).add_(weight @ value(gain.summand))
                if gain.factor is not None:
                    weight.mul_(value(gain.factor))
            if gain.summand is not None:
                value(gain.summand).zero_()
            if gain.factor is not None:
                value(gain.factor).fill_(1)
        for reader in space.readers:
            weight = value(arguments(reader)[1])
            weight.copy_(rotate(weight, space.size))
        for writer in space.writers:
            node, rows = writer.node, slice(writer.start, writer.stop)
            if str(node.target) != LINEAR:
                table = value(node if node.op == "placeholder" else arguments(node)[0])
                table.copy_(rotate(table, space.size))
                continue
            weight = value(arguments(node)[1])[rows]
            weight.copy_(rotate(weight.T, space.size).T)
            if len(arguments(node)) > 2 and arguments(node)[2] is not None:
                bias = value(arguments(node)[2])[rows]
                bias.copy_(rotate(bias, space.size))
    return {name: tensor.to(state[name].dtype) for name, tensor in changed.items()}


def without_sharing(model: nn.Module) -> nn.Module:
    """A copy in which each name of a parameter has one of its own."""
    found = copy.deepcopy(model)
    seen: set[int] = set()
    for name, parameter in list(found.named_parameters(remove_duplicate=False)):
        if id(parameter) in seen:
            owner, _, leaf = name.rpartition(".")
            fresh = nn.Parameter(parameter.detach().clone(), requires_grad=False)
            setattr(found.get_submodule(owner), leaf, fresh)
        seen.add(id(parameter))
    return found
