"""LSTM and GRU layers over whole sequences."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from .case import Case, Inputs, random_tensors

KINDS = {"LSTM": (nn.LSTM, 4), "GRU": (nn.GRU, 3)}
# (kind, batch, steps, features and hidden units, layers, both directions)
SHAPES = [
    ("LSTM", 1, 64, 256, 2, False),
    ("LSTM", 4, 64, 256, 2, False),
    ("LSTM", 1, 64, 256, 1, True),
    ("GRU", 1, 64, 256, 2, False),
    ("GRU", 4, 64, 256, 2, False),
]


class Layers(nn.Module):
    """The hidden states of the last layer."""

    def __init__(self, kind: str, width: int, layers: int, both: bool) -> None:
        super().__init__()
        self.cells = KINDS[kind][0](width, width, layers, batch_first=True, bidirectional=both)

    def forward(self, x: Tensor) -> Tensor:
        """[batch, steps, width] in, [batch, steps, width or twice that] out."""
        states: Tensor = self.cells(x)[0]
        return states


def recurrent_cases() -> list[Case]:
    """Two products per step, gate and layer; weights, inputs and results count once."""
    cases = []
    for kind, batch, steps, width, layers, both in SHAPES:
        directions = 2 if both else 1
        weights = layers * directions * 2 * KINDS[kind][1] * width * width
        name = f"{kind} {batch}x{steps}x{width}, {layers} layers{' both ways' if both else ''}"
        flops = 2.0 * batch * steps * weights
        size = 4.0 * (weights + (1 + directions) * batch * steps * width)
        make = partial(_make, kind, (batch, steps, width), layers, both)
        cases.append(Case(name, make, flops, size))
    return cases


def _make(
    kind: str, shape: tuple[int, int, int], layers: int, both: bool
) -> tuple[nn.Module, Inputs]:
    torch.manual_seed(0)
    return Layers(kind, shape[2], layers, both).eval(), random_tensors(shape)
