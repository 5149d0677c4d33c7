"""What a suite consists of: one module with inputs, and the work that cannot be avoided."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

Inputs = tuple[torch.Tensor, ...]


@dataclass(frozen=True)
class Case:
    """A kernel to measure: `make` gives a module in evaluation mode and its inputs.

    `flops` and `bytes` are the least any implementation needs (each operand read once, each result
    written once); the rooflines of the result come from them. `element` is what is multiplied.
    """

    name: str
    make: Callable[[], tuple[torch.nn.Module, Inputs]]
    flops: float
    bytes: float
    element: str = "f32"


class Call(torch.nn.Module):
    """A function of tensors as a module without weights."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: torch.Tensor) -> Any:
        """The function's value."""
        return self.function(*inputs)


def random_tensors(*shapes: tuple[int, ...], seed: int = 0) -> Inputs:
    """Normally distributed f32 tensors of these shapes, the same in every process."""
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(shape, generator=generator) for shape in shapes)
