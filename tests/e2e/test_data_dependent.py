"""Compiled sorting, scattering, searching and scans equal PyTorch: ties, NaN, duplicates."""

from __future__ import annotations

import math
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tilecast
import torch
from torch import Tensor, nn

Function = Callable[..., Any]
Table = dict[str, tuple[Function, tuple[Tensor, ...]]]


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape) + 1))


def integers(*shape: int, low: int = -9, high: int = 10) -> Tensor:
    return torch.randint(low, high, shape, generator=torch.Generator().manual_seed(7))


def special(*shape: int) -> Tensor:
    values = torch.tensor([0.0, -0.0, 1.5, -2.5, 1.5, math.inf, -math.inf, math.nan, -3.0])
    return values[integers(*shape, low=0, high=9)]


CUBE, TIES, SPECIAL = normal(5, 7, 19), integers(6, 43), special(5, 41)
SORTS: Table = {
    "rows": (lambda x: x.sort(), (CUBE,)),
    "middle_dim": (lambda x: x.sort(1, descending=True), (CUBE,)),
    "first_dim": (lambda x: x.sort(0), (CUBE,)),
    "ties": (lambda x: x.sort(stable=True), (TIES,)),
    "ties_descending": (lambda x: x.sort(stable=True, descending=True), (TIES,)),
    "ties_int32": (lambda x: x.to(torch.int32).sort(stable=True), (TIES,)),
    "ties_int16": (lambda x: x.to(torch.int16).sort(stable=True, descending=True), (TIES,)),
    "ties_int8": (lambda x: x.to(torch.int8).sort(dim=0, stable=True), (TIES,)),
    "booleans": (lambda x: (x > 0).sort(stable=True), (TIES,)),
    "largest_integers": (
        lambda x: (x.sort(stable=True), x.sort(descending=True, stable=True), x.topk(3).values),
        (torch.tensor([[2**63 - 1, -(2**63), 0, 2**63 - 1, 2**40, -1] * 3]),),
    ),
    "special": (lambda x: x.sort(stable=True), (SPECIAL,)),
    "special_descending": (lambda x: x.sort(stable=True, descending=True), (SPECIAL,)),
    "float64": (lambda x: x.double().sort(stable=True), (SPECIAL,)),
    "float64_descending": (lambda x: x.double().sort(stable=True, descending=True), (SPECIAL,)),
    "permuted": (lambda x: x.permute(2, 0, 1)[:, 1:].sort(0), (CUBE,)),
    "reshaped": (lambda x: x.transpose(0, 1).reshape(-1).sort(), (CUBE,)),
    "computed": (lambda x: (x * 2 + 1).sort().values.exp(), (CUBE,)),
    "one_element": (lambda x: x[:, :1].sort(1), (CUBE,)),
    "no_element": (lambda x: x[:, :0].sort(1), (CUBE,)),
    "topk": (lambda x: x.topk(3), (CUBE,)),
    "topk_dim": (lambda x: x.topk(4, 1, largest=False), (CUBE,)),
    "topk_many": (lambda x: x.reshape(5, -1).topk(50), (CUBE,)),
    "topk_special": (lambda x: x.topk(5).values, (SPECIAL,)),
    "topk_smallest_special": (lambda x: x.topk(9, 0, largest=False).values, (SPECIAL.t(),)),
    "topk_float64": (lambda x: x.double().topk(5).values, (SPECIAL,)),
    "topk_softmax": (lambda x: x.topk(4).values.softmax(-1), (CUBE,)),
    "kthvalue": (lambda x: x.kthvalue(5), (CUBE,)),
    "median": (lambda x: (x.median(-1), x.median()), (CUBE,)),
    "median_special": (lambda x: (x.median(1), x.median()), (SPECIAL,)),
    "quantile": (lambda x: x.quantile(0.4, 2), (CUBE,)),
}


@pytest.mark.parametrize("name", SORTS)
def test_sort(check: Any, name: str) -> None:
    check(SORTS, name)


