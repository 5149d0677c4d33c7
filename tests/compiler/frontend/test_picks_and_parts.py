"""Volumes at positions and modes against eager; neighbours and parts of floats as C."""

from __future__ import annotations

from typing import Any

import pytest
import tilecast
import torch
import torch.nn.functional as F
from torch import Tensor, nn


def normal(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(shape, dtype=torch.float64, generator=generator)


VOLUMES = {
    f"{mode}_{padding}_{align}": (
        lambda x, at, mode=mode, padding=padding, align=align: F.grid_sample(
            x, at, mode, padding, align_corners=align
        ),
        (normal(2, 3, 4, 3, 5), 3 * normal(2, 2, 3, 4, 3)),
    )
    for mode in ("bilinear", "nearest")
    for padding in ("zeros", "border", "reflection")
    for align in (False, True)
}


@pytest.mark.parametrize("name", VOLUMES)
def test_volumes_are_read_at_positions(equals_torch: Any, name: str) -> None:
    equals_torch(VOLUMES, name, 1e-10, 1e-10)


IMAGES = {
    mode: (
        lambda x, at, mode=mode: tuple(
            F.grid_sample(x, at, mode, padding, align_corners=align)
            for padding in ("zeros", "border", "reflection")
            for align in (False, True)
        ),
        (normal(2, 3, 4, 5), 3 * normal(2, 6, 3, 2)),
    )
    for mode in ("bilinear", "nearest", "bicubic")
}


@pytest.mark.parametrize("name", IMAGES)
def test_images_are_read_at_positions(equals_torch: Any, name: str) -> None:
    equals_torch(IMAGES, name, 1e-10, 1e-10)


NUMBERS = torch.tensor([[3, 1, 3, 1, 2], [5, 5, 4, 4, 4], [-1, 7, 0, 9, 2]])
MODES = {
    f"{axis}_{keep}": (lambda x, axis=axis, keep=keep: torch.mode(x, axis, keep), (numbers,))
    for axis, numbers in ((1, NUMBERS), (0, NUMBERS.double()))
    for keep in (False, True)
}


@pytest.mark.parametrize("name", MODES)
def test_mode_is_the_smallest_of_the_most_frequent(equals_torch: Any, name: str) -> None:
    equals_torch(MODES, name)


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
