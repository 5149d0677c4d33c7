"""Compiled views, joins, pads and indexing equal PyTorch exactly, alone and chained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

Function = Callable[..., Any]
Case = tuple[Function, tuple[Tensor, ...]]
Table = dict[str, Case]


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape) + 1))


def integers(*shape: int, low: int = -9, high: int = 10) -> Tensor:
    return torch.randint(low, high, shape, generator=torch.Generator().manual_seed(7))


X = normal(2, 3, 4, 17)
VIEWS: Table = {
    name: (function, (X,))
    for name, function in {
        "view": lambda x: x.view(6, -1),
        "reshape": lambda x: x.transpose(1, 2).reshape(8, 51),
        "reshape_of_slice": lambda x: x[:, 1:, ::2, 1:].reshape(-1),
        "flatten": lambda x: x.flatten(1, 2),
        "permute": lambda x: x.permute(2, 0, -1, 1),
        "transpose": lambda x: x.transpose(-1, 1),
        "squeeze": lambda x: x[:, 1:2].squeeze(),
        "unsqueeze": lambda x: x.unsqueeze(-1).unsqueeze(0),
        "expand": lambda x: x[:, :1].expand(2, 7, 4, 17),
        "expand_lead": lambda x: x.expand(3, 2, 3, 4, 17),
        "slice": lambda x: x[:, 1:, ::2, -3:-1],
        "slice_of_nothing": lambda x: x[:, :, 3:3],
        "select": lambda x: (x[:, -1], x[..., 3], x[1, 2, 3, 4]),
        "split": lambda x: x.split(5, dim=3),
        "split_sizes": lambda x: x.split([1, 3], dim=2),
        "chunk": lambda x: x.chunk(2, dim=1),
        "unbind": lambda x: x.unbind(1),
        "flip": lambda x: (x.flip(0, 3), x.flip(-1)),
        "roll": lambda x: (x.roll((1, -2), (1, 2)), x.roll(7)),
        "repeat": lambda x: x.repeat(2, 1, 3, 1, 1),
        "repeat_interleave": lambda x: x.repeat_interleave(3, dim=1),
        "unfold": lambda x: x.unfold(3, 3, 2),
        "diagonal": lambda x: (x.diagonal(1, 1, 3), x.diagonal(-1, 2, 3)),
        "diag_embed": lambda x: x[0, 0].diag_embed(),
        "rot90": lambda x: x.rot90(1, (2, 3)),
        "im2col": lambda x: F.unfold(x, (2, 3), padding=1),
        "pixel_shuffle": lambda x: F.pixel_shuffle(x.reshape(2, 12, 1, 17), 2),
        "tril": lambda x: (x.tril(1), x.triu(-1)),
        "chain": lambda x: x.permute(0, 2, 1, 3)[:, ::2].flip(1).flatten(2)[..., 3:-2].mT,
        "chain_of_reshapes": lambda x: x.view(6, 68).T.reshape(17, 24)[2:, ::5].reshape(5, -1),
        "chain_to_scalar": lambda x: x.flip(3)[1].transpose(0, 1)[2, 1, 5],
        "interleave": lambda x: torch.stack([x, -x], -1).flatten(-2)[..., 1::3],
        "overlapping": lambda x: x.unfold(3, 4, 1).unfold(1, 2, 1).sum((-1, -2)),
        "view_between_pointwise": lambda x: ((x + 1).transpose(1, 2) * 2).reshape(8, -1) - 3,
    }.items()
}


@pytest.mark.parametrize("name", VIEWS)
def test_view(check: Any, name: str) -> None:
    check(VIEWS, name, elementwise=True, zero_signs=True)


JOINS: Table = {
    name: (function, (X,))
    for name, function in {
        "cat": lambda x: torch.cat([x, x * 2, x[:, :1]], 1),
        "cat_last": lambda x: torch.cat([x, x[..., :1], x.flip(3)], -1),
        "cat_first": lambda x: torch.cat([x[1:], x], 0),
        "cat_with_nothing": lambda x: torch.cat([x[:, :0], x, x[:, :0]], 1),
        "cat_promotes": lambda x: torch.cat([x, x.int()], 1),
        "cat_of_views": lambda x: torch.cat([x.transpose(2, 3), x.transpose(2, 3).exp()], 2),
        "cat_then_pointwise": lambda x: torch.cat([x, -x], 1).relu() + 1,
        "cat_then_sum": lambda x: torch.cat([x, x + 1], 2).sum(2),
        "stack": lambda x: (torch.stack([x, x + 1], -1), torch.stack([x, x + 1])),
        "rotate_half": lambda x: torch.cat([-x[..., 8:16], x[..., :8]], -1) * x[..., :16],
        "pad": lambda x: F.pad(x, (1, 2, 0, 1), value=3.0),
        "pad_negative": lambda x: F.pad(x, (-1, 2)),
        "pad_then_pointwise": lambda x: F.pad(x.exp(), (2, 0, 1, 1)) * 2 + 1,
        "pad_reflect": lambda x: F.pad(x, (2, 1, 1, 2), mode="reflect"),
        "pad_replicate": lambda x: F.pad(x, (2, 1, 1, 2), mode="replicate"),
        "pad_circular": lambda x: F.pad(x, (2, 1, 1, 2), mode="circular"),
        "select_scatter": lambda x: torch.select_scatter(x, x[:, 0] * 2, 1, 1),
        "slice_scatter": lambda x: torch.slice_scatter(x, x[:, :1], 1, 2, 3),
        "kron": lambda x: torch.kron(x[0, 0], x[0, 1]),
        "meshgrid": lambda x: torch.meshgrid(x[0, 0, 0], x[0, 0, :, 0], indexing="ij"),
    }.items()
} | {
    "cat_integers": (lambda x: torch.cat([x, x * 2], 1), (integers(3, 5),)),
    "cat_booleans": (lambda x: torch.cat([x > 0, x < 3], 1), (integers(3, 5),)),
    "pad_integers": (lambda x: F.pad(x, (1, 2), value=-4), (integers(3, 5),)),
    "pad_booleans": (lambda x: F.pad(x > 0, (1, 2), value=True), (integers(3, 5),)),
}


@pytest.mark.parametrize("name", JOINS)
def test_join_or_pad(check: Any, name: str) -> None:
    check(JOINS, name, elementwise=True)


T, CUBE = normal(6, 19), normal(3, 4, 5)
ROW, PLACE = integers(2, 7, low=0, high=6), integers(5, 3, low=0, high=19)
INDEXING: Table = {
    "embedding": (F.embedding, (ROW, T)),
    "embedding_int32": (F.embedding, (ROW.int(), T)),
    "embedding_sum": (lambda i, t: (F.embedding(i, t) + t[0]).sum(1), (ROW, T)),
    "gather": (lambda x, i: x.gather(1, i), (T, PLACE)),
    "gather_rows": (lambda x, i: x.gather(0, i % 6), (T, PLACE)),
    "index_select": (lambda x, i: x.index_select(1, i), (T, PLACE.flatten())),
    "negative_index": (lambda x, i: x[i], (T, integers(2, 3, low=-6, high=6))),
    "two_indices": (lambda x, i, j: x[i % 6, j], (T, PLACE[:, :1].clone(), PLACE[0].clone())),
    "index_after_slice": (lambda x, i: x[:, i], (T, PLACE)),
    "apart": (lambda x, i: x[i[0] % 3, :, i[1] % 5], (CUBE, PLACE)),
    "inner": (lambda x, i: x[:, i % 4, i % 5], (CUBE, PLACE)),
    "by_arange": (lambda x: x[torch.arange(6), torch.arange(6)], (T,)),
    "take_along_dim": (
        lambda x, i: torch.take_along_dim(x, i, 1),
        (T, PLACE[:, :2].repeat(2, 1)[:6]),
    ),
    "of_integers": (lambda x, i: x[i], (integers(6, 5), ROW)),
    "of_argmax": (lambda x: x[x.argmax(0)], (T,)),
    "then_product": (lambda i, t: F.embedding(i, t) @ t.T, (ROW, T)),
    "one_hot": (lambda i: (i[..., None] == torch.arange(6)).float(), (ROW,)),
}


@pytest.mark.parametrize("name", INDEXING)
def test_indexing(check: Any, name: str) -> None:
    check(INDEXING, name)


SMALL = normal(5)
CREATION: Table = {
    name: (function, (SMALL,))
    for name, function in {
        "arange": lambda x: x + torch.arange(5),
        "arange_step": lambda x: x * torch.arange(10, 0, -2),
        "arange_float": lambda x: x + torch.arange(0, 2.5, 0.5),
        "linspace": lambda x: x + torch.linspace(0, 1, 5),
        "eye": lambda x: x @ torch.eye(5),
        "full": lambda x: (x + torch.full((5,), 0.25), torch.full((2, 2), -torch.inf) + x.sum()),
        "zeros_ones": lambda x: x * torch.ones(5) + torch.zeros(3, 1),
        "like": lambda x: torch.ones_like(x) + torch.zeros_like(x) + torch.full_like(x, 2),
        "constant": lambda x: x + torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0]),
        "only_constants": lambda x: (torch.arange(7), torch.eye(3), torch.tensor(2.5)),
        "integer_constant": lambda x: torch.arange(3, 30, 4, dtype=torch.int32) * 2,
        "causal_mask": lambda x: torch.arange(5)[:, None] >= torch.arange(5),
    }.items()
}


@pytest.mark.parametrize("name", CREATION)
def test_creation(check: Any, name: str) -> None:
    check(CREATION, name)
