"""SplitReduction: blocks of a reduction by themselves, in loop nests of their own."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tilecast import f64, kernel
from tilecast.dialects.errors import IllegalScheduleError
from tilecast.dialects.poly import ScopOp
from tilecast.dialects.schedule import SplitReduction
from tilecast.passes.poly.rewrites import apply_rewrite

Scop = Callable[..., ScopOp]


@kernel
def product(ni: int, nj: int, nk: int, C: f64[ni, nj], A: f64[ni, nk], B: f64[nk, nj]) -> None:
    for i in range(ni):
        for j in range(nj):
            for k in range(nk):
                C[i, j] += A[i, k] * B[k, j]


@kernel
def row_maxima(n: int, m: int, y: f64[n], x: f64[n, m]) -> None:
    for i in range(n):
        for j in range(m):
            y[i] = max(y[i], x[i, j])


@kernel
def triangular(m: int, n: int, A: f64[m, m], B: f64[m, n]) -> None:
    for i in range(m):
        for j in range(n):
            for k in range(i + 1, m):
                B[i, j] += A[k, i] * B[k, j]


@kernel
def shared_loop(n: int, m: int, y: f64[n], x: f64[n, m]) -> None:
    for i in range(n):
        y[i] = 0.0
        for j in range(m):
            y[i] += x[i, j]


@pytest.mark.parametrize("factor", [1, 4, 5, 10])
def test_blocks_of_a_product(scop: Scop, keeps: Scop, factor: int) -> None:
    after = keeps(scop(product, ni=2, nj=3, nk=11), SplitReduction("S0", 2, factor), exact=False)
    assert [s.sym_name.data for s in after.statements] == ["S0_zero", "S0", "S0_sum"]
    assert after.is_sequence_of_nests
    parts = after.statements[1].target
    assert parts.type.get_shape() == (-(-11 // factor), 2, 3)  # type: ignore[attr-defined]


def test_blocks_of_a_maximum(scop: Scop, keeps: Scop) -> None:
    keeps(scop(row_maxima, n=3, m=11), SplitReduction("S0", 1, 4))


def test_blocks_split_again(scop: Scop, keeps: Scop) -> None:
    steps = SplitReduction("S0", 2, 4), SplitReduction("S0_sum", 0, 2)
    keeps(scop(product, ni=2, nj=3, nk=11), *steps, exact=False)


@pytest.mark.parametrize(
    ("program", "sizes", "step", "reason"),
    [
        (product, {"ni": 2, "nj": 3, "nk": 4}, SplitReduction("S0", 2, 4), "use a smaller factor"),
        (product, {"ni": 2, "nj": 3, "nk": 4}, SplitReduction("S0", 0, 2), "a dim that is reduced"),
        (triangular, {"m": 6, "n": 3}, SplitReduction("S0", 2, 2), "no box"),
        (shared_loop, {"n": 3, "m": 6}, SplitReduction("S1", 1, 2), "statements share loops"),
    ],
)
def test_refusals(
    scop: Scop, program: Scop, sizes: dict[str, int], step: SplitReduction, reason: str
) -> None:
    refused = scop(program, **sizes)
    before = str(refused)
    with pytest.raises(IllegalScheduleError, match=reason):
        apply_rewrite(refused, step)
    assert str(refused) == before
