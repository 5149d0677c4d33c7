"""Volumes at positions and modes against eager; neighbours and parts of floats as C."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tilecast
import torch
import torch.nn.functional as F
from tilecast.compiler.frontend import export_model, import_program
from tilecast.dialects.reference.graph import evaluate
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves


class Wrapped(nn.Module):
    """A function as a module."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor) -> Any:
        return self.function(*inputs)


def check(function: Any, *inputs: Tensor) -> None:
    model = import_program(export_model(Wrapped(function), inputs))
    found = evaluate(model.module, model.weights, [x.numpy() for x in inputs])
    for got, want in zip(found, tree_leaves(function(*inputs)), strict=True):
        np.testing.assert_allclose(got, want.numpy(), 1e-10, 1e-10)


@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
def test_volumes_are_read_at_positions(mode: str, padding: str, align: bool) -> None:
    torch.manual_seed(0)
    source = torch.randn(2, 3, 4, 3, 5, dtype=torch.float64)
    grid = 3 * torch.randn(2, 2, 3, 4, 3, dtype=torch.float64)
    check(lambda x, at: F.grid_sample(x, at, mode, padding, align_corners=align), source, grid)


@pytest.mark.parametrize("keep", [False, True])
def test_mode_is_the_smallest_of_the_most_frequent(keep: bool) -> None:
    numbers = torch.tensor([[3, 1, 3, 1, 2], [5, 5, 4, 4, 4], [-1, 7, 0, 9, 2]])
    check(lambda x: torch.mode(x, 1, keep), numbers)
    check(lambda x: torch.mode(x, 0, keep), numbers.double())


def test_neighbours_and_parts_of_floats_are_exact() -> None:
    tiny, largest = 2.0**-149, torch.finfo(torch.float32).max
    ends = [0.0, -0.0, tiny, -tiny, 2.0**-126, 1.0, -1.0, largest, -largest, torch.inf, -torch.inf]
    x = torch.cat([torch.tensor([*ends, torch.nan]), torch.randn(100) * 10.0 ** torch.arange(100)])
    x = torch.cat([x, 1 / x[:40]])
    goal = x.roll(7)

    class Parts(nn.Module):
        def forward(self, x: Tensor, goal: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            return torch.nextafter(x, goal), *torch.frexp(x)

    compiled = tilecast.compile(Parts(), (x, goal), verify=False)
    for got, want in zip(compiled(x, goal), Parts()(x, goal), strict=True):
        if want.is_floating_point():
            torch.testing.assert_close(got, want, rtol=0, atol=0, equal_nan=True)
        else:
            finite = x.isfinite()
            assert torch.equal(got[finite], want[finite])
