"""Accumulate: blocks of a reduction in a temporary, in the original order of additions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from tilecast import f64, kernel
from tilecast.dialects.errors import IllegalScheduleError
from tilecast.dialects.poly import ScopOp
from tilecast.dialects.schedule import Accumulate, Rearrange, Rfactor, SplitDomain

Scop = Callable[..., ScopOp]


@kernel
def product(ni: int, nj: int, nk: int, C: f64[ni, nj], A: f64[ni, nk], B: f64[nk, nj]) -> None:
    for i in range(ni):
        for k in range(nk):
            for j in range(nj):
                C[i, j] += A[i, k] * B[k, j]


@kernel
def triangular(m: int, n: int, A: f64[m, m], B: f64[m, n]) -> None:
    for i in range(m):
        for j in range(n):
            for k in range(i + 1, m):
                B[i, j] += A[k, i] * B[k, j]
            B[i, j] = 2.0 * B[i, j]


@kernel
def lu(n: int, A: f64[n, n]) -> None:
    for i in range(n):
        for j in range(i):
            for k in range(j):
                A[i, j] -= A[i, k] * A[k, j]
            A[i, j] /= A[j, j]
        for j in range(i, n):
            for k in range(i):
                A[i, j] -= A[i, k] * A[k, j]


@kernel
def right_looking_lu(n: int, A: f64[n, n]) -> None:
    for k in range(n):
        for i in range(k + 1, n):
            A[i, k] /= A[k, k]
        for i in range(k + 1, n):
            for j in range(k + 1, n):
                A[i, j] -= A[i, k] * A[k, j]


@kernel
def late_start(m: int, n: int, C: f64[m, n], A: f64[m, m], B: f64[m, n]) -> None:
    for i in range(m):
        for j in range(n):
            for k in range(i):
                C[k, j] += B[i, j] * A[i, k]
            C[i, j] = 2.0 * C[i, j]


@kernel
def watched(n: int, C: f64[n], A: f64[n, n], D: f64[n, n]) -> None:
    for k in range(n):
        for i in range(n):
            C[i] += A[i, k]
            D[k, i] = C[i]


@kernel
def convolution(n: int, y: f64[n], x: f64[n + 8], w: f64[4, 3]) -> None:
    for i in range(n):
        for c in range(4):
            for d in range(3):
                y[i] += w[c, d] * x[i + 2 * c + d]


@kernel
def from_below(n: int, y: f64[n + 5], x: f64[n]) -> None:
    for i in range(-5, n):
        for k in range(n):
            y[i + 5] += x[k]


@kernel
def diagonals(n: int, y: f64[2 * n], x: f64[n]) -> None:
    for i in range(n):
        for j in range(n):
            for k in range(n):
                y[i + j] += x[k]


def names(scop: ScopOp) -> list[str]:
    return [s.sym_name.data for s in scop.statements]


@pytest.mark.parametrize("factor", [1, 3, 7, 30])
def test_blocks_of_a_product(scop: Scop, keeps: Scop, factor: int) -> None:
    after = keeps(scop(product, ni=4, nj=5, nk=7), Accumulate("S0", 1, factor))
    assert names(after) == ["S0_load", "S0", "S0_store"]
    shape = after.statements[1].target.type.get_shape()  # type: ignore[attr-defined]
    assert shape == ((4, 5) if factor >= 7 else (-(-7 // factor), 4, 5))


@pytest.mark.parametrize(
    ("make", "sizes", "steps"),
    [
        (triangular, {"m": 7, "n": 3}, [Accumulate("S0", 2, 3)]),
        (triangular, {"m": 7, "n": 3}, [Accumulate("S0", 2, 100)]),
        (lu, {"n": 8}, [Accumulate("S0", 2, 2), Accumulate("S2", 2, 3)]),
        (right_looking_lu, {"n": 7}, [Accumulate("S1", 0, 3)]),
        (late_start, {"m": 7, "n": 3}, [Accumulate("S0", 0, 3)]),
        (late_start, {"m": 7, "n": 3}, [Accumulate("S0", 0, 100)]),
        (convolution, {"n": 5}, [Accumulate("S0", 1, 2)]),
        (convolution, {"n": 5}, [Accumulate("S0", 2, 3)]),
        (from_below, {"n": 4}, [Accumulate("S0", 1, 3)]),
        (
            product,
            {"ni": 5, "nj": 5, "nk": 5},
            [
                SplitDomain("S0", "i0 < 4 and i2 < 4", "full"),
                Accumulate("full", 1, 2),
                Accumulate("S0", 1, 3),
            ],
        ),
    ],
)
def test_blocks_of_other_programs(scop: Scop, keeps: Scop, make, sizes, steps) -> None:  # type: ignore[no-untyped-def]
    keeps(scop(make, **sizes), *steps)


def test_load_and_store_exist_for_the_blocks_that_have_iterations(scop: Scop) -> None:
    from tilecast.dialects.reference.poly import instances_of
    from tilecast.passes.poly.rewrites import apply_rewrite

    program = scop(lu, n=8)
    apply_rewrite(program, Accumulate("S0", 2, 3))
    load, update, store, *_ = program.statements
    blocks = {(i, j, k // 3) for i, j, k in instances_of(update)}
    for copy in (load, store):
        found = [(i, j, k // 3) for i, j, k in instances_of(copy)]
        assert sorted(found) == sorted(blocks)


def test_a_register_tile_is_a_matter_of_the_loops_that_follow(scop: Scop, keeps: Scop) -> None:
    tile = "unroll {0}r[{0}: i0 mod 2] {{ unroll {0}c[{0}: i2 mod 2] {{ {0} }} }}"
    load, update, store = (tile.format(name) for name in ("S0_load", "S0", "S0_store"))
    every = "S0_load: {0}; S0: {0}; S0_store: {0}"
    tree = (
        f"for b[{every.format('floor(i1/3)')}] {{ for i[{every.format('floor(i0/2)')}] "
        f"{{ for j[{every.format('floor(i2/2)')}] "
        f"{{ {load} for k[S0: i1] {{ {update} }} {store} }} }} }}"
    )
    keeps(scop(product, ni=4, nj=6, nk=7), Accumulate("S0", 1, 3), Rearrange(tree))


@pytest.mark.parametrize(
    ("make", "sizes", "step", "reason"),
    [
        pytest.param(
            watched,
            {"n": 6},
            Accumulate("S0", 0, 3),
            "accessed before its block is complete",
            id="partial_sums_are_read",
        ),
        pytest.param(
            convolution,
            {"n": 5},
            Accumulate("S0", 2, 2),
            "accessed before its block is complete",
            id="blocks_of_an_inner_reduction_dim_alternate",
        ),
        pytest.param(
            product,
            {"ni": 4, "nj": 4, "nk": 4},
            Accumulate("S0", 0, 2),
            "expected a dim that is reduced (i1), found i0",
            id="a_dim_that_is_not_reduced",
        ),
        pytest.param(
            triangular,
            {"m": 4, "n": 4},
            Accumulate("S1", 0, 2),
            "S1 is no reduction",
            id="no_reduction",
        ),
        pytest.param(
            diagonals,
            {"n": 4},
            Accumulate("S0", 2, 2),
            "update one element",
            id="two_iterations_share_an_element",
        ),
    ],
)
def test_refusals(scop: Scop, make, sizes, step, reason: str) -> None:  # type: ignore[no-untyped-def]
    from tilecast.passes.poly.rewrites import apply_rewrite

    program = scop(make, **sizes)
    before = str(program)
    with pytest.raises(IllegalScheduleError) as error:
        apply_rewrite(program, step)
    assert reason in str(error.value)
    assert str(program) == before


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_lanes_of_triangular_sums(scop: Scop, keeps: Scop, factor: int) -> None:
    keeps(scop(triangular, m=7, n=3), Rfactor("S0", 2, factor), exact=False)
    keeps(scop(lu, n=7), Rfactor("S0", 2, factor), Rfactor("S2", 2, factor), exact=False)


def test_lanes_of_a_maximum_start_below_everything(scop: Scop, keeps: Scop) -> None:
    @kernel
    def row_maxima(n: int, m: int, y: f64[n], x: f64[n, m]) -> None:
        for i in range(n):
            for j in range(m):
                y[i] = max(y[i], x[i, j])

    after = keeps(scop(row_maxima, n=3, m=11), Rfactor("S0", 1, 4))
    assert names(after) == ["S0_zero", "S0", "S0_lanes"]
    assert np.isneginf(float(after.statements[0].body.block.first_op.value.value.data))
