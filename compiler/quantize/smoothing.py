"""Move the range of activations into the weights that they meet (Xiao et al. 2022, SmoothQuant).

before: linear(norm(x) * g + b, W)
after:  linear(norm(x) * (g / s) + b / s, W * s)      s [K], exactly the same but for rounding

Rows of activations then have no few columns that decide their scale. The division is folded into
the parameters of what comes before: layer_norm, rms_norm, or a product with a vector of parameters,
where linear layers are all that reads it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram

from ...dialects.errors import InvalidInputError, OptionError
from .calibration import watched
from .folding import (
    arguments,
    exported,
    is_own_vector,
    linear_readers,
    parameter_names,
    with_values,
)

STRENGTH = 0.5  # of the range goes to the weights, as in the paper
SMALLEST = 1e-5
# Arguments of the operators that end in a vector of factors, and of one of summands
PARAMETERS = {
    "aten.layer_norm.default": (2, 3),
    "aten.rms_norm.default": (2,),
    "aten.mul.Tensor": (0, 1),
}


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
        for example in calibration:
            run(*example)
    reached = [fold for fold in found if all(name in largest for name in fold.weights)]
    state: Mapping[str, Tensor] = program.state_dict
    changes: dict[str, Tensor] = {}
    for fold in reached:
        factor = factors(fold, state, largest, strength)
        changes |= {name: state[name] / factor for name in fold.divided}
        changes |= {name: state[name] * factor for name in fold.weights}
    return with_values(model, changes), reached


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
    targets = parameter_names(program)
    found: list[Fold] = []
    for node in program.graph.nodes:
        positions = PARAMETERS.get(str(node.target), ())
        parameters = [node.args[k] for k in positions if k < len(node.args)]
        vectors = [p for p in parameters if is_own_vector(p, targets)]
        others = len([p for p in parameters if p is not None]) - len(vectors)
        is_product = str(node.target) == "aten.mul.Tensor"
        if len(vectors) == 0 or others != int(is_product):
            continue
        if readers := linear_readers(node, targets):
            weights = tuple(targets[arguments(linear)[1].name] for linear in readers)
            found.append(Fold(tuple(targets[v.name] for v in vectors), weights))
    return found
