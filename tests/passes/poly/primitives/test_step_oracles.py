"""Steps that change when instances run, executed: the bits of the original order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tilecast.dialects.errors import IllegalScheduleError
from tilecast.dialects.poly import ScopOp
from tilecast.dialects.schedule import parse_step
from xdsl.dialects.func import FuncOp

Check = Callable[..., FuncOp]


def pair(scop_text: Any) -> ScopOp:
    """t = 2 x ; y[i] = t[i] + t[i + 1]."""
    s = scop_text(x="in 11xf32", y="out 10xf32", t="local 11xf32")
    s.statement("11", "t[i0]", "x[i0]", "double")
    s.statement("10", "y[i0]", "t[i0]; t[i0 + 1]", "add")
    return s.scop()


def sweeps(scop_text: Any) -> ScopOp:
    """y[t, i] = y[t - 1, i - 1] + y[t - 1, i + 1]: a stencil in time."""
    s = scop_text(x="in 13xf32", y="out 6x13xf32")
    s.statement("13", "y[0, i0]", "x[i0]", "copy")
    s.statement("{ [i0] : 1 <= i0 < 6 }", "y[i0, 0]", "x[0]", "copy")
    s.statement("{ [i0] : 1 <= i0 < 6 }", "y[i0, 12]", "x[12]", "copy")
    s.statement(
        "{ [i0, i1] : 1 <= i0 < 6 and 1 <= i1 < 12 }",
        "y[i0, i1]",
        "y[i0 - 1, i1 - 1]; y[i0 - 1, i1 + 1]",
        "add",
    )
    return s.scop()


def wavefront(scop_text: Any) -> ScopOp:
    """y[i, j] = y[i - 1, j] + y[i, j - 1]."""
    s = scop_text(x="in 7x9xf32", y="out 7x9xf32")
    s.statement("7 x 9", "y[i0, i1]", "x[i0, i1]", "copy")
    s.statement(
        "{ [i0, i1] : 1 <= i0 < 7 and 1 <= i1 < 9 }",
        "y[i0, i1]",
        "y[i0 - 1, i1]; y[i0, i1 - 1]",
        "add",
    )
    return s.scop()


def triangle(scop_text: Any) -> ScopOp:
    """y = 0 ; y[i, j] = x[j, i] where j <= i."""
    s = scop_text(x="in 7x7xf32", y="out 7x7xf32")
    s.statement("7 x 7", "y[i0, i1]", "", "zero")
    s.statement("{ [i0, i1] : 0 <= i1 <= i0 < 7 }", "y[i0, i1]", "x[i1, i0]", "double")
    return s.scop()


def product(scop_text: Any) -> ScopOp:
    """c = a b for 5 x 3 by 3 x 9."""
    s = scop_text(a="in 5x3xf32", b="in 3x9xf32", c="out 5x9xf32")
    s.statement("5 x 9", "c[i0, i1]", "", "zero")
    s.statement("5 x 9 x 3", "c[i0, i1]", "c[i0, i1]; a[i0, i2]; b[i2, i1]", "multiply_add", "add")
    return s.scop()


@pytest.mark.parametrize(
    ("make", "steps"),
    [
        (product, ["tile(S1.i0+S1.i1+S1.i2, 2+4+2)"]),
        (product, ["tile(S1.i2+S1.i0, 2+3)"]),
        (product, ["tile(S1.i0+S1.i1, 4+8)", "tile(S1.i0_i+S1.i1_i, 2+3)"]),
        (triangle, ["tile(S1.i0+S1.i1, 3+2)", "parallelize(S1.i0_o)"]),
        (sweeps, ["skew(S3.i1, S3.i0, 1)", "tile(S3.i0+S3.i1, 2+4)"]),
        (sweeps, ["skew(S3.i1, S3.i0, 1)", "reorder(S3.i1+S3.i0)"]),
        (sweeps, ["skew(S3.i1, S3.i0, -1)"]),
        (sweeps, ["skew(S3.i1, S3.i0, 1)", "tile(S3.i0+S3.i1, 2+4)",
                  "skew(S3.i0_o, S3.i1_o, 1)", "parallelize(S3.i1_o)"]),
        (wavefront, ["skew(S1.i0, S1.i1, 1)", "parallelize(S1.i1)"]),
        (wavefront, ["tile(S1.i0+S1.i1, 3+4)"]),
        (pair, ["fuse(S0.i0+S1.i0, i)", "shift(i, S1, 1)"]),
        (pair, ["fuse(S0.i0+S1.i0, i)", "shift(i, S0, -1)", "split(i, 4, o, l)"]),
        (pair, ["fuse(S0.i0+S1.i0, i)", "shift(i, S1, 3)"]),
        (pair, ["reverse(S0.i0)", "reverse(S1.i0)", "fuse(S0.i0+S1.i0, i)"]),
        (product, ["reverse(S1.i0)", "split(S1.i0, 2, o, l)"]),
        (triangle, ["reverse(S1.i1)", "skew(S1.i1, S1.i0, 2)", "parallelize(S1.i0)"]),
        (product, ["unroll_and_jam(S1.i0, 2)"]),
        (product, ["unroll_and_jam(S1.i0, 3)", "unroll_and_jam(S1.i1, 2)"]),
        (product, ["reorder(S1.i0+S1.i2+S1.i1)", "vectorize(S1.i1, 4)",
                   "unroll_and_jam(S1.i0, 2)"]),
        (triangle, ["unroll_and_jam(S1.i0, 2)"]),
        (sweeps, ["fuse(S1.i0+S2.i0+S3.i0, t)", "skew(S3.i1, t, 1)", "unroll_and_jam(S3.i1, 2)"]),
        (product, ["rearrange(for i[S0: i0; S1: i0] { for j[S0: i1; S1: 2*i1 + 1] { S0 "
                   "for k[S1: i2] { S1 } } })"]),
        (triangle, ["rearrange(parallel d[S0: i0 - i1; S1: i0 - i1] { for j[S0: i1] { S0 } "
                    "for l[S1: -i1 - 20] { S1 } })"]),
        (sweeps, ["rearrange(for a[S0: i0] { S0 } for b[S1: i0] { S1 } for c[S2: i0] { S2 } "
                  "for w[S3: 2*i0 + i1] { vector(4) t[S3: i0] { S3 } })"]),
        (pair, ["rearrange(for p[S0: floor(i0/3)] { for q[S0: i0 mod 3] { S0 } } "
                "for r[S1: i0] { S1 })"]),
    ],
)  # fmt: skip
def test_a_schedule_keeps_the_bits(
    check: Check, scop_text: Any, make: Any, steps: list[str]
) -> None:
    check(make(scop_text), *map(parse_step, steps))


@pytest.mark.parametrize(
    ("make", "steps", "reason"),
    [
        (wavefront, ["tile(S1.i0+S1.i1, 3+4)", "parallelize(S1.i0_o)"],
         r"loop 'S1\.i0_o' carries a dependence"),
        (sweeps, ["tile(S3.i0+S3.i1, 2+4)"], r"loop 'S3\.i1_o' reverses a dependence"),
        (sweeps, ["skew(S3.i0, S3.i1, 1)"], r"loop 'S3\.i1' reverses a dependence"),
        (sweeps, ["skew(S3.i0, S3.i1, 2)"], r"loop 'S3\.i0' reverses a dependence"),
        (pair, ["fuse(S0.i0+S1.i0, i)", "shift(i, S1, -2)"], "loop 'i' reverses a dependence"),
        (pair, ["fuse(S0.i0+S1.i0, i)"], r"S1\[\d+\] must run after S0\[\d+\]"),
        (wavefront, ["reverse(S1.i1)"], r"S1\[\d, \d\] must run after S1\[\d, \d\].* at -\d"),
        (sweeps, ["unroll_and_jam(S3.i0, 2)"], r"loop 'S3\.i1' reverses a dependence"),
        (product, ["bind(S1.i2, thread.x)"], r"bound to thread.x, which a CPU does not have"),
        (product, ["rearrange(for i[S0: i0; S1: i0] { for j[S0: i1; S1: i1] { S0 S1 } })"],
         r"S1\[\d, \d, \d\] and S1\[\d, \d, \d\] have the same place .*'i', 'j'"),
        (pair, ["rearrange(for i[S0: floor(i0/2)] { S0 } for j[S1: i0] { S1 })"],
         r"S0\[\d+\] and S0\[\d+\] have the same place"),
        (pair, ["rearrange(for i[S0: i1] { S0 } for j[S1: i0] { S1 })"],
         "loop value 'i1' of S0: expected a quasi-affine expression of i0"),
        (pair, ["rearrange(for i[S0: i0*i0] { S0 } for j[S1: i0] { S1 })"],
         "expected a quasi-affine expression"),
        (pair, ["rearrange(for i[S0: i0/2] { S0 } for j[S1: i0] { S1 })"],
         "not an integer in every instance; write quotients as floor"),
        (triangle, ["rearrange(for i[S1: i0] { for j[S1: i1] { S1 } } "
                    "for k[S0: i0] { for l[S0: i1] { S0 } })"],
         r"a sequence reverses a dependence: S1\[\d, \d\] must run after S0\[\d, \d\], but S1 "
         "comes before S0"),
    ],
)  # fmt: skip
def test_a_schedule_that_breaks_something_is_refused(
    check: Check, scop_text: Any, make: Any, steps: list[str], reason: str
) -> None:
    with pytest.raises(IllegalScheduleError, match=reason):
        check(make(scop_text), *map(parse_step, steps))
