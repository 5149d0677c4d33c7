"""Packing: a copy in panels, made where the values are final."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tilecast import f64, kernel
from tilecast.dialects.errors import IllegalScheduleError
from tilecast.dialects.poly import ScopOp
from tilecast.dialects.reference.poly import instances_of
from tilecast.dialects.schedule import Pack
from tilecast.passes.poly.rewrites import apply_rewrite

Scop = Callable[..., ScopOp]


@kernel
def twice(n: int, D: f64[n, n], T: f64[n, n], A: f64[n, n], B: f64[n, n]) -> None:
    for i in range(n):
        for j in range(n):
            T[i, j] = 0.0
            for k in range(n):
                T[i, j] += A[i, k] * B[k, j]
    for i in range(n):
        for j in range(n):
            for k in range(n):
                D[i, j] += T[i, k] * B[k, j]


@kernel
def triangular(m: int, n: int, A: f64[m, m], B: f64[m, n]) -> None:
    for i in range(m):
        for j in range(n):
            for k in range(i + 1, m):
                B[i, j] += A[k, i] * B[k, j]


@kernel
def lower_with_upper(n: int, A: f64[n, n], x: f64[n]) -> None:
    for i in range(n):
        for j in range(i + 1, n):
            x[i] += A[i, j]
        for j in range(i + 1):
            A[i, j] = x[i]


@pytest.mark.parametrize("width", [1, 4, 16])
@pytest.mark.parametrize("position", [0, 1])
def test_panels(scop: Scop, keeps: Scop, width: int, position: int) -> None:
    after = keeps(scop(twice, n=5), Pack("S1", 2, position, width))
    assert after.statements[0].sym_name.data == "S1_pack2"
    panel = after.statements[0].target
    assert panel.type.get_shape() == (-(-5 // width), 5, width)  # type: ignore[attr-defined]
    assert after.statements[-1].sources[2] is not panel, "another reader keeps the array"


def test_an_array_that_an_earlier_nest_wrote(scop: Scop, keeps: Scop) -> None:
    after = keeps(scop(twice, n=5), Pack("S2", 1, 1, 2), Pack("S2", 2, 1, 4))
    names = [s.sym_name.data for s in after.statements]
    assert names == ["S2_pack2", "S0", "S1", "S2_pack1", "S2"], "nothing writes operand 2"


def test_only_what_is_read_is_copied(scop: Scop, keeps: Scop) -> None:
    after = keeps(scop(triangular, m=6, n=3), Pack("S0", 1, 1, 4))
    assert set(instances_of(after.statements[0])) == {(k, i) for k in range(6) for i in range(k)}


def test_other_elements_may_be_written_in_the_same_loop(scop: Scop, keeps: Scop) -> None:
    keeps(scop(lower_with_upper, n=6), Pack("S0", 1, 0, 2))


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (Pack("S0", 2, 1, 4), "S0 writes the operand in the same outermost loop"),
        (Pack("S0", 0, 1, 4), r"expected an operand from 1 to 2 \(0 is the accumulator\)"),
        (Pack("S0", 3, 1, 4), "expected an operand from 1 to 2"),
        (Pack("S0", 1, 2, 4), "the operand has 2 dims"),
    ],
)
def test_refusals(scop: Scop, step: Pack, reason: str) -> None:
    program = scop(triangular, m=6, n=3)
    before = str(program)
    with pytest.raises(IllegalScheduleError, match=reason):
        apply_rewrite(program, step)
    assert str(program) == before
