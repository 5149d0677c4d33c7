"""Statements that run in every other iteration, between others that run in each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tilecast.dialects.errors import LoweringError
from tilecast.dialects.schedule import Rearrange, SplitDomain
from tilecast.passes.poly.emission.make_ast import AstMaker, without_strides
from tilecast.passes.poly.sets import isl
from xdsl.dialects.func import FuncOp

Check = Callable[..., FuncOp]
SPLIT = SplitDomain("S4", "i1 >= 2", "S4_inside")
NAMES = ("S2", "S3", "S4_inside", "S4")
LOOPS = [f"for i{d}[{'; '.join(f'{n}: i{d}' for n in NAMES)}]" for d in range(4)]
TOGETHER = f"S0 S1 {' { '.join(LOOPS)} {{ {' '.join(NAMES)} }} }} }} }}"


def alternating(scop_text: Any) -> Any:
    """Even columns are read right after they are written; odd ones make isl move the even ones.

    Whether it does depends on the names, by which isl orders domains.
    """
    s = scop_text(a="in 5x11xf32", x="inout 17x5x11xf32", y="out 17x5x11xf32", z="local 1xf32")
    for _ in range(2):
        s.statement("{ [] }", "z[0]", "", "zero")

    def domain(*conditions: str) -> str:
        box = "3 <= i0 <= 16 and i1 <= i2 <= 10"
        return f"{{ [i0, i1, i2, i3] : i3 = 2 and {' and '.join((box, *conditions))} }}"

    s.statement(domain("2 <= i1 <= 4"), "x[i0, i1, i2]", "a[i1, i2]")
    s.statement(domain("0 <= i1 <= 4", "i2 mod 2 = 0"), "y[i0, i1, i2]", "x[i0, i1, i2]")
    odd = domain("0 <= i1 <= 4", "(1 + i2) mod 2 = 0")
    s.statement(odd, "y[i0, i1, i2]", "x[i0, i1, i2]", "double")
    return s.scop()


def test_alternating_statements_keep_their_iterations(check: Check, scop_text: Any) -> None:
    check(alternating(scop_text), SPLIT, Rearrange(TOGETHER))


def test_isl_moves_them(check: Check, scop_text: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the second AST is for: without it, results are wrong."""
    monkeypatch.setattr(AstMaker, "_is_moved", lambda *_: False)
    with pytest.raises(AssertionError):
        check(alternating(scop_text), SPLIT, Rearrange(TOGETHER))


def test_a_hull_has_the_bounds_of_the_domain() -> None:
    domain = isl.Set("{ S[i, j] : 0 <= i <= 9 and i mod 2 = 0 and 2*floor(i/2) <= j <= 7 }")
    assert without_strides(domain).is_equal(isl.Set("{ S[i, j] : 0 <= i <= 6 and i <= j <= 7 }"))


def test_lost_instances_are_refused(check: Check, scop_text: Any) -> None:
    """isl makes loops for the odd ones among the instances of S1 only: its dims i1 and i2
    together are 2 i2 + i1 of a loop that S0 shares."""
    s = scop_text(a="in 7x3x4xf32", x="inout 7x3x4xf32", y="out 7x3x4xf32")
    inside = "i1 >= 1 and i1 <= 2 and i2 <= 3"
    s.statement(f"{{ [i0, i1, i2] : i0 <= 5 and {inside} and 7 - i0 <= i2 }}",
                "x[i0, i1, i2]", "a[i0, i1, i2]")  # fmt: skip
    low = f"[i0, i1, i2] : i0 >= 0 and {inside} and 0 < i2 <= 6 - i0"
    s.statement(f"{{ {low}; [i0 = 6, i1, i2] : {inside} and 0 < i2 }}",
                "y[i0, i1, i2]", "a[i0, i1, i2]")  # fmt: skip
    first, quotient = "-1*(i0) + 1*(i1) + 2*(i2)", "floor((1*(i0) + -1*(i1) + 1*(i2))/8)"
    bands = (
        (f"{first} + 1", first),
        (f"2*({first}) + -1*(i0)",) * 2,
        (f"-1*(i0) + {quotient}",) * 2,
        (f"-2*({first}) + -1*(i0) + 1*(i1) + -1*(i2) + 8*{quotient}",) * 2,
    )
    loops = [f"for c{k}[S0: {a}; S1: {b}]" for k, (a, b) in enumerate(bands)]
    with pytest.raises(LoweringError, match="isl loses instances"):
        check(s.scop(), Rearrange(f"{' { '.join(loops)} {{ S0 S1 }} }} }} }}"))
