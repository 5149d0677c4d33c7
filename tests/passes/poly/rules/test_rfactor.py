"""rfactor: lanes and a final combination add up to the same sum."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tilecast
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tilecast.dialects.poly import ScopOp
from tilecast.passes.poly.rules.rfactor import rfactor

Run = Callable[..., list[np.ndarray]]


def row_sums(scop_text: Any, rows: int, columns: int, init: str = "zero") -> ScopOp:
    s = scop_text(x=f"in {rows}x{columns}xf32", s=f"out {rows}xf32")
    s.statement(f"{rows}", "s[i0]", "", init)
    s.statement(f"{rows} x {columns}", "s[i0]", "s[i0]; x[i0, i1]", "add", "add")
    return s.scop()


def factored(scop: ScopOp, run: Run, statement: int, dim: int, lanes: int) -> bool:
    before = run(scop)
    done = rfactor(scop, scop.statements[statement], dim, lanes)
    scop.verify()
    for got, want in zip(run(scop), before, strict=True):
        np.testing.assert_array_equal(got, want)
    return done


@settings(max_examples=20)
@given(st.integers(1, 3), st.integers(1, 20), st.sampled_from([2, 4]))
def test_sums_of_any_length(
    scop_text: Any, run_plain: Run, rows: int, columns: int, lanes: int
) -> None:
    assert factored(row_sums(scop_text, rows, columns), run_plain, 1, 1, lanes)


def test_a_maximum_stays_a_maximum(scop_text: Any, run_plain: Run) -> None:
    s = scop_text(x="in 3x11xf32", y="out 3xf32")
    s.statement("3", "y[i0]", "", "lowest")
    s.statement("3 x 11", "y[i0]", "y[i0]; x[i0, i1]", "max", "max")
    scop = s.scop()
    assert factored(scop, run_plain, 1, 1, 4)
    assert [s.reduction and s.reduction.data for s in scop.statements] == [
        None, "max", None, "max",
    ]  # fmt: skip


def test_products_are_summed_in_lanes(scop_text: Any, run_plain: Run) -> None:
    s = scop_text(a="in 3x9xf32", b="in 9xf32", y="out 3xf32")
    s.statement("3", "y[i0]", "", "zero")
    s.statement("3 x 9", "y[i0]", "y[i0]; a[i0, i1]; b[i1]", "multiply_add", "add")
    assert factored(s.scop(), run_plain, 1, 1, 4)


def test_one_of_two_reduced_dims(scop_text: Any, run_plain: Run) -> None:
    s = scop_text(x="in 3x4x9xf32", y="out 3xf32")
    s.statement("3", "y[i0]", "", "zero")
    s.statement("3 x 4 x 9", "y[i0]", "y[i0]; x[i0, i1, i2]", "add", "add")
    assert factored(s.scop(), run_plain, 1, 2, 4)


def test_the_order_does_not_depend_on_the_rows(scop_text: Any, run_plain: Run) -> None:
    """A row gives the same bits whatever stands beside it."""
    x = np.random.default_rng(0).normal(size=(3, 37)).astype(np.float32)
    many, one = row_sums(scop_text, 3, 37), row_sums(scop_text, 1, 37)
    for scop in (many, one):
        assert rfactor(scop, scop.statements[1], 1, 4)
    together = run_plain(many, [x])[0]
    alone = [run_plain(one, [x[k : k + 1].copy()])[0][0] for k in range(3)]
    np.testing.assert_array_equal(together, np.array(alone))


def test_a_sum_that_starts_elsewhere_counts_its_start_once(scop_text: Any, run_plain: Run) -> None:
    factored(row_sums(scop_text, 3, 11, init="two"), run_plain, 1, 1, 4)


@pytest.mark.parametrize("dim", [0])
def test_a_parallel_dim_is_not_factored(scop_text: Any, run_plain: Run, dim: int) -> None:
    assert not factored(row_sums(scop_text, 3, 11), run_plain, 1, dim, 4)


def test_a_reduction_without_initializer_is_not_factored(scop_text: Any, run_plain: Run) -> None:
    s = scop_text(x="in 3x5xf32", z="in 3xf32", y="out 3xf32")
    s.statement("3", "y[i0]", "z[i0]", "copy")
    s.statement("3 x 5", "y[i0]", "y[i0]; x[i0, i1]", "add", "add")
    assert not factored(s.scop(), run_plain, 1, 1, 4)


@pytest.mark.parametrize("rows", [1, 2, 6, 7])
def test_few_rows_times_rows_of_an_operand_are_computed_in_vectors(rows: int) -> None:
    """Up to six rows of products are sums in lanes along what both have; more are worth a copy."""

    class Product(torch.nn.Module):
        def forward(self, x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
            return x @ w.t()

    x, w = torch.randn(rows, 70), torch.randn(37, 70)
    compiled = tilecast.compile(Product(), (x, w), target="x86-64-v3")
    torch.testing.assert_close(compiled(x, w), x @ w.t())
    [source] = [text for name, text in compiled.sources.items() if "matmul" in name]
    assert "fmadd" in source
    assert "fmaf" not in source
    assert ("tc_reduce_add" in source) == (rows <= 6)
