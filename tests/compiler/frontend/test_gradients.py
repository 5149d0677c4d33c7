"""Gradient formulas of training graphs: imported, they equal torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tilecast.compiler.frontend.export import export_model
from tilecast.compiler.frontend.program import import_program
from tilecast.dialects.reference.graph import evaluate
from torch import Tensor, nn


class Backward(nn.Module):
    """`aten.convolution_backward` of a convolution."""

    def __init__(self, settings: tuple[Any, ...]) -> None:
        super().__init__()
        self.settings = settings

    def forward(self, gradient: Tensor, source: Tensor, weight: Tensor) -> Any:
        return torch.ops.aten.convolution_backward(gradient, source, weight, *self.settings)


def found(model: nn.Module, inputs: tuple[Tensor, ...]) -> list[Tensor]:
    """What the imported model gives."""
    imported = import_program(export_model(model, inputs))
    results = evaluate(imported.module, imported.weights, [x.numpy() for x in inputs])
    return [torch.from_numpy(np.array(result)) for result in results]


CONVOLUTIONS: dict[str, tuple[Any, ...]] = {
    # bias_sizes, stride, padding, dilation, transposed, output_padding, groups, wanted
    "plain": ([6], [1, 1], [1, 0], [1, 1], False, [0, 0], 1, [True, True, True]),
    "strides_leave_rest": ([6], [2, 3], [1, 1], [1, 2], False, [0, 0], 2, [True, True, True]),
    "without_input": ([6], [2, 2], [0, 0], [1, 1], False, [0, 0], 1, [False, True, True]),
    "transposed": ([6], [2, 1], [1, 0], [1, 2], True, [1, 0], 1, [True, True, True]),
    "transposed_groups": (None, [2, 2], [1, 1], [1, 1], True, [0, 1], 2, [True, True, False]),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolution_backward(name: str) -> None:
    settings = CONVOLUTIONS[name]
    _, stride, padding, dilation, transposed, output_padding, groups, _ = settings
    shape = (4, 6 // groups, 3, 2) if transposed else (6, 4 // groups, 3, 2)
    source, weight = torch.randn(2, 4, 9, 8).double(), torch.randn(shape).double()
    result = torch.convolution(
        source, weight, None, stride, padding, dilation, transposed, output_padding, groups
    )
    inputs = torch.randn_like(result), source, weight
    expected = [v for v in Backward(settings)(*inputs) if v is not None]
    for one, other in zip(found(Backward(settings), inputs), expected, strict=True):
        torch.testing.assert_close(one, other)


def test_silu_backward() -> None:
    class Silu(nn.Module):
        def forward(self, gradient: Tensor, x: Tensor) -> Tensor:
            return torch.ops.aten.silu_backward(gradient, x)

    inputs = torch.randn(20).double(), 3 * torch.randn(20).double()
    torch.testing.assert_close(found(Silu(), inputs)[0], Silu()(*inputs))
