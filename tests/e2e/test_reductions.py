"""Compiled reductions, softmax and norms equal PyTorch: every set of dims, odd and empty shapes."""

from __future__ import annotations

import itertools
import math
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


CUBE, INTS = normal(5, 7, 19), integers(5, 7, 19)
DIM_SETS = [dims for n in (1, 2, 3) for dims in itertools.combinations(range(3), n)]


def over(function: Function, dims: tuple[int, ...], keep: bool) -> Function:
    return lambda x: function(x, dims, keepdim=keep)


OVER_DIMS: Table = {
    f"{name}-{''.join(map(str, dims))}": (over(function, dims, sum(dims) % 2 == 0), (source,))
    for dims in DIM_SETS
    for name, function, source in [
        ("sum", torch.sum, CUBE),
        ("mean", torch.mean, CUBE),
        ("amax", torch.amax, CUBE),
        ("amin_integers", torch.amin, INTS),
        ("sum_integers", torch.sum, INTS),
    ]
}


@pytest.mark.parametrize("name", OVER_DIMS)
def test_reduction_over_dims(check: Any, name: str) -> None:
    check(OVER_DIMS, name)


REDUCTIONS: dict[str, Function] = {
    "sum_all": torch.sum,
    "prod": lambda x: x.prod(1),
    "prod_all": lambda x: x[0].prod(),
    "max_all": torch.max,
    "min_all": torch.min,
    "max_dim": lambda x: tuple(x.max(1)),
    "min_dim": lambda x: tuple(x.min(-1, keepdim=True)),
    "argmax": lambda x: (x.argmax(0), x.argmax(-1), x.argmax()),
    "argmin": lambda x: (x.argmin(0, keepdim=True), x.argmin(-1)),
    "any": lambda x: ((x > 2).any(), (x > 2).any(1), (x > 2).any(-1)),
    "all": lambda x: ((x > -9).all(), (x > -1).all(0), (x > -1).all(2)),
    "var": lambda x: (x.var(1), x.var(), x.var((0, 2), correction=0)),
    "std": lambda x: (x.std(-1), x.std(0)),
    "var_mean": lambda x: torch.var_mean(x, 1),
    "norms": lambda x: (x.norm(dim=1), torch.linalg.vector_norm(x, 1, dim=2)),
    "norm_3": lambda x: torch.linalg.vector_norm(x, 3),
    "norm_inf": lambda x: torch.linalg.vector_norm(x, math.inf, dim=(0, 1)),
    "normalize": lambda x: F.normalize(x, dim=1),
    "logsumexp": lambda x: (x.logsumexp(0), x.logsumexp((1, 2))),
    "cumsum": lambda x: (x.cumsum(0), x.cumsum(2)),
    "softmax": lambda x: (x.softmax(0), x.softmax(1), x.softmax(2)),
    "log_softmax": lambda x: (x.log_softmax(0), x.log_softmax(1), x.log_softmax(2)),
    "of_a_view": lambda x: (x.permute(2, 0, 1).sum(1), x.transpose(0, 2).softmax(1)),
    "of_a_slice": lambda x: (x[:, 1::2].sum(-1), x.flip(2)[..., 3:].amax(1)),
    "then_pointwise": lambda x: (
        (x - x.mean(-1, keepdim=True)).exp() / x.square().sum(-1)[..., None]
    ),
    "of_a_product": lambda x: ((x * x.flip(0)).sum(1), (x > 0).sum(), (x * x).mean((0, 1))),
    "broadcast_sum": lambda x: (x[:, None, :2] * x[None, :, :2]).sum(2),
    "layer_norm": lambda x: F.layer_norm(x, (19,)),
    "layer_norm_two_dims": lambda x: F.layer_norm(x, (7, 19)),
    "rms_norm": lambda x: F.rms_norm(x, (19,), eps=1e-6),
    "instance_norm": F.instance_norm,
    "group_norm": lambda x: F.group_norm(x[:, :6], 3),
}
SHAPES = {"cube": CUBE, "ones": normal(1, 7, 1), "long": normal(2, 7, 67) * 3}
SHAPED: dict[str, Table] = {
    shape: {
        name: (function, (source,))
        for name, function in REDUCTIONS.items()
        if shape == "cube" or (not name.endswith("norm") and "norm_two" not in name)
    }
    for shape, source in SHAPES.items()
}


@pytest.mark.parametrize(
    ("shape", "name"),
    [
        pytest.param(shape, name, marks=[pytest.mark.slow] if shape == "long" else [])
        for shape, table in SHAPED.items()
        for name in table
    ],
)
def test_reduction(check: Any, shape: str, name: str) -> None:
    check(SHAPED[shape], name)


