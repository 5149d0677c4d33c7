"""Which integer results rounding errors leave open."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tilecast.compiler.frontend.export import export_model
from tilecast.compiler.frontend.tensor_types import to_numpy
from tilecast.compiler.verify.compare import compare
from tilecast.compiler.verify.near_ties import possible_results, spread_of
from torch import Tensor, nn


class Order(nn.Module):
    """Positions in the order of computed numbers."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.argsort(x * 3.0 + 1.0, stable=True)


def orders(x: Tensor) -> set[tuple[int, ...]]:
    """The orders that are possible for `x`."""
    runs = possible_results(export_model(Order(), (x,)), [x], seed=3)
    return {tuple(run[0].tolist()) for run in runs}


def test_numbers_closer_than_rounding_have_both_orders() -> None:
    x = torch.tensor([0.5, 2.0, 2.0 + 2.0**-22, 9.0])
    assert orders(x) == {(0, 1, 2, 3), (0, 2, 1, 3)}


def test_equal_and_distant_numbers_have_one_order() -> None:
    assert orders(torch.tensor([2.0, 0.5, 2.0, 9.0, 0.5])) == {(1, 4, 0, 2, 3)}


class Equal(nn.Module):
    """Equality of a computed number, and of a given one."""

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return x * 3.0 == y * 3.0, x == y


def test_computed_numbers_may_be_equal_and_given_ones_may_not() -> None:
    x = torch.tensor([0.5, 1.5, 1.5])
    y = torch.tensor([0.5, 1.5 + 2.0**-22, 2.0])
    runs = possible_results(export_model(Equal(), (x, y)), [x, y], seed=3)
    computed, given = ({tuple(run[k].tolist()) for run in runs} for k in (0, 1))
    assert computed >= {(True, True, False), (False, False, False)}
    assert given == {(True, False, False)}


class InPlace(nn.Module):
    """A comparison of what was written through a view."""

    def forward(self, x: Tensor) -> Tensor:
        copy = x.clone()
        copy[1:].clamp_(min=0)
        return copy.mul_(3.0) > -1.0


def test_what_is_written_through_a_view_is_seen() -> None:
    x = torch.tensor([-2.0, -2.0, 2.0])
    runs = possible_results(export_model(InPlace(), (x,)), [x], seed=3)
    assert {tuple(run[0].tolist()) for run in runs} == {(False, True, True)}


class Variance(nn.Module):
    """Of numbers that are all the same, computed from the mean."""

    def forward(self, x: Tensor) -> Tensor:
        return x.var(0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_sums_that_cancel_are_off_by_the_errors_of_their_terms(dtype: torch.dtype) -> None:
    x = torch.full((3,), 1.1, dtype=dtype)
    runs = possible_results(export_model(Variance(), (x,)), [x], seed=3)
    spread = spread_of(np.zeros(()), [to_numpy(run[0]) for run in runs])
    assert 0 < float(spread) < (4 * torch.finfo(dtype).eps) ** 2
    reference, found = np.zeros(1, np.float64), np.full(1, torch.finfo(dtype).eps ** 2 / 8)
    kind = np.float32 if dtype == torch.float32 else np.float64
    native = reference.astype(kind)
    assert not compare("model", "y", found.astype(kind), reference, native, 3).passed
    assert compare("model", "y", found.astype(kind), reference, native, 3, spread).passed


def test_a_run_without_a_number_leaves_the_word_to_the_others() -> None:
    runs = [np.array([np.nan, 2.0]), np.array([1.5, np.inf]), np.array([np.nan, np.nan])]
    assert spread_of(np.array([1.0, 2.0]), runs).tolist() == [0.5, 0.0]
