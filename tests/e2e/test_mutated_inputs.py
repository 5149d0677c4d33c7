"""Inputs that a model changes in place, as key-value caches, its compiled form changes too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tilecast
import torch
import torch.nn.functional as F
from torch import Tensor, nn

LENGTH, HEADS, WIDTH = 33, 2, 8


class DecodeStep(nn.Module):
    """Attention of one new token over a cache that it is written into first."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.project = nn.Linear(HEADS * WIDTH, 3 * HEADS * WIDTH)

    def forward(self, x: Tensor, keys: Tensor, values: Tensor, position: Tensor) -> Tensor:
        q, k, v = self.project(x).reshape(3, HEADS, 1, WIDTH)
        keys.index_copy_(1, position, k)
        values.index_copy_(1, position, v)
        seen = torch.arange(LENGTH) <= position
        return F.scaled_dot_product_attention(q[None], keys[None], values[None], seen[None])


def fresh_caches() -> tuple[Tensor, Tensor]:
    return torch.zeros(HEADS, LENGTH, WIDTH), torch.zeros(HEADS, LENGTH, WIDTH)


def test_a_cache_follows_eager_token_by_token(cache_folder: Path) -> None:
    model = DecodeStep().eval()
    mine, eager = fresh_caches(), fresh_caches()
    example = (torch.randn(1, HEADS * WIDTH), *fresh_caches(), torch.tensor([0]))
    compiled = tilecast.compile(model, example)
    assert not example[1].any()  # compiling and verifying leave the example as it was
    for position in range(32):
        x, at = torch.randn(1, HEADS * WIDTH), torch.tensor([position])
        with torch.no_grad():
            want = model(x, *eager, at)
        torch.testing.assert_close(compiled(x, *mine, at), want)
        torch.testing.assert_close(mine, eager)


class Changes(nn.Module):
    """Changed inputs, old and new values among the results, and an exchange of two inputs."""

    def forward(self, x: Tensor, y: Tensor, z: Tensor) -> Any:
        before = x.clone()
        x.mul_(2).add_(y)
        z[1:] = z[:-1] * 2
        swapped = y.clone()
        y.copy_(before)
        return before, x, swapped + 1, {"z": z.sum()}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64])
def test_changes_and_results_are_those_of_eager(
    dtype: torch.dtype, cache_folder: Path, tmp_path: Path
) -> None:
    inputs = tuple((torch.randn(5, 3) * 9).to(dtype) for _ in range(3))
    compiled = tilecast.compile(Changes(), inputs, name="changes")
    loaded = tilecast.load(compiled.save(tmp_path / "package"))
    for run in (compiled, loaded):
        mine, eager = (tuple(x.clone() for x in inputs) for _ in range(2))
        found, want = run(*mine), Changes()(*eager)
        torch.testing.assert_close(found, want)
        torch.testing.assert_close(mine, eager)


def test_a_strided_input_is_changed_where_it_is(cache_folder: Path) -> None:
    class Doubles(nn.Module):
        def forward(self, x: Tensor) -> None:
            x.mul_(2)

    whole = torch.arange(12.0).reshape(4, 3)
    compiled = tilecast.compile(Doubles(), (whole[:, 1].clone(),))
    assert compiled(whole[:, 1]) is None
    assert whole.tolist() == [[0, 2, 2], [3, 8, 5], [6, 14, 8], [9, 20, 11]]