NAN, INF = math.nan, math.inf
ROWS = torch.tensor(
    [
        [1.0, NAN, 2.0, 0.5, -3.0],
        [1.0, INF, 2.0, 0.5, -3.0],
        [-INF, 0.0, -1.0, -INF, 2.0],
        [-INF, -INF, -INF, -INF, -INF],
        [INF, -INF, 0.0, 1.0, 2.0],
        [-1e30, 3e38, 3e38, 0.0, 1.0],
        [-3.0, -2.0, -1.0, -5.0, -4.0],
    ]
)
SPECIAL: Table = {
    name: (function, (ROWS,))
    for name, function in {
        "sum": lambda x: (x.sum(1), x.sum(0)),
        "mean": lambda x: x.mean(1),
        "prod": lambda x: x.prod(1),
        "amax": lambda x: (x.amax(1), x.amax(0), x.amax()),
        "amin": lambda x: (x.amin(1), x.amin(0), x.amin()),
        "argmax": lambda x: (x.argmax(1), x.argmax(0)),
        "argmin": lambda x: (x.argmin(1), x.argmin(0)),
        "any": lambda x: (x.isnan().any(1), x.bool().all(1)),
        "softmax": lambda x: (x.softmax(1), x.softmax(0)),
        "log_softmax": lambda x: x.log_softmax(1),
        "logsumexp": lambda x: x.logsumexp(1),
        "var": lambda x: x.var(1),
        "cumsum": lambda x: x.cumsum(1),
        "layer_norm": lambda x: F.layer_norm(x, (5,)),
    }.items()
}


@pytest.mark.parametrize("name", SPECIAL)
def test_reduction_of_nan_and_infinity(check: Any, name: str) -> None:
    check(SPECIAL, name)


EMPTY, SCALAR, DOUBLES = torch.zeros(3, 0, 4), torch.tensor(2.5), normal(6, 23).double()
MANY, FLAGS = normal(3, 1031), normal(4, 37) > 1
ODD: Table = {
    "sum_of_nothing": (lambda x: (x.sum(1), x.sum(), x.prod(1)), (EMPTY,)),
    "mean_of_nothing": (lambda x: x.mean(1), (EMPTY,)),
    "any_of_nothing": (lambda x: ((x > 0).any(1), (x > 0).all(1)), (EMPTY,)),
    "nothing_remains": (lambda x: (x.sum(0), x.amax(2), x.softmax(2)), (EMPTY,)),
    "rank_0": (lambda x: (x.sum(), x.amax(), x.mean(), x.softmax(0), x.argmax()), (SCALAR,)),
    "f64": (lambda x: (x.sum(0), x.mean(1), x.softmax(1), x.var(1), x.amin(0)), (DOUBLES,)),
    "int32": (lambda x: (x.sum(1), x.amax(1), x.prod(2), x.any(0)), (INTS.int(),)),
    "int32_sum": (lambda x: x.sum(1, dtype=torch.int32), (INTS.int(),)),
    "bool": (lambda x: (x.sum(1), x.any(1), x.all(0), x.float().mean(1)), (FLAGS,)),
    "argmax_integers": (lambda x: (x.argmax(1), x.argmin(2)), (INTS,)),
    "long_rows": (lambda x: (x.sum(1), x.softmax(1), x.argmax(1), x.mean()), (MANY,)),
    "long_columns": (lambda x: (x.T.sum(0), x.T.softmax(0), x.T.amax(0)), (MANY,)),
    "layer_norm_affine": (
        lambda x, w, b: F.layer_norm(x, (37,), w, b, 1e-3),
        (normal(2, 3, 37), normal(37), normal(37) + 1),
    ),
    "group_norm_affine": (
        lambda x, w, b: F.group_norm(x, 2, w, b),
        (normal(2, 4, 3, 5), normal(4), normal(4)),
    ),
    "batch_norm": (
        lambda x, m, v, w, b: F.batch_norm(x, m, v, w, b),
        (normal(2, 4, 3, 5), normal(4), normal(4).abs() + 0.1, normal(4), normal(4)),
    ),
    "local_response_norm": (lambda x: F.local_response_norm(x, 3), (normal(2, 4, 3, 3),)),
    "cosine_similarity": (lambda x: F.cosine_similarity(x, x.flip(0), dim=1), (MANY,)),
}


@pytest.mark.parametrize("name", ODD)
def test_reduction_of_odd_sizes_and_types(check: Any, name: str) -> None:
    check(ODD, name)
