"""A three-layer perceptron: the smallest model that has every part of the pipeline in it."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def model() -> tuple[nn.Module, tuple[Tensor, ...]]:
    """A 64-128-128-10 perceptron with GELU and one batch of 32 rows."""
    torch.manual_seed(0)
    layers = nn.Sequential(
        nn.Linear(64, 128), nn.GELU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10)
    )
    return layers.eval(), (torch.randn(32, 64),)
