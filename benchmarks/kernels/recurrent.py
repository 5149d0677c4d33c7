"""LSTM layers over whole sequences."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from .case import Case, Inputs, random_tensors

# (batch, steps, features and hidden units, layers, both directions)
SHAPES = [(1, 64, 256, 2, False), (4, 64, 256, 2, False), (1, 64, 256, 1, True)]


class Layers(nn.Module):
    """The hidden states of the last layer of an LSTM."""

    def __init__(self, width: int, layers: int, both: bool) -> None:
        super().__init__()
        self.lstm = nn.LSTM(width, width, layers, batch_first=True, bidirectional=both)

    def forward(self, x: Tensor) -> Tensor:
        """[batch, steps, width] in, [batch, steps, width or twice that] out."""
        states: Tensor = self.lstm(x)[0]
        return states


def recurrent_cases() -> list[Case]:
    """Two products per step and layer; weights, inputs and results count once."""
    cases = []
    for batch, steps, width, layers, both in SHAPES:
        directions = 2 if both else 1
        weights = layers * directions * 8 * width * width
        name = f"LSTM {batch}x{steps}x{width}, {layers} layers{' both ways' if both else ''}"
        flops = 2.0 * batch * steps * weights
        size = 4.0 * (weights + (1 + directions) * batch * steps * width)
        make = partial(_make, (batch, steps, width), layers, both)
        cases.append(Case(name, make, flops, size))
    return cases


def _make(shape: tuple[int, int, int], layers: int, both: bool) -> tuple[nn.Module, Inputs]:
    torch.manual_seed(0)
    return Layers(shape[2], layers, both).eval(), random_tensors(shape)