MATRIX, ROWS, UPDATES = normal(9, 35), integers(6, 35, low=0, high=9), normal(6, 35)
PICK = torch.tensor([3, 0, -2, 3])
SCATTERS: Table = {
    "scatter": (lambda x, i, u: x.scatter(0, i, u), (MATRIX, ROWS, UPDATES)),
    "scatter_last_dim": (lambda x, i, u: x.scatter(1, i, u), (MATRIX, ROWS, UPDATES)),
    "scatter_value": (lambda x, i: x.scatter(-1, i[:, 2:8], 0.5), (MATRIX, ROWS)),
    "scatter_add": (lambda x, i, u: x.scatter_add(0, i, u), (MATRIX, ROWS, UPDATES)),
    "scatter_rows": (
        lambda i, u: torch.zeros(9, 35).scatter_add(0, i[:, :1].expand(6, 35), u),
        (ROWS, UPDATES),
    ),
    "scatter_permuted": (
        lambda x, i, u: x.t().scatter_add(1, i.t(), u.t() * 2).relu(),
        (MATRIX, ROWS, UPDATES),
    ),
    "scatter_integers": (
        lambda x, i: (x.scatter_add(0, i, i), (x > 0).scatter(0, i, i > 4)),
        (integers(9, 35), ROWS),
    ),
    "scatter_special": (
        lambda x, i, u: x.scatter_reduce(0, i, u, "amax"),
        (MATRIX, ROWS, special(6, 35)),
    ),
    "scatter_nothing": (lambda x, i, u: x.scatter(0, i[:0], u), (MATRIX, ROWS, UPDATES)),
    "put": (lambda x, u: x.index_put((PICK,), u), (MATRIX, normal(4, 35))),
    "put_pairs": (lambda x, u: x.index_put((PICK, PICK * 2), u), (MATRIX, normal(4))),
    "put_columns": (
        lambda x, u: x.index_put((torch.arange(9)[:, None], PICK), u),
        (MATRIX, normal(9, 4)),
    ),
    "accumulate": (
        lambda x, u: x.index_put((PICK,), u, accumulate=True),
        (MATRIX, normal(4, 35)),
    ),
    "accumulate_pairs": (
        lambda x, u: x.index_put((PICK, PICK), u, accumulate=True),
        (MATRIX, normal(4)),
    ),
    "mask": (lambda x: x.masked_fill(x > 1, 0).index_put((x < 0,), x[0, 0] * 2), (MATRIX,)),
    "index_add": (
        lambda x, u: x.index_add(1, PICK.abs(), u, alpha=0.5),
        (MATRIX, normal(9, 4)),
    ),
    "index_copy": (lambda x, u: x.index_copy(0, PICK[:3].abs(), u), (MATRIX, normal(3, 35))),
    "masked_scatter": (lambda x, u: x.masked_scatter(x > 0, u), (MATRIX, normal(9, 35))),
}
for _reduce in ("sum", "prod", "mean", "amin", "amax"):
    for _include in (False, True):
        SCATTERS[f"{_reduce}_{_include}"] = (
            lambda x, i, u, r=_reduce, s=_include: x.scatter_reduce(0, i, u, r, include_self=s),
            (MATRIX, ROWS, UPDATES),
        )


@pytest.mark.parametrize("name", SCATTERS)
def test_scatter(check: Any, name: str) -> None:
    check(SCATTERS, name)


