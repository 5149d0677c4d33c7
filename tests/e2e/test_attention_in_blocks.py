"""Compiled attention over keys in blocks equals PyTorch: odd sizes, masks, special values."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, nan
from typing import Any

import pytest
import tilecast
import torch
import torch.nn.functional as F
from torch import Tensor, nn

Case = tuple[Callable[..., Tensor], tuple[Tensor, ...]]
SDPA = F.scaled_dot_product_attention


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape) + 1))


def qkv(heads: int, queries: int, keys: int, depth: int) -> tuple[Tensor, ...]:
    return (
        normal(1, heads, queries, depth),
        normal(2, heads, keys, depth)[:1],
        normal(3, heads, keys, depth)[:1],
    )


def causal(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return SDPA(q, k, v, is_causal=True)


def grouped(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return SDPA(q, k, v, is_causal=True, enable_gqa=True)


def from_rows(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Heads are columns of one matrix, as models have them."""
    heads = [x.unflatten(-1, (2, -1)).transpose(1, 2) for x in (q, k, v)]
    return causal(*heads).transpose(1, 2).flatten(2)


def by_hand(q: Tensor, k: Tensor, v: Tensor, keep: Tensor | None = None) -> Tensor:
    """Without a scale; what sees nothing is NaN."""
    scores = q @ k.transpose(-1, -2)
    if keep is not None:
        scores = scores.masked_fill(~keep, -inf)
    return scores.softmax(-1) @ v


def hidden(queries: int, keys: int) -> Tensor:
    """A mask with a row that sees nothing, one that sees late keys only, and random ones."""
    keep = torch.rand(queries, keys, generator=torch.Generator().manual_seed(5)) < 0.5
    keep[1] = False
    keep[2, : keys - 3] = False
    return keep


def special(*arrays: Tensor) -> tuple[Tensor, ...]:
    q, k, v = (x.clone() for x in arrays)
    q[0, 0, 1, 2] = nan
    k[0, 0, 1200, 1] = inf
    return q, k, v


FAST: dict[str, Case] = {
    "causal": (causal, qkv(2, 263, 263, 8)),
    "by_hand": (by_hand, (*qkv(2, 9, 70, 8), hidden(9, 70))),
}
SLOW: dict[str, Case] = {
    "mask": (SDPA, (*qkv(2, 9, 1500, 8), hidden(9, 1500))),
    "by_hand_in_blocks": (by_hand, (*qkv(2, 9, 1500, 8), hidden(9, 1500))),
    "by_hand_without_a_mask": (by_hand, qkv(2, 600, 1100, 16)),
    "plain": (SDPA, qkv(2, 600, 1100, 16)),
    "more_queries_than_keys": (causal, qkv(1, 400, 270, 8)),
    "more_keys_than_queries": (causal, qkv(1, 130, 700, 8)),
    "grouped": (grouped, (normal(1, 4, 260, 8), normal(1, 2, 260, 8), normal(2, 2, 260, 8)[:1])),
    "from_rows": (from_rows, (normal(1, 300, 32), normal(1, 310, 32), normal(1, 310, 32))),
    "bias": (SDPA, (*qkv(2, 60, 1100, 8), normal(60, 1100))),
    "bias_of_minus_infinity": (
        SDPA,
        (*qkv(2, 20, 1500, 8), torch.zeros(20, 1500).masked_fill(~hidden(20, 1500), -inf)),
    ),
    "padding": (SDPA, (*qkv(2, 60, 1500, 8), (torch.arange(1500) < 900).view(1, 1, 1, -1))),
    "other_depth_of_values": (
        SDPA,
        (normal(1, 2, 30, 8), normal(1, 2, 1300, 8), normal(1, 2, 1300, 37)),
    ),
    "large_scores": (
        SDPA,
        (60 * normal(1, 2, 30, 8), normal(1, 2, 1300, 8), normal(2, 2, 1300, 8)[:1]),
    ),
    "special": (SDPA, special(*qkv(1, 30, 1300, 8))),
    "special_causal": (causal, special(*qkv(1, 1300, 1300, 8))),
    "one_query": (SDPA, qkv(4, 1, 5000, 8)),
}


@pytest.mark.parametrize("name", FAST)
def test_attention_in_blocks(check: Any, name: str) -> None:
    check(FAST, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_attention_of_other_forms(check: Any, name: str) -> None:
    check(SLOW, name)


@pytest.mark.slow
def test_a_long_sequence_verifies_for_any_number_of_threads(cache_folder: Any) -> None:
    """The model check compares one thread with all, bit by bit."""

    class Attention(nn.Module):
        def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            return causal(q, k, v)

    inputs = qkv(2, 3000, 3000, 16)
    model = tilecast.compile(Attention().eval(), inputs, threads=2)
    model.verify()
    torch.testing.assert_close(model(*inputs), causal(*inputs), rtol=1e-5, atol=1e-5)
