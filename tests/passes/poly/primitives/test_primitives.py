"""Every schedule primitive, lowered to loops and executed, against the original order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tilecast.dialects.errors import IllegalScheduleError
from tilecast.dialects.schedule import (
    Distribute,
    Fuse,
    Parallelize,
    Reorder,
    Split,
    Unroll,
    Vectorize,
)
from xdsl.dialects import scf
from xdsl.dialects.func import FuncOp

Check = Callable[..., FuncOp]


def names(func: FuncOp) -> list[str]:
    return [op.name for op in func.walk()]


@pytest.fixture
def pair(scop_text: Any) -> Any:
    """t = 2 x ; y = t + x over 5 x 7."""
    s = scop_text(x="in 5x7xf32", y="out 5x7xf32", t="local 5x7xf32")
    s.statement("5 x 7", "t[i0, i1]", "x[i0, i1]", "double")
    s.statement("5 x 7", "y[i0, i1]", "t[i0, i1]; x[i0, i1]", "add")
    return s.scop()


@pytest.fixture
def product(scop_text: Any) -> Any:
    """c = a b for 5 x 3 by 3 x 7."""
    s = scop_text(a="in 5x3xf32", b="in 3x7xf32", c="out 5x7xf32")
    s.statement("5 x 7", "c[i0, i1]", "", "zero")
    s.statement("5 x 7 x 3", "c[i0, i1]", "c[i0, i1]; a[i0, i2]; b[i2, i1]", "multiply_add", "add")
    return s.scop()


@pytest.fixture
def row_sums(scop_text: Any) -> Any:
    """s[i] = sum_k x[i, k] over 3 x 11."""
    s = scop_text(x="in 3x11xf32", s="out 3xf32")
    s.statement("3", "s[i0]", "", "zero")
    s.statement("3 x 11", "s[i0]", "s[i0]; x[i0, i1]", "add", "add")
    return s.scop()


def test_the_empty_schedule_is_the_original_order(check: Check, pair: Any) -> None:
    func = check(pair)
    assert names(func).count("scf.for") == 4


@pytest.mark.parametrize("factor", [1, 2, 5, 7, 8])
def test_split_by_any_factor(check: Check, product: Any, factor: int) -> None:
    check(product, Split("S1.i1", factor, "o", "i"))


def test_split_may_keep_the_name_of_the_loop(check: Check, product: Any) -> None:
    check(product, Split("S1.i1", 4, "S1.i1", "i"))


def test_split_of_a_split(check: Check, product: Any) -> None:
    check(product, Split("S1.i1", 4, "o", "i"), Split("i", 3, "io", "ii"))


def test_reorder_tiles_a_product(check: Check, product: Any) -> None:
    check(
        product,
        Split("S1.i0", 2, "mo", "mi"),
        Split("S1.i1", 4, "no", "ni"),
        Reorder(("no", "mo", "S1.i2", "mi", "ni")),
    )


def test_reorder_may_skip_a_loop_in_between(check: Check, product: Any) -> None:
    check(product, Reorder(("S1.i2", "S1.i0")))


def test_fuse_makes_one_loop(check: Check, pair: Any) -> None:
    func = check(pair, Fuse(("S0.i0", "S1.i0"), "i"), Fuse(("S0.i1", "S1.i1"), "j"))
    assert names(func).count("scf.for") == 2


def test_fuse_of_loops_with_different_bounds(check: Check, scop_text: Any) -> None:
    s = scop_text(x="in 9xf32", y="out 5xf32", z="out 9xf32")
    s.statement("5", "y[i0]", "x[i0]", "double")
    s.statement("9", "z[i0]", "x[i0]", "double")
    check(s.scop(), Fuse(("S0.i0", "S1.i0"), "i"))


def test_fuse_of_one_loop_renames_it(check: Check, pair: Any) -> None:
    check(pair, Fuse(("S0.i0",), "i"), Unroll("i"))


def test_distribute_undoes_fuse(check: Check, pair: Any) -> None:
    func = check(pair, Fuse(("S0.i0", "S1.i0"), "i"), Distribute("i"))
    assert names(func).count("scf.for") == 4


def test_parallelize_makes_one_parallel_loop(check: Check, product: Any) -> None:
    func = check(product, Fuse(("S0.i0", "S1.i0"), "i"), Parallelize("i"))
    assert names(func).count("scf.parallel") == 1


def test_parallel_loop_over_tiles_with_a_partial_one(check: Check, product: Any) -> None:
    check(
        product,
        Split("S1.i0", 2, "o", "i"),
        Unroll("i"),
        Parallelize("o"),
    )


def test_unroll_leaves_no_loop(check: Check, row_sums: Any) -> None:
    func = check(row_sums, Unroll("S0.i0"), Unroll("S1.i0"), Unroll("S1.i1"))
    assert not any(isinstance(op, scf.ForOp) for op in func.walk())


def test_unroll_of_a_partial_tile(check: Check, product: Any) -> None:
    check(product, Split("S1.i1", 4, "o", "i"), Reorder(("o", "S1.i2", "i")), Unroll("i"))


@pytest.mark.parametrize("lanes", [4, 8, 16])
def test_vectorize_masks_the_tail(check: Check, product: Any, lanes: int) -> None:
    func = check(
        product,
        Split("S1.i1", lanes, "o", "l"),
        Reorder(("o", "S1.i2", "l")),
        Vectorize("l", lanes),
    )
    assert "vector.fma" in names(func)


def test_vectorize_gathers_and_scatters_what_is_not_contiguous(check: Check, product: Any) -> None:
    func = check(
        product,
        Split("S1.i0", 4, "o", "l"),
        Reorder(("o", "S1.i1", "S1.i2", "l")),
        Vectorize("l", 4),
    )
    assert {"vector.gather", "vector.scatter"} <= set(names(func))


def test_vectorize_an_outer_loop(check: Check, product: Any) -> None:
    check(product, Split("S1.i1", 4, "o", "l"), Vectorize("l", 4))


@pytest.mark.parametrize("lanes", [4, 16])
def test_vectorize_reduces_across_lanes(check: Check, row_sums: Any, lanes: int) -> None:
    func = check(row_sums, Split("S1.i1", lanes, "o", "l"), Vectorize("l", lanes))
    assert "vector.reduction" in names(func)


def test_vectorize_a_maximum_across_masked_lanes(check: Check, scop_text: Any) -> None:
    s = scop_text(x="in 3x5xf32", y="out 3xf32")
    s.statement("3", "y[i0]", "", "lowest")
    s.statement("3 x 5", "y[i0]", "y[i0]; x[i0, i1]", "max", "max")
    check(s.scop(), Vectorize("S1.i1", 8))


def test_vectorize_two_fused_statements(check: Check, pair: Any) -> None:
    check(
        pair,
        Fuse(("S0.i0", "S1.i0"), "i"),
        Split("S0.i1", 4, "S0o", "S0l"),
        Split("S1.i1", 4, "S1o", "S1l"),
        Fuse(("S0o", "S1o"), "j"),
        Vectorize("S0l", 4),
        Vectorize("S1l", 4),
    )


def test_statements_over_a_triangle(check: Check, scop_text: Any) -> None:
    s = scop_text(x="in 6x6xf32", y="out 6x6xf32")
    s.statement("6 x 6", "y[i0, i1]", "", "zero")
    s.statement("{ [i0, i1] : 0 <= i1 <= i0 < 6 }", "y[i0, i1]", "x[i1, i0]", "double")
    check(s.scop(), Split("S1.i0", 4, "o", "i"), Reorder(("S1.i1", "o")))


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        ([Split("nope", 2, "a", "b")], "no loop is called 'nope'"),
        ([Split("S0.i0", 2, "S1.i0", "b")], "called 'S1.i0' already"),
        ([Unroll("S0.i0"), Split("S0.i0", 2, "a", "b")], "is unroll already"),
        ([Unroll("S0.i0"), Parallelize("S0.i0")], "is unroll already"),
        ([Reorder(("S0.i0", "S1.i0"))], "not perfectly nested"),
        ([Fuse(("S0.i0", "S1.i1"), "x")], "do not follow one another"),
        ([Fuse(("S1.i0", "S0.i0"), "x")], "do not follow one another"),
        ([Distribute("S0.i0")], "is not a chain"),
        ([Fuse(("S0.i0", "S1.i0"), "S0.i1")], "called 'S0.i1' already"),
    ],
)
def test_steps_that_do_not_apply_are_refused(
    check: Check, pair: Any, steps: list[object], reason: str
) -> None:
    with pytest.raises(IllegalScheduleError, match=reason):
        check(pair, *steps)


def test_vector_loops_do_not_nest(check: Check, pair: Any) -> None:
    with pytest.raises(IllegalScheduleError, match=r"S0\.i1.*inside"):
        check(pair, Vectorize("S0.i0", 8), Vectorize("S0.i1", 8))
