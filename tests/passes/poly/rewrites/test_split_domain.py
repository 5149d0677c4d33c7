"""Splitting a domain: two statements, the same instances in the same order."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tilecast import f64, kernel
from tilecast.dialects.errors import IllegalScheduleError
from tilecast.dialects.poly import ScopOp
from tilecast.dialects.reference.poly import original_order
from tilecast.dialects.schedule import SplitDomain
from tilecast.passes.poly.rewrites import apply_rewrite

Scop = Callable[..., ScopOp]


@kernel
def recurrence(n: int, A: f64[n, n]) -> None:
    for i in range(1, n):
        for j in range(i):
            A[i, j] = A[i - 1, j] + A[j, j]
        A[i, i] = 2.0 * A[i, i]


@kernel
def two_nests(n: int, x: f64[n], y: f64[n]) -> None:
    for i in range(n):
        x[i] = 2.0 * x[i]
    for i in range(n):
        y[i] = x[i] + x[n - 1 - i]


CONDITIONS = ["i1 < 3", "i0 mod 2 = 0", "i1 + 1 < i0 and i0 < 5", "i1 = 0 or i1 = i0 - 1"]


@pytest.mark.parametrize("condition", CONDITIONS)
def test_instances_keep_their_order(scop: Scop, keeps: Scop, condition: str) -> None:
    before = scop(recurrence, n=7)
    order = list(original_order(before))
    after = keeps(before, SplitDomain("S0", condition, "inside"))
    renamed = [("S0" if s == "inside" else s, i) for s, i in original_order(after)]
    assert renamed == order
    assert {s for s, _ in original_order(after)} == {"S0", "inside", "S1"}


def test_statements_without_positions_get_them(scop: Scop, keeps: Scop) -> None:
    after = keeps(scop(two_nests, n=6), SplitDomain("S1", "i0 <= 2", "inside"))
    assert after.positions == [(0, 0), (1, 0), (1, 1)]


def test_parts_can_be_split_again(scop: Scop, keeps: Scop) -> None:
    steps = [SplitDomain("S0", "i1 < 4", "a"), SplitDomain("a", "i0 mod 3 = 1", "b")]
    keeps(scop(recurrence, n=8), *steps, SplitDomain("S0", "i0 > 6", "c"))


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (SplitDomain("S0", "i1 < 100", "inside"), "holds for every instance"),
        (SplitDomain("S0", "i1 < 0", "inside"), "holds for no instance"),
        (SplitDomain("S0", "i2 < 0", "inside"), "expected a condition over i0, i1"),
        (SplitDomain("S0", "i1 < 3", "S1"), "a statement is called 'S1' already"),
        (SplitDomain("S9", "i1 < 3", "inside"), "no statement is called 'S9'"),
    ],
)
def test_refusals(scop: Scop, step: SplitDomain, reason: str) -> None:
    program = scop(recurrence, n=7)
    before = str(program)
    with pytest.raises(IllegalScheduleError, match=reason):
        apply_rewrite(program, step)
    assert str(program) == before
