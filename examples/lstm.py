"""A two-layer LSTM with a classifier on the last step; each layer is one kernel."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SequenceClassifier(nn.Module):
    """[batch, time, features] in, class logits out."""

    def __init__(self, features: int, hidden: int, classes: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(features, hidden, num_layers=2, batch_first=True)
        self.classifier = nn.Linear(hidden, classes)

    def forward(self, x: Tensor) -> Tensor:
        steps, _ = self.lstm(x)
        return self.classifier(steps[:, -1])


def model() -> tuple[nn.Module, tuple[Tensor, ...]]:
    """32 features, 64 hidden units, 4 sequences of 16 steps."""
    torch.manual_seed(0)
    return SequenceClassifier(32, 64, 10).eval(), (torch.randn(4, 16, 32),)
