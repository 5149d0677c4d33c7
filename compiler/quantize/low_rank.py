"""Give back the largest part of what rounding took from a weight (LoRC, Yao et al. 2023).

before: y = W' x + b                    W' = W rounded
after:  y = W' x + b + up (down x)      up down = the best matrix of low rank for W - W'

Best is by the error of outputs where moments of the inputs are known, by that of the weight else.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from ...dialects.errors import OptionError
from ...dialects.quant import QuantizedTensor
from .calibration import Doubles

MAIN = "main"
RIDGE = 1e-4  # of the mean moment, so that directions that were never seen count a little


class CorrectedLinear(nn.Module):
    """A linear layer `main`, and a product of low rank that is added to it."""

    def __init__(self, layer: nn.Linear, up: Tensor, down: Tensor) -> None:
        super().__init__()
        self.main = layer
        kind, (rank, columns) = layer.weight.dtype, down.shape
        self.down = nn.Linear(columns, rank, bias=False)
        self.down.weight = nn.Parameter(down.to(kind), requires_grad=False)
        self.up = nn.Linear(rank, len(up), bias=False)
        self.up.weight = nn.Parameter(up.to(kind), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """The layer, corrected."""
        return torch.add(self.main(x), self.up(self.down(x)))


def factors(lost: Doubles, rank: int, moments: Doubles | None = None) -> tuple[Doubles, Doubles]:
    """(up [N, rank], down [rank, K]) whose product is nearest to `lost` [N, K].

    With `moments` [K, K] of the inputs x, |(lost - up down) x| counts, else |lost - up down|.
    """
    rank = min(rank, *lost.shape)
    if moments is None:
        return _truncated(lost, rank)
    values, vectors = np.linalg.eigh(moments)
    ridge = RIDGE * max(float(values.mean()), np.finfo(np.float64).tiny)
    scales = np.sqrt(np.maximum(values, 0) + ridge)
    up, down = _truncated((lost @ vectors) * scales, rank)
    return up, (down / scales) @ vectors.T


def _truncated(matrix: Doubles, rank: int) -> tuple[Doubles, Doubles]:
    """The leading singular vectors, each side with the root of its value."""
    from scipy.linalg import svd  # cached models skip scipy
    from scipy.sparse.linalg import svds

    if 3 * rank >= min(matrix.shape):
        left, values, right = svd(matrix, full_matrices=False)
        left, values, right = left[:, :rank], values[:rank], right[:rank]
    else:
        left, values, right = svds(matrix, k=rank, v0=np.ones(min(matrix.shape)))
    roots = np.sqrt(values)
    return left * roots, roots[:, None] * right


def with_low_rank(
    model: nn.Module,
    tensors: Mapping[str, QuantizedTensor],
    rank: int,
    moments: Mapping[str, Doubles] | None,
) -> tuple[nn.Module, dict[str, QuantizedTensor]]:
    """A copy of `model` with corrected layers, and the tensors by the names that weights now have.

    Raises OptionError where `rank` is not positive.
    """
    if rank < 1:
        raise OptionError(f"low_rank={rank}: expected a positive rank")
    found = copy.deepcopy(model)
    renamed: dict[str, QuantizedTensor] = {}
    for name, tensor in tensors.items():
        path = name.removesuffix("weight").removesuffix(".")
        layer = found.get_submodule(path)
        assert isinstance(layer, nn.Linear)
        weight = layer.weight.detach().cpu().double().numpy()
        seen = None if moments is None else moments[name]
        up, down = factors(weight - tensor.dequantize(np.float64), rank, seen)
        corrected = CorrectedLinear(layer, torch.from_numpy(up), torch.from_numpy(down))
        if not path:
            return corrected, {f"{MAIN}.weight": tensor}
        owner, _, leaf = path.rpartition(".")
        setattr(found.get_submodule(owner), leaf, corrected)
        renamed[f"{path}.{MAIN}.weight"] = tensor
    return found, renamed