EDGES = torch.tensor([-1.0, 0.0, 0.0, 0.5, 2.0])
OTHERS: Table = {
    "searchsorted": (torch.searchsorted, (EDGES, SPECIAL)),
    "searchsorted_rows": (
        lambda x, v: torch.searchsorted(x.sort(1).values, v, right=True),
        (normal(5, 18), normal(5, 41)),
    ),
    "bucketize": (lambda v: torch.bucketize(v, EDGES, out_int32=True), (CUBE,)),
    "cumsum": (lambda x: (x.cumsum(0), x.cumsum(1), x.cumsum(2)), (CUBE,)),
    "cumsum_long": (lambda x: x.cumsum(0), (normal(3000),)),
    "cumsum_integers": (lambda x: (x.cumsum(0), (x > 0).cumsum(1)), (TIES,)),
    "cumsum_computed": (lambda x: (x * x).cumsum(1).sqrt(), (CUBE,)),
    "cumsum_permuted": (lambda x: x.permute(2, 0, 1).cumsum(0).permute(1, 2, 0), (CUBE,)),
    "cumprod": (lambda x: (x.cumprod(0), x.cumprod(2)), (CUBE,)),
    "cummax": (lambda x: (x.cummax(0), x.cummax(1), x.cummin(1)), (TIES,)),
    "cummax_special": (lambda x: (x.cummax(1), x.cummin(0)), (SPECIAL,)),
}


@pytest.mark.parametrize("name", OTHERS)
def test_search_and_scan(check: Any, name: str) -> None:
    check(OTHERS, name)


class Routing(nn.Module):
    """A small mixture of experts: topk, scatter of the weights, sort of tokens by expert."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(32, 8)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        weights, experts = self.gate(x).topk(2)
        shares = torch.zeros(x.shape[0], 8).scatter_add(1, experts, weights.softmax(-1))
        order = experts[:, 0].argsort(stable=True)
        totals = torch.zeros(8, 32).index_add(0, experts[:, 0], x[order])
        return shares, totals, order.cumsum(0)


class LongRow(nn.Module):
    def forward(self, x: Tensor, i: Tensor) -> tuple[Tensor, ...]:
        values, order = x.sort(descending=True, stable=True)
        return values, order, x.scatter_add(0, i, x), x.reshape(16, -1).sort(1).values


@pytest.mark.parametrize("case", ["routing", "long_row"])
def test_threads_do_not_change_a_bit(cache_folder: Path, case: str) -> None:
    inputs: tuple[Tensor, ...] = (normal(600, 32),)
    model: nn.Module = Routing().eval()
    if case == "long_row":
        inputs = (normal(20000).mul(50).round(), integers(20000, low=0, high=300))
        model = LongRow()
    with torch.no_grad():
        outputs = [tilecast.compile(model, inputs, threads=n)(*inputs) for n in (1, 2)]
        expected = model(*inputs)
    for one, two, want in zip(*outputs, expected, strict=True):
        assert torch.equal(one, two)
        torch.testing.assert_close(one, want, rtol=2e-4, atol=2e-4)


def test_parallel_loops_are_emitted(cache_folder: Path) -> None:
    inputs = (normal(20000).mul(50).round(), integers(20000, low=0, high=300))
    sources = tilecast.compile(LongRow(), inputs, threads=2, stop_after="emit")
    assert "#pragma omp parallel for" in sources["model_argsort_0.c"]


def test_index_outside_writes_nothing(cache_folder: Path) -> None:
    class Update(nn.Module):
        def forward(self, x: Tensor, i: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
            return x.scatter_add(0, i, u), x.index_put((i,), u)

    x, u = normal(7), normal(4)
    compiled = tilecast.compile(Update(), (x, torch.arange(4), u))
    added, put = compiled(x, torch.tensor([2, 7, 2**40, -8]), u)
    assert torch.equal(added, x.index_add(0, torch.tensor([2]), u[:1]))
    assert torch.equal(put, x.index_copy(0, torch.tensor([2]), u[:1]))


@pytest.mark.slow
@pytest.mark.parametrize("target", ["native", "c99"])
def test_package_checks_itself(cache_folder: Path, tmp_path: Path, target: str) -> None:
    inputs = (normal(60, 32),)
    tilecast.compile(Routing().eval(), inputs, target=target).save(tmp_path / "package")
    subprocess.run(["make", "-C", str(tmp_path / "package"), "check"], check=True)
