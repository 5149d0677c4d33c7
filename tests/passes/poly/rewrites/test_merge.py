"""merge: what two loops do to disjoint ranges is one statement, where the order allows it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tilecast import f64, kernel
from tilecast.dialects.errors import IllegalScheduleError
from tilecast.dialects.poly import ScopOp
from tilecast.dialects.schedule import Merge, SplitDomain
from tilecast.passes.poly.rewrites import apply_rewrite

Scop = Callable[..., ScopOp]


@kernel
def two_ranges(n: int, A: f64[n, n], x: f64[n]) -> None:
    for i in range(n):
        for j in range(i):
            A[i, j] = A[i, j] + x[j]
        for j in range(i, n):
            A[i, j] = A[i, j] + x[j]


@kernel
def in_between(n: int, s: f64[n], x: f64[n], y: f64[n]) -> None:
    for i in range(n):
        for j in range(i):
            s[j] = s[j] + x[i]
        y[i] = s[n - 1]
        for j in range(i, n):
            s[j] = s[j] + x[i]


@kernel
def twice(n: int, s: f64[n], x: f64[n]) -> None:
    for i in range(n):
        s[i] = s[i] + x[i]
    for i in range(n):
        s[i] = s[i] + x[i]


def test_two_ranges_of_one_loop(scop: Scop, keeps: Scop) -> None:
    merged = keeps(scop(two_ranges, n=5), Merge("S0", "S1"))
    assert len(merged.statements) == 1


def test_merge_undoes_split_domain(scop: Scop, keeps: Scop) -> None:
    program = scop(two_ranges, n=5)
    keeps(program, SplitDomain("S0", "i1 >= 2", "right"), Merge("S0", "right"))


@pytest.mark.parametrize(
    ("program", "names", "reason"),
    [
        (in_between, ("S0", "S2"), "cannot join these loops"),
        (in_between, ("S0", "S1"), "equal accesses and bodies"),
        (twice, ("S0", "S1"), "would run once instead of twice"),
    ],
)
def test_refusals(scop: Scop, program, names: tuple[str, str], reason: str) -> None:  # type: ignore[no-untyped-def]
    before = scop(program, n=5)
    text = str(before)
    with pytest.raises(IllegalScheduleError, match=reason):
        apply_rewrite(before, Merge(*names))
    assert str(before) == text
