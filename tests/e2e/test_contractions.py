"""Compiled matrix products, convolutions, pools, attention and recurrent steps equal PyTorch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import tilecast
import torch
import torch.nn.functional as F
from tilecast.dialects.errors import UnsupportedOperatorError
from torch import Tensor, nn

Function = Callable[..., Any]
Case = tuple[Function, tuple[Tensor, ...]]
Table = dict[str, Case]
SDPA = F.scaled_dot_product_attention


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape) + 1))


def integers(*shape: int, low: int = -9, high: int = 10) -> Tensor:
    return torch.randint(low, high, shape, generator=torch.Generator().manual_seed(7))


PRODUCTS: Table = {
    f"matmul_{m}x{k}x{n}": (torch.matmul, (normal(m, k), normal(k, n)))
    for m, k, n in [(1, 1, 1), (1, 37, 1), (3, 5, 7), (17, 33, 65), (64, 16, 48), (2, 100, 31)]
} | {
    f"linear_{m}x{k}x{n}": (F.linear, (normal(m, k), normal(n, k), normal(n)))
    for m, k, n in [(1, 5, 1), (1, 64, 96), (13, 17, 19), (33, 64, 100), (6, 1, 40)]
}
PRODUCTS |= {
    "nothing_to_sum": (torch.matmul, (normal(3, 0), normal(0, 4))),
    "no_rows": (torch.matmul, (normal(0, 5), normal(5, 4))),
    "vectors": (torch.matmul, (normal(19), normal(19))),
    "matrix_vector": (torch.matmul, (normal(5, 19), normal(19))),
    "vector_matrix": (torch.matmul, (normal(19), normal(19, 6))),
    "batched": (torch.bmm, (normal(3, 5, 7), normal(3, 7, 11))),
    "broadcast": (torch.matmul, (normal(2, 1, 5, 7), normal(3, 7, 4))),
    "shared_rhs": (torch.matmul, (normal(2, 3, 5, 7), normal(7, 9))),
    "lhs_transposed": (lambda a, b: a.mT @ b, (normal(33, 18), normal(33, 20))),
    "rhs_transposed": (lambda a, b: a @ b.mT, (normal(18, 33), normal(20, 33))),
    "sliced": (lambda a, b: a[::2, 1:] @ b[1:, ::3], (normal(18, 33), normal(33, 20))),
    "addmm": (lambda c, a, b: torch.addmm(c, a, b), (normal(9), normal(5, 7), normal(7, 9))),
    "baddbmm": (torch.baddbmm, (normal(2, 5, 9), normal(2, 5, 7), normal(2, 7, 9))),
    "einsum": (
        lambda a, b: torch.einsum("bhqd,bkhd->bhqk", a, b),
        (normal(2, 3, 5, 7), normal(2, 6, 3, 7)),
    ),
    "linear_vector": (F.linear, (normal(17), normal(5, 17), normal(5))),
    "linear_no_bias": (F.linear, (normal(2, 3, 17), normal(5, 17))),
    "chain": (
        lambda a, b, c: ((a @ b).relu() @ c).softmax(-1),
        (normal(5, 7), normal(7, 9), normal(9, 6)),
    ),
    "around": (
        lambda x, w: F.gelu(F.linear(x * 2 + 1, w)) + x.sum(-1, keepdim=True),
        (normal(6, 18), normal(33, 18)),
    ),
    "f64": (torch.matmul, (normal(5, 18).double(), normal(18, 7).double())),
    "int64": (torch.matmul, (integers(5, 18), integers(18, 7))),
    "int32": (torch.matmul, (integers(5, 18).int(), integers(18, 7).int())),
    "outer": (torch.outer, (normal(5), normal(17))),
    "nan_stays_in_its_row": (
        lambda a, b: a.where(a < 2, math.nan) @ b.where(b < 2, math.inf),
        (normal(9, 18), normal(18, 20)),
    ),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_product(check: Any, name: str) -> None:
    check(PRODUCTS, name)


def conv(function: Function, source: Tensor, weight: Tensor, **options: Any) -> Case:
    inputs = (source, weight, normal(weight.shape[0]))
    return lambda x, w, b: function(x, w, b, **options), inputs


IMAGE = normal(2, 4, 11, 9)
CONVOLUTIONS: Table = {
    "1d": conv(F.conv1d, normal(2, 3, 19), normal(5, 3, 3)),
    "1d_all": conv(F.conv1d, normal(2, 3, 29), normal(5, 3, 4), stride=3, padding=5, dilation=2),
    "2d": conv(F.conv2d, IMAGE, normal(6, 4, 3, 3), padding=1),
    "2d_strided": conv(F.conv2d, IMAGE, normal(6, 4, 3, 3), stride=2, padding=1),
    "2d_mixed": conv(
        F.conv2d, IMAGE, normal(6, 4, 3, 2), stride=(1, 2), padding=(2, 0), dilation=(2, 1)
    ),
    "1x1": conv(F.conv2d, IMAGE, normal(17, 4, 1, 1)),
    "1x1_strided": conv(F.conv2d, IMAGE, normal(17, 4, 1, 1), stride=2),
    "7x7": conv(F.conv2d, IMAGE, normal(3, 4, 7, 7), stride=2, padding=3),
    "groups": conv(F.conv2d, IMAGE, normal(6, 2, 3, 3), groups=2),
    "depthwise": conv(F.conv2d, IMAGE, normal(4, 1, 3, 3), padding=1, groups=4),
    "depthwise_multiplied": conv(F.conv2d, IMAGE, normal(8, 1, 3, 3), groups=4, stride=2),
    "3d": conv(F.conv3d, normal(1, 2, 4, 5, 6), normal(3, 2, 3, 3, 3), padding=1),
    "3d_strided": conv(F.conv3d, normal(1, 2, 6, 5, 6), normal(3, 2, 2, 3, 1), stride=2),
    "same": conv(F.conv2d, IMAGE, normal(5, 4, 3, 2), padding="same"),
    "unbatched": conv(F.conv2d, normal(4, 6, 5), normal(5, 4, 3, 3)),
    "whole_image": conv(F.conv2d, IMAGE, normal(5, 4, 11, 9)),
    "transposed": (
        lambda x, w, b: F.conv_transpose2d(x, w, b, stride=2, padding=1, output_padding=1),
        (normal(2, 3, 4, 5), normal(3, 4, 3, 3), normal(4)),
    ),
    "transposed_1d": (
        lambda x, w: F.conv_transpose1d(x, w, stride=3, groups=2, dilation=2, padding=5),
        (normal(2, 4, 7), normal(4, 3, 3)),
    ),
    "with_neighbours": (
        lambda x, w: F.relu(F.conv2d(x.sigmoid(), w, padding=1) + x).mean((2, 3)),
        (IMAGE, normal(4, 4, 3, 3)),
    ),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolution(check: Any, name: str) -> None:
    check(CONVOLUTIONS, name)


POOLS: Table = {
    name: (function, (IMAGE,))
    for name, function in {
        "max": lambda x: F.max_pool2d(x, 3, 2, 1),
        "max_ceil": lambda x: F.max_pool2d(x, 3, 2, ceil_mode=True),
        "max_dilated": lambda x: F.max_pool2d(x, 2, 1, 0, 2),
        "max_1d": lambda x: F.max_pool1d(x[0], 3, 1),
        "max_3d": lambda x: F.max_pool3d(x, 2),
        "max_of_nan": lambda x: F.max_pool2d(x.where(x < 1.5, math.nan), 3, 2, 1),
        "max_of_negatives": lambda x: F.max_pool2d(-x.abs() - 1, 3, 2, 1),
        "avg": lambda x: F.avg_pool2d(x, 2),
        "avg_padded": lambda x: F.avg_pool2d(x, 3, 2, 1),
        "avg_inside": lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
        "avg_ceil": lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True),
        "avg_divisor": lambda x: F.avg_pool2d(x, 2, divisor_override=3),
        "avg_1d": lambda x: F.avg_pool1d(x[0], 3, 2, 1),
        "avg_3d": lambda x: F.avg_pool3d(x, 2),
        "adaptive_1": lambda x: F.adaptive_avg_pool2d(x, 1),
        "adaptive": lambda x: F.adaptive_avg_pool2d(x[:, :, :10], (5, 3)),
        "adaptive_max": lambda x: F.adaptive_max_pool2d(x[:, :, :10], (5, 3)),
        "upsample": lambda x: F.interpolate(x, scale_factor=2, mode="nearest"),
        "grid_sample": lambda x: F.grid_sample(x, x[:, 0, :4, :2, None].expand(-1, -1, -1, 2) / 2),
        "bilinear": lambda x: F.interpolate(x, size=(7, 12), mode="bilinear"),
        "bilinear_by_2": lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
    }.items()
}


@pytest.mark.parametrize("name", POOLS)
def test_pool(check: Any, name: str) -> None:
    check(POOLS, name)


QUERY, KEY, VALUE = normal(2, 4, 7, 16), normal(2, 4, 11, 16), normal(2, 4, 11, 9)
ALL = (QUERY, KEY, VALUE)
KEPT = normal(7, 11) > -0.5
EMPTY_ROWS = KEPT & (torch.arange(7)[:, None] % 3 > 0)
ATTENTION: Table = {
    "plain": (SDPA, ALL),
    "scale": (lambda q, k, v: SDPA(q, k, v, scale=0.3), ALL),
    "causal": (lambda q, k, v: SDPA(q, k, v, is_causal=True), ALL),
    "causal_square": (lambda q: SDPA(q, q, q, is_causal=True), (QUERY,)),
    "bool_mask": (lambda q, k, v, m: SDPA(q, k, v, m), (*ALL, KEPT)),
    "bool_mask_per_head": (lambda q, k, v, m: SDPA(q, k, v, m), (*ALL, normal(2, 4, 7, 11) > -1)),
    "float_mask": (lambda q, k, v, m: SDPA(q, k, v, m), (*ALL, normal(2, 1, 7, 11))),
    "float_mask_infinite": (
        lambda q, k, v, m: SDPA(q, k, v, torch.where(m, 0.0, -math.inf)),
        (*ALL, KEPT),
    ),
    "rows_fully_masked": (lambda q, k, v, m: SDPA(q, k, v, m), (*ALL, EMPTY_ROWS)),
    "rows_fully_masked_by_infinity": (
        lambda q, k, v, m: SDPA(q, k, v, torch.where(m, 0.0, -math.inf)),
        (*ALL, EMPTY_ROWS),
    ),
    "rank_3": (SDPA, (normal(3, 5, 8), normal(3, 6, 8), normal(3, 6, 8))),
    "one_token": (SDPA, (normal(1, 4, 1, 16), normal(1, 4, 33, 16), normal(1, 4, 33, 16))),
    "grouped_heads": (
        lambda q, k, v: SDPA(q, k, v, enable_gqa=True),
        (normal(2, 6, 5, 8), normal(2, 2, 7, 8), normal(2, 2, 7, 8)),
    ),
    "by_hand": (
        lambda q, k, v: ((q @ k.mT) / 4.0).masked_fill(k[..., :1].mT > 1, -1e9).softmax(-1) @ v,
        ALL,
    ),
    "from_packed_heads": (
        lambda x: SDPA(*(t.transpose(1, 2) for t in x.view(2, 7, 3, 4, 8).unbind(2))),
        (normal(2, 7, 96),),
    ),
    "nan_in_a_key": (lambda q, k, v: SDPA(q, k.where(k < 3, math.nan), v), ALL),
    "f64": (SDPA, tuple(t.double() for t in ALL)),
}


@pytest.mark.parametrize("name", ATTENTION)
def test_attention(check: Any, name: str) -> None:
    check(ATTENTION, name)


def module(layer: nn.Module, *inputs: Tensor) -> Case:
    return layer.eval(), inputs


def layers() -> Table:
    torch.manual_seed(2)
    multihead = nn.MultiheadAttention(16, 4, batch_first=True).eval()
    return {
        "lstm": module(nn.LSTM(5, 7, num_layers=2, batch_first=True), normal(2, 3, 5)),
        "lstm_with_state": module(nn.LSTM(5, 7), normal(3, 2, 5)),
        "lstm_both_ways": module(nn.LSTM(5, 7, bidirectional=True), normal(3, 2, 5)),
        "gru": module(nn.GRU(5, 7, num_layers=2), normal(3, 2, 5)),
        "rnn": module(nn.RNN(5, 7, nonlinearity="relu"), normal(3, 2, 5)),
        "lstm_cell": module(nn.LSTMCell(5, 7), normal(2, 5)),
        "encoder_layer": module(
            nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), normal(2, 5, 16)
        ),
        "multihead": (lambda x: multihead(x, x, x)[0], (normal(2, 5, 16),)),
    }


LAYERS = layers()


@pytest.mark.parametrize("name", LAYERS)
def test_layer(check: Any, name: str) -> None:
    check(LAYERS, name)


def test_operators_without_rule_are_all_named() -> None:
    class Unsupported(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x.mode(dim=1).values, torch.linalg.qr(x).Q

    with pytest.raises(UnsupportedOperatorError, match=r"(?s)mode.*qr|qr.*mode"):
        tilecast.compile(Unsupported(), (normal(4, 4),))
