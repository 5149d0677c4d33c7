"""Attention of 8 heads of 64, causal and not."""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn
from torch.nn import functional

from .case import Call, Case, Inputs, random_tensors

HEADS, WIDTH = 8, 64
LENGTHS = (128, 1024, 4096)


def attention_cases() -> list[Case]:
    """Both products; a causal mask leaves half of them."""
    cases = []
    for length in LENGTHS:
        for causal in (False, True):
            pairs = length * (length + 1) / 2 if causal else float(length * length)
            name = f"1x{HEADS}x{length}x{WIDTH}{' causal' if causal else ''}"
            size = 4 * 4.0 * HEADS * length * WIDTH
            cases.append(
                Case(name, partial(_make, length, causal), 4 * HEADS * WIDTH * pairs, size)
            )
    return cases


def _make(length: int, causal: bool) -> tuple[nn.Module, Inputs]:
    shape = (1, HEADS, length, WIDTH)
    attend = _causal if causal else functional.scaled_dot_product_attention
    return Call(attend), random_tensors(shape, shape, shape)


def _causal(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return functional.scaled_dot_product_attention(q, k, v, is_causal=True)
