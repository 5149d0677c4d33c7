"""Keep the columns of a weight that meet the largest activations in f32 (LLM.int8, Dettmers 2022).

before: y = W x + b
after:  y = W' (x * keep) + W[:, columns] x[columns] + b
        W' = W with zero `columns`, keep = 1 but for them

W' is then quantized: neither its scales nor those of rounded activations see the outliers.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ...dialects.errors import OptionError
from .calibration import Doubles

REST, OUTLIERS = "rest", "outliers"


class SplitLinear(nn.Module):
    """A linear layer as two: `outliers` on some columns of its input, `rest` on all others."""

    def __init__(self, layer: nn.Linear, columns: Tensor) -> None:
        super().__init__()
        self.columns: Tensor
        self.keep: Tensor
        self.register_buffer("columns", columns)
        keep = torch.ones(layer.in_features)
        keep[columns] = 0
        self.register_buffer("keep", keep)
        weight = layer.weight.detach()
        self.rest = nn.Linear(layer.in_features, layer.out_features, bias=False)
        self.rest.weight = nn.Parameter(weight * keep, requires_grad=False)
        self.rest.bias = layer.bias
        self.outliers = nn.Linear(len(columns), layer.out_features, bias=False)
        self.outliers.weight = nn.Parameter(weight[:, columns].clone(), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """As the layer."""
        few = self.outliers(torch.index_select(x, -1, self.columns))
        return torch.add(few, self.rest(x * self.keep))


def with_outliers(
    model: nn.Module, moments: Mapping[str, Doubles], share: float
) -> tuple[nn.Module, dict[str, str]]:
    """A copy of `model` with split layers, and the names of their `rest` weights by old name.

    `moments` are those of the inputs, by weight; a `share` of the columns, at least one, are
    outliers: those with the largest mean square.
    """
    if not 0 < share < 1:
        raise OptionError(f"outliers={share}: expected a share of the columns between 0 and 1")
    found = copy.deepcopy(model)
    names: dict[str, str] = {}
    for name, seen in moments.items():
        path = name.removesuffix(".weight")
        layer = found.get_submodule(path)
        assert isinstance(layer, nn.Linear)
        count = math.ceil(share * layer.in_features)
        energy = torch.from_numpy(seen.diagonal().copy())
        columns = torch.topk(energy, count).indices.sort().values
        owner, _, leaf = path.rpartition(".")
        setattr(found.get_submodule(owner), leaf, SplitLinear(layer, columns))
        names[name] = f"{path}.{REST}.weight"
    return found, names
