"""Overlapped tiles compute what their block reads; padding adds what nobody reads."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from tilecast import f64, kernel
from tilecast.dialects.errors import IllegalScheduleError
from tilecast.dialects.poly import ArrayOp, ScopOp
from tilecast.dialects.reference.poly import instances_of
from tilecast.dialects.schedule import Pad, Parallelize, Rearrange, Recompute
from tilecast.passes.poly.rewrites import apply_rewrite

Scop = Callable[..., ScopOp]


@kernel
def blur(n: int, x: f64["n + 4"], y: f64[n]) -> None:
    t = np.empty(n + 2)
    for i in range(n + 2):
        t[i] = x[i] + x[i + 1] + x[i + 2]
    for i in range(n):
        y[i] = t[i] + t[i + 1] + t[i + 2]


@kernel
def blur_2d(n: int, m: int, x: f64["n + 2", "m"], y: f64["n", "m - 2"]) -> None:
    t = np.empty((n, m))
    for i in range(n):
        for j in range(m):
            t[i, j] = x[i, j] + x[i + 1, j] + x[i + 2, j]
    for i in range(n):
        for j in range(m - 2):
            y[i, j] = t[i, j] * t[i, j + 1] + t[i, j + 2]


@kernel
def in_time(steps: int, n: int, x: f64[n]) -> None:
    t = np.empty(n)
    for s in range(steps):
        for i in range(1, n - 1):
            t[i] = x[i - 1] + x[i + 1]
        for i in range(2, n - 2):
            x[i] = 0.25 * (t[i - 1] + t[i + 1])


@kernel
def from_before(steps: int, n: int, x: f64[n]) -> None:
    t = np.zeros(n)
    for s in range(steps):
        for i in range(n):
            x[i] = t[i] + x[i]
        for i in range(n):
            t[i] = x[n - 1 - i]


@kernel
def numbers(n: int, y: f64[n]) -> None:
    t = np.empty(n)
    for i in range(n):
        t[i] = f64(i)
    for i in range(n - 1):
        y[i] = t[i] - t[i + 1]


@kernel
def filled(n: int, A: f64[13, 5], y: f64[5]) -> None:
    t = np.zeros((13, 5))
    s = np.zeros(5)
    for j in range(5):
        for i in range(13):
            t[i, j] += 2.0
            s[j] = s[j] + A[i, j] * t[i, j]
    for j in range(5):
        y[j] = s[j]


def shape_of(scop: ScopOp) -> tuple[int, ...]:
    (array,) = (op.result for op in scop.body.block.ops if isinstance(op, ArrayOp))
    return array.type.get_shape()  # type: ignore[no-any-return, attr-defined]


@pytest.mark.parametrize("factor", [1, 3, 4, 20])
def test_blocks_recompute_their_borders(scop: Scop, keeps: Scop, factor: int) -> None:
    after = keeps(scop(blur, n=8), Recompute("S0", "S1", (factor,)))
    made = list(instances_of(after.statements[0]))
    wanted = [
        (b, i)
        for b in range(-(-8 // factor))
        for i in range(b * factor, min(b * factor + factor, 8) + 2)
    ]
    assert made == wanted


def test_blocks_in_two_dims(scop: Scop, keeps: Scop) -> None:
    after = keeps(scop(blur_2d, n=5, m=8), Recompute("S0", "S1", (2, 3)))
    assert shape_of(after) == (3, 2, 5, 8)
    keeps(scop(blur_2d, n=5, m=8), Recompute("S0", "S1", (2,)))


def test_tiles_with_their_own_producer_run_in_parallel(scop: Scop, keeps: Scop) -> None:
    tree = "for b[S0: i0; S1: floor(i0/3)] { for i[S0: i1] { S0 } for j[S1: i0 mod 3] { S1 } }"
    keeps(scop(blur, n=8), Recompute("S0", "S1", (3,)), Rearrange(tree), Parallelize("b"))


def test_inside_a_time_loop(scop: Scop, keeps: Scop) -> None:
    after = keeps(scop(in_time, steps=3, n=9), Recompute("S0", "S1", (2,)))
    assert after.statements[0].rank == 3


def test_iteration_numbers_move_with_their_dims(scop: Scop, keeps: Scop) -> None:
    keeps(scop(numbers, n=7), Recompute("S0", "S1", (2,)))


@pytest.mark.parametrize(
    ("make", "sizes", "step", "reason"),
    [
        (blur, {"n": 6}, Recompute("S1", "S0", (2,)), "S1 writes no temporary"),
        (blur, {"n": 6}, Recompute("S0", "S1", (2, 2)), "S1 has 1 dims inside"),
        (
            from_before,
            {"steps": 3, "n": 5},
            Recompute("S2", "S1", (2,)),
            "expected an array that S2 alone writes and S1 alone reads",
        ),
    ],
)
def test_refusals(scop: Scop, make, sizes, step, reason: str) -> None:  # type: ignore[no-untyped-def]
    program = scop(make, **sizes)
    before = str(program)
    with pytest.raises(IllegalScheduleError, match=reason):
        apply_rewrite(program, step)
    assert str(program) == before


def test_older_values_are_not_recomputed(scop_text) -> None:  # type: ignore[no-untyped-def]
    """The consumer stands before the producer: what it reads is not there yet."""
    s = scop_text(x="in 8xf32", y="out 8xf32", t="local 8xf32")
    s.statement("8", "y[i0]", "t[i0]", "copy")
    s.statement("8", "t[i0]", "x[i0]", "copy")
    with pytest.raises(IllegalScheduleError, match="S0 does not come after S1"):
        apply_rewrite(s.scop(), Recompute("S1", "S0", (2,)))


def test_padded_elements_are_filled(scop: Scop, keeps: Scop) -> None:
    program = scop(filled, n=1)
    names = [op.result.name_hint for op in program.body.block.ops if isinstance(op, ArrayOp)]
    assert names == ["t", "s"]
    after = keeps(program, Pad("t", 1, 4), Pad("t", 0, 8))
    assert after.statements[0].target.type.get_shape() == (16, 8)  # type: ignore[attr-defined]
    assert len(list(instances_of(after.statements[0]))) == 16 * 8


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (Pad("s", 0, 4), "would read A beyond its end"),
        (Pad("t", 1, 5), "an extent of 5 is a multiple already"),
        (Pad("t", 2, 4), "t has 2 dims"),
        (Pad("A", 0, 4), "A is an argument of the kernel"),
    ],
)
def test_padding_that_is_refused(scop: Scop, step: Pad, reason: str) -> None:
    program = scop(filled, n=1)
    before = str(program)
    with pytest.raises(IllegalScheduleError, match=reason):
        apply_rewrite(program, step)
    assert str(program) == before
