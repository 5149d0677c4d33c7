"""Expansion: each value has an element of its own, as far as loops keep values inside."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from tilecast import f64, kernel
from tilecast.dialects.errors import IllegalScheduleError
from tilecast.dialects.poly import ArrayOp, ScopOp
from tilecast.dialects.schedule import Expand, Parallelize, parse_step
from tilecast.passes.poly.rewrites import apply_rewrite
from tilecast.passes.poly.rewrites.expand import expand_temporaries

Scop = Callable[..., ScopOp]


@kernel
def scalars(n: int, A: f64[n, n], y: f64[n]) -> None:
    for i in range(n):
        w = 0.0
        for j in range(n):
            w += A[i, j]
        y[i] = w
    for i in range(n):
        w = y[i]
        A[i, i] = w * w


@kernel
def row_buffer(n: int, m: int, A: f64[n, m]) -> None:
    row = np.empty(m)
    for i in range(n):
        for j in range(m):
            row[j] = 2.0 * A[i, j]
        for j in range(m):
            A[i, j] = row[m - 1 - j]


@kernel
def carried(n: int, m: int, A: f64[n, m]) -> None:
    for i in range(n):
        last = 0.0
        for j in range(m):
            A[i, j] = A[i, j] + last
            last = A[i, j]


@kernel
def running(n: int, A: f64[n]) -> None:
    total = 0.0
    for i in range(n):
        total += A[i]
        A[i] = total


def shapes(scop: ScopOp) -> list[tuple[int, ...]]:
    arrays = [op.result for op in scop.body.block.ops if isinstance(op, ArrayOp)]
    return sorted(a.type.get_shape() for a in arrays)  # type: ignore[attr-defined]


def test_each_web_of_a_scalar_gets_its_own_array(scop: Scop, keeps: Scop) -> None:
    after = keeps(scop(scalars, n=5), Expand("w", 3))
    assert shapes(after) == [(5,), (5,)]


def test_expansion_makes_the_outer_loop_parallel(scop: Scop, keeps: Scop) -> None:
    program = scop(row_buffer, n=5, m=4)
    with pytest.raises(IllegalScheduleError, match="cannot be parallel"):
        keeps(program, Parallelize("S0.i0"))
    after = keeps(program, Expand("row", 2), Parallelize("S0.i0"))
    assert shapes(after) == [(5, 4)]


def test_values_that_a_loop_carries_are_not_expanded_for_it(scop: Scop, keeps: Scop) -> None:
    after = keeps(scop(carried, n=4, m=5), Expand("last", 2))
    assert shapes(after) == [(4,)]


def test_depth_limits_the_loops(scop: Scop, keeps: Scop) -> None:
    @kernel
    def deep(n: int, A: f64[n, n]) -> None:
        for i in range(n):
            for j in range(n):
                t = A[i, j] * A[i, j]
                A[i, j] = t + 1.0 / t

    for depth, shape in ((1, (3,)), (2, (3, 3))):
        assert shapes(keeps(scop(deep, n=3), Expand("t", depth))) == [shape]


def test_all_temporaries_at_once(scop: Scop, keeps: Scop) -> None:
    program = scop(scalars, n=5)
    steps = expand_temporaries(program.clone())
    assert [str(s) for s in steps] == ["expand(w, 2)"]
    keeps(program, *steps)


@pytest.mark.parametrize(
    ("make", "sizes", "name", "reason"),
    [
        (running, {"n": 4}, "total", "share no memory that they could have apart"),
        (running, {"n": 4}, "A", "A is an argument of the kernel"),
        (running, {"n": 4}, "B", "temporaries are total"),
    ],
)
def test_refusals(scop: Scop, make, sizes, name: str, reason: str) -> None:  # type: ignore[no-untyped-def]
    program = scop(make, **sizes)
    before = str(program)
    with pytest.raises(IllegalScheduleError, match=reason):
        apply_rewrite(program, Expand(name, 2))
    assert str(program) == before


@kernel
def no_loops(x: f64[1]) -> None:
    total = 1.0
    total = total + total
    x[0] = total


def test_the_step_of_a_program_without_loops_can_be_read(scop: Scop) -> None:
    steps = expand_temporaries(scop(no_loops))
    assert [parse_step(str(step)) for step in steps] == steps != []
