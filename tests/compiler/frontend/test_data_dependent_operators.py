"""Import rules of sorting, scattering, searching and scans: in float64 they equal torch."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import tilecast
import torch
from torch import Tensor

Function = Callable[..., Any]
Table = dict[str, tuple[Function, tuple[Tensor, ...]]]


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape) + 1))


def integers(*shape: int, low: int = -9, high: int = 10) -> Tensor:
    return torch.randint(low, high, shape, generator=torch.Generator().manual_seed(7))


def special(*shape: int) -> Tensor:
    """Values among which are ties, both zeros, infinities and NaN."""
    values = torch.tensor([0.0, -0.0, 1.5, -2.5, 1.5, math.inf, -math.inf, math.nan, 3.0])
    return values[integers(*shape, low=0, high=9)]


CUBE = normal(3, 5, 7)
TIES = integers(4, 9, low=0, high=4)
STABLE: Table = {
    "sort": (lambda x: x.sort(), (CUBE,)),
    "sort_first_dim": (lambda x: x.sort(0, descending=True), (CUBE,)),
    "sort_middle_dim": (lambda x: x.sort(-2), (CUBE,)),
    "sort_ties": (lambda x: x.sort(stable=True), (TIES,)),
    "sort_ties_descending": (lambda x: x.sort(stable=True, descending=True), (TIES,)),
    "sort_special": (lambda x: x.sort(stable=True), (special(3, 20),)),
    "sort_special_down": (lambda x: x.sort(stable=True, descending=True), (special(3, 20),)),
    "sort_booleans": (lambda x: x.sort(stable=True), (normal(4, 6) > 0,)),
    "sort_number": (lambda x: x.sort(), (normal(),)),
    "sort_one": (lambda x: x.sort(1), (normal(4, 1),)),
    "sort_empty": (lambda x: x.sort(1), (normal(4, 0),)),
    "argsort": (lambda x: x.argsort(0), (CUBE,)),
    "argsort_stable": (lambda x: torch.argsort(x, stable=True, descending=True), (TIES,)),
    "msort": (torch.msort, (CUBE,)),
    "topk": (lambda x: x.topk(3), (CUBE,)),
    "topk_smallest": (lambda x: x.topk(2, dim=0, largest=False), (CUBE,)),
    "topk_special": (lambda x: x.topk(5).values, (special(4, 20),)),
    "topk_none": (lambda x: x.topk(0), (CUBE,)),
    "topk_all": (lambda x: x.topk(7), (CUBE,)),
    "kthvalue": (lambda x: (*x.kthvalue(2), *x.kthvalue(3, 1, True)), (CUBE,)),
    "median": (lambda x: (*x.median(-1), *x.median(0, True), x.median()), (CUBE,)),
    "median_even": (lambda x: (*x.median(0), x.median()), (normal(4, 6),)),
    "median_nan": (lambda x: (*x.median(1), x.median()), (special(5, 8),)),
    "quantile": (lambda x: x.quantile(0.3, 1), (normal(4, 9),)),
}


@pytest.mark.parametrize("name", STABLE)
def test_sorting_equals_torch(equals_torch: Any, name: str) -> None:
    equals_torch(STABLE, name)


X, ROWS = normal(5, 6), integers(3, 6, low=0, high=5)
UPDATES = normal(3, 6)
WHOLE = integers(5, 6)
DISTINCT = torch.stack([torch.randperm(5)[:3] for _ in range(6)], 1)
SCATTERS: Table = {
    "scatter": (lambda x, i, u: x.scatter(0, i, u), (X, DISTINCT, UPDATES)),
    "scatter_narrower": (lambda x, i, u: x.scatter(0, i[:2, :4], u), (X, DISTINCT, UPDATES)),
    "scatter_last_dim": (lambda x, i, u: x.scatter(-1, i, u), (X, normal(4, 6).argsort(1), X)),
    "scatter_value": (lambda x, i: x.scatter(1, i, 2.5), (X, ROWS)),
    "scatter_value_duplicates": (lambda x, i: x.scatter(0, i, -1.0), (X, ROWS)),
    "scatter_old_reduce": (lambda x, i, u: x.scatter(0, i, u, reduce="add"), (X, ROWS, UPDATES)),
    "scatter_old_value": (lambda x, i: x.scatter(0, i, 3.0, reduce="multiply"), (X, ROWS)),
    "scatter_number": (lambda x, u: x.scatter(0, torch.tensor(0), u), (normal(), normal())),
    "scatter_none": (lambda x, i, u: x.scatter(0, i, u), (X, ROWS[:0], UPDATES)),
    "scatter_add": (lambda x, i, u: x.scatter_add(0, i, u), (X, ROWS, UPDATES)),
    "scatter_add_integers": (lambda x, i, u: x.scatter_add(0, i, u), (WHOLE, ROWS, WHOLE)),
    "scatter_add_zeros": (
        lambda i, u: torch.zeros(5, 6).to(u.dtype).scatter_add(0, i, u),
        (ROWS, UPDATES),
    ),
    "rows_expanded": (
        lambda x, i, u: x.scatter_add(0, i[:, None].expand(3, 6), u),
        (X, ROWS[:, 0], UPDATES),
    ),
}
for _reduce in ("sum", "prod", "mean", "amax", "amin"):
    for _include in (True, False):
        SCATTERS[f"reduce_{_reduce}_{_include}"] = (
            lambda x, i, u, r=_reduce, s=_include: x.scatter_reduce(0, i, u, r, include_self=s),
            (X, ROWS, UPDATES),
        )
        SCATTERS[f"reduce_integers_{_reduce}_{_include}"] = (
            lambda x, i, u, r=_reduce, s=_include: x.scatter_reduce(1, i, u, r, include_self=s),
            (WHOLE, integers(5, 9, low=0, high=6), integers(5, 9)),
        )
    SCATTERS[f"index_reduce_{_reduce}"] = (
        lambda x, i, u, r=_reduce: x.index_reduce(
            0, i, u, {"sum": "prod"}.get(r, r), include_self=False
        ),
        (X, ROWS[:, 0], UPDATES),
    )
SCATTERS["reduce_amax_nan"] = (
    lambda x, i, u: x.scatter_reduce(0, i, u, "amax"),
    (X, ROWS, special(3, 6)),
)


@pytest.mark.parametrize("name", SCATTERS)
def test_scatter_equals_torch(equals_torch: Any, name: str) -> None:
    equals_torch(SCATTERS, name)


BLOCK, PICK = normal(4, 5, 6), torch.tensor([2, 0, -1])


def assigned(index: Any, value: float | Tensor | None = None) -> Function:
    def function(x: Tensor, *updates: Tensor) -> Tensor:
        y = x * 1
        y[index] = updates[0] if updates else value  # type: ignore[assignment]
        return y

    return function


PUTS: Table = {
    "put": (assigned(PICK), (BLOCK, normal(3, 5, 6))),
    "put_broadcast": (assigned(PICK), (BLOCK, normal(6))),
    "put_two": (assigned((PICK, torch.tensor([1, 1, 4]))), (BLOCK, normal(3, 6))),
    "put_later_dim": (assigned((slice(None), PICK)), (BLOCK, normal(4, 3, 6))),
    "put_last_dims": (assigned((slice(None), PICK, PICK + 1)), (BLOCK, normal(4, 3))),
    "put_around": (assigned((PICK, slice(None), PICK)), (BLOCK, normal(3, 5))),
    "put_grid": (assigned((PICK[:, None], torch.tensor([0, 4]))), (BLOCK, normal(3, 2, 6))),
    "put_all_dims": (assigned((PICK, PICK, PICK)), (BLOCK, normal(3))),
    "put_number": (assigned(PICK, 7.0), (BLOCK,)),
    "put_mask": (lambda x: assigned(x > 0.5, 2.0)(x), (BLOCK,)),
    "put_row_mask": (lambda x, u: assigned(x[:, :, 0] > 0)(x, u), (BLOCK, normal(6))),
    "put_step": (assigned((slice(None), slice(0, 5, 2))), (BLOCK, normal(4, 3, 6))),
    "accumulate": (
        lambda x, i, u: x.index_put((i,), u, accumulate=True),
        (BLOCK, torch.tensor([1, 1, -1, 1]), normal(4, 5, 6)),
    ),
    "add": (lambda x, i, u: x.index_add(0, i, u), (X, torch.tensor([4, 0, 4]), UPDATES)),
    "add_alpha": (
        lambda x, i, u: x.index_add(-1, i, u, alpha=-2),
        (BLOCK, torch.tensor([5, 5]), normal(4, 5, 2)),
    ),
    "copy": (lambda x, i, u: x.index_copy(1, i, u), (BLOCK, PICK % 5, normal(4, 3, 6))),
    "fill": (lambda x, i: x.index_fill(1, i, 0.5), (BLOCK, PICK % 5)),
    "masked_scatter": (lambda x, u: x.masked_scatter(x > 0, u), (X, normal(40))),
    "masked_scatter_rows": (lambda x, m, u: x.masked_scatter(m, u), (X, X[:, :1] > 0, X * 2)),
    "unpool": (
        lambda x, i: torch.nn.functional.max_unpool2d(x, i, 2),
        (
            normal(1, 2, 2, 3),
            torch.tensor([0, 3, 5, 13, 14, 16]).reshape(1, 1, 2, 3).repeat(1, 2, 1, 1),
        ),
    ),
}


@pytest.mark.parametrize("name", PUTS)
def test_index_put_equals_torch(equals_torch: Any, name: str) -> None:
    equals_torch(PUTS, name)


EDGES = torch.tensor([-1.0, 0.0, 0.0, 0.5, 2.0])
OTHERS: Table = {
    "searchsorted": (torch.searchsorted, (EDGES, special(3, 9))),
    "searchsorted_right": (lambda r, v: torch.searchsorted(r, v, right=True), (EDGES, X)),
    "searchsorted_rows": (
        lambda r, v: torch.searchsorted(r.sort(1).values, v, side="right"),
        (normal(5, 8), X),
    ),
    "searchsorted_sorter": (
        lambda r, v: torch.searchsorted(r, v, sorter=r.argsort()),
        (normal(5, 8), X),
    ),
    "searchsorted_number": (lambda r: torch.searchsorted(r, 0.25, out_int32=True), (EDGES,)),
    "searchsorted_none": (lambda r, v: torch.searchsorted(r[:0], v), (EDGES, X)),
    "bucketize": (lambda v, r: torch.bucketize(v, r, right=True), (X, EDGES)),
    "bucketize_integers": (lambda v, r: torch.bucketize(v, r), (WHOLE, EDGES)),
    "cumsum": (lambda x: (x.cumsum(0), x.cumsum(1), x.cumsum(-1)), (CUBE,)),
    "cumsum_integers": (lambda x: (x.cumsum(0), (x > 0).cumsum(1)), (WHOLE,)),
    "cumsum_int8": (lambda x: x.to(torch.int8).cumsum(0, dtype=torch.int8), (WHOLE * 9,)),
    "cumsum_number": (lambda x: x.cumsum(0), (normal(),)),
    "cumsum_empty": (lambda x: (x.cumsum(0), x.cumsum(1)), (normal(3, 0),)),
    "cumprod": (lambda x: (x.cumprod(0), x.cumprod(2)), (CUBE,)),
    "cummax": (lambda x: (*x.cummax(0), *x.cummax(1)), (TIES,)),
    "cummax_special": (lambda x: (*x.cummax(1), *x.cummin(1)), (special(6, 9),)),
    "cummin_integers": (lambda x: (*x.cummin(1), *x[0, 0].cummin(0)), (TIES,)),
    "cumulative_trapezoid": (lambda x: torch.cumulative_trapezoid(x, dim=0), (X,)),
}


@pytest.mark.parametrize("name", OTHERS)
def test_search_and_scan_equal_torch(equals_torch: Any, name: str) -> None:
    equals_torch(OTHERS, name)


def test_mask_with_a_value_per_element_is_refused(equals_torch: Any) -> None:
    inputs = (X, normal(int((X > 0).sum())))
    table: Table = {"put": (lambda x, u: x.index_put((x > 0,), u), inputs)}
    with pytest.raises(tilecast.TilecastError, match="boolean mask"):
        equals_torch(table, "put")
