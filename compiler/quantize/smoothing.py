"""Move the range of activations into the weights that they meet (Xiao et al. 2022, SmoothQuant).

before: linear(norm(x) * g + b, W)
after:  linear(norm(x) * (g / s) + b / s, W * s)      s [K], exactly the same but for rounding

Rows of activations then have no few columns that decide their scale. The division is folded into
the parameters of what comes before: layer_norm, rms_norm, or a product with a vector of parameters,
where linear layers are all that reads it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.fx import Node

from ...dialects.errors import InvalidInputError, OptionError
from .calibration import watched

STRENGTH = 0.5  # of the range goes to the weights, as in the paper
SMALLEST = 1e-5
# Arguments of the operators that end in a vector of factors, and of one of summands
PARAMETERS = {
    "aten.layer_norm.default": (2, 3),
    "aten.rms_norm.default": (2,),
    "aten.mul.Tensor": (0, 1),
}
PASSED = ("aten.view.default", "aten.reshape.default", "aten.dropout.default", "aten.to.dtype")


@dataclass(frozen=True)
class Fold:
    """The parameters that are divided, and the weights that are multiplied."""

    divided: tuple[str, ...]
    weights: tuple[str, ...]


def smoothed(
    model: Any, calibration: Sequence[tuple[Any, ...]], strength: float = STRENGTH
) -> tuple[Any, list[Fold]]:
    """A copy of `model` that computes the same, and what was folded.

    `strength` 0 leaves the activations as they are, 1 gives all columns the same range.
    """
    if not 0 <= strength <= 1:
        raise OptionError(f"smooth={strength}: expected a number from 0 to 1")
    if not calibration:
        raise InvalidInputError("calibration has no samples")
    program = model if isinstance(model, ExportedProgram) else exported(model, calibration[0])
    found = folds(program)
    names = {name for fold in found for name in fold.weights}
    largest: dict[str, Tensor] = {}

    def see(name: str, rows: Tensor) -> None:
        here = rows.detach().reshape(-1, rows.shape[-1]).abs().amax(dim=0)
        largest[name] = torch.maximum(largest[name], here) if name in largest else here

    with torch.no_grad(), watched(model, names, see) as run:
        for arguments in calibration:
            run(*arguments)
    reached = [fold for fold in found if all(name in largest for name in fold.weights)]
    state: Mapping[str, Tensor] = program.state_dict
    changes: dict[str, Tensor] = {}
    for fold in reached:
        factor = factors(fold, state, largest, strength)
        changes |= {name: state[name] / factor for name in fold.divided}
        changes |= {name: state[name] * factor for name in fold.weights}
    return with_values(model, changes), reached


def exported(model: nn.Module, arguments: tuple[Any, ...]) -> ExportedProgram:
    """The program of a module in evaluation mode."""
    training = model.training
    model.eval()
    try:
        return torch.export.export(model, arguments)
    finally:
        model.train(training)


def factors(
    fold: Fold, state: Mapping[str, Tensor], largest: Mapping[str, Tensor], strength: float
) -> Tensor:
    """s [K] from the ranges of the activations and of all weights that they meet."""
    seen = torch.stack([largest[name] for name in fold.weights]).amax(dim=0).clamp(min=SMALLEST)
    weights = torch.cat([state[name].detach().abs() for name in fold.weights])
    met = weights.amax(dim=0).clamp(min=SMALLEST)
    factor = seen**strength / met ** (1 - strength)
    return torch.where(torch.isfinite(factor) & (factor > 0), factor, torch.ones_like(factor))


def folds(program: ExportedProgram) -> list[Fold]:
    """All places of `program` where a factor can move; each parameter is in one at most."""
    targets = {
        spec.arg.name: str(spec.target)
        for spec in program.graph_signature.input_specs
        if spec.target in program.state_dict
    }
    found: list[Fold] = []
    for node in program.graph.nodes:
        positions = PARAMETERS.get(str(node.target), ())
        parameters = [node.args[k] for k in positions if k < len(node.args)]
        vectors = [p for p in parameters if is_own_vector(p, targets)]
        others = len([p for p in parameters if p is not None]) - len(vectors)
        is_product = str(node.target) == "aten.mul.Tensor"
        if len(vectors) == 0 or others != int(is_product):
            continue
        if weights := consumers(node, targets):
            found.append(Fold(tuple(targets[v.name] for v in vectors), tuple(weights)))
    return found


def is_own_vector(node: Any, targets: Mapping[str, str]) -> bool:
    """Whether `node` is a one-dimensional parameter that is used here only."""
    if not isinstance(node, Node) or node.name not in targets or len(node.users) != 1:
        return False
    return len(node.meta["val"].shape) == 1


def consumers(node: Node, targets: Mapping[str, str]) -> list[str]:
    """The weights of the linear layers that alone read `node`; none where others do."""
    found: list[str] = []
    pending = list(node.users)
    while pending:
        user = pending.pop(0)
        if (
            str(user.target) in PASSED
            and user.meta["val"].shape[-1:] == node.meta["val"].shape[-1:]
        ):
            pending.extend(user.users)
            continue
        weight = user.args[1] if str(user.target) == "aten.linear.default" else None
        if not isinstance(weight, Node) or weight.name not in targets or len(weight.users) != 1:
            return []
        if user.args[0] is weight:
            return []
        found.append(targets[weight.name])
    return found


def width(node: Node) -> int:
    """The last extent of a value."""
    return int(node.meta["val"].shape[-1])


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
