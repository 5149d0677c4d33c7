"""Vector loops with any bounds, and unrolled loops whose trip count varies, against the oracle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tilecast.dialects.errors import IllegalScheduleError
from tilecast.dialects.schedule import Fuse, Rearrange, Reorder, Split, Unroll, Vectorize
from xdsl.dialects import scf, vector
from xdsl.dialects.func import FuncOp

Check = Callable[..., FuncOp]
TRIANGLE = "{ [i0, i1] : 0 <= i0 < 19 and i0 <= i1 < 19 }"


def names(func: FuncOp) -> list[str]:
    return [op.name for op in func.walk()]


def inside_loops(func: FuncOp, name: str) -> int:
    """How many ops called `name` stand in a loop."""

    def in_loop(op: Any) -> bool:
        while op is not None and not isinstance(op, scf.ForOp):
            op = op.parent_op()
        return op is not None

    return sum(op.name == name and in_loop(op.parent_op()) for op in func.walk())


def in_strips(func: FuncOp, kind: type) -> int:
    """How many ops of `kind` stand in loops that carry values."""
    loops = [op for op in func.walk() if isinstance(op, scf.ForOp) and op.iter_args]
    return sum(isinstance(op, kind) for loop in loops for op in loop.walk())


@pytest.fixture
def doubled(scop_text: Any) -> Any:
    """doubled(domain, rows, columns): y = 2 x over `domain`; the rest of y is zero."""

    def make(domain: str, rows: int, columns: int) -> Any:
        s = scop_text(x=f"in {rows}x{columns}xf32", y=f"out {rows}x{columns}xf32")
        s.statement(f"{rows} x {columns}", "y[i0, i1]", "", "zero")
        s.statement(domain, "y[i0, i1]", "x[i0, i1]", "double")
        return s.scop()

    return make


@pytest.mark.parametrize("extent", [1, 3, 4, 5, 8, 11, 16, 33])
@pytest.mark.parametrize("start", [0, 1, 4])
def test_constant_bounds(check: Check, doubled: Any, start: int, extent: int) -> None:
    domain = f"{{ [i0, i1] : 0 <= i0 < 2 and {start} <= i1 < {start + extent} }}"
    func = check(doubled(domain, 2, start + extent), Vectorize("S1.i1", 4))
    partial = extent % 4 != 0 and extent > 1  # one iteration is no loop
    assert ("vector.maskedstore" in names(func)) == partial
    assert "vector.create_mask" not in names(func)


@pytest.mark.parametrize(
    "domain",
    [
        TRIANGLE,
        "{ [i0, i1] : 0 <= i0 < 19 and 0 <= i1 <= i0 }",
        "{ [i0, i1] : 0 <= i0 < 19 and 2 * i0 - 9 <= i1 < 14 and 0 <= i1 }",
        "{ [i0, i1] : 0 <= i0 < 9 and i0 + 3 <= i1 < 2 * i0 + 2 }",
        "{ [i0, i1] : 0 <= i0 < 19 and 0 <= i1 < 19 and i1 mod 3 = 1 }",
    ],
)
@pytest.mark.parametrize("lanes", [4, 8, 16])
def test_bounds_of_outer_loops(check: Check, doubled: Any, domain: str, lanes: int) -> None:
    check(doubled(domain, 19, 19), Vectorize("S1.i1", lanes))


def test_no_rest_where_the_extent_is_a_multiple(check: Check, doubled: Any) -> None:
    domain = "{ [i0, i1] : 0 <= i0 < 5 and i0 <= i1 < 8 + i0 }"
    func = check(doubled(domain, 5, 13), Vectorize("S1.i1", 4))
    assert "vector.maskedstore" not in names(func)
    assert "scf.if" not in names(func)


def test_the_first_lane_may_be_off(check: Check, doubled: Any) -> None:
    steps = (Split("S1.i1", 8, "o", "l"), Vectorize("l", 8))
    func = check(doubled(TRIANGLE, 19, 19), *steps)
    assert "arith.xori" in names(func)  # lanes from the first one to the last one
    assert inside_loops(func, "vector.create_mask") > 0


def test_vectors_of_an_outer_loop(check: Check, scop_text: Any) -> None:
    s = scop_text(a="in 9x5xf32", b="in 5x21xf32", c="out 9x21xf32")
    s.statement("9 x 21", "c[i0, i1]", "", "zero")
    s.statement("9 x 21 x 5", "c[i0, i1]", "c[i0, i1]; a[i0, i2]; b[i2, i1]", "multiply_add", "add")
    check(s.scop(), Vectorize("S1.i1", 8))
    check(s.scop(), Reorder(("S1.i1", "S1.i0")), Vectorize("S1.i1", 8))


def test_inner_bounds_may_not_differ_between_lanes(check: Check, doubled: Any) -> None:
    with pytest.raises(IllegalScheduleError, match="other bounds in every lane"):
        check(doubled(TRIANGLE, 19, 19), Vectorize("S1.i0", 8))


@pytest.mark.parametrize(
    ("bounds", "masks"),
    [("1 <= i1 < 20", 0), ("1 <= i1 < 4", 1), ("1 <= i1 < 9", 0), ("i0 <= i1 < 20 and i1 > 0", 1)],
)
def test_the_rest_of_a_stencil_overlaps(
    check: Check, scop_text: Any, bounds: str, masks: int
) -> None:
    """Only rows shorter than a vector are masked."""
    s = scop_text(a="in 19x21xf32", c="out 19x21xf32")
    s.statement("19 x 21", "c[i0, i1]", "", "zero")
    reads = "a[i0, i1]; a[i0, i1 + 1]; a[i0, i1 - 1]"
    s.statement(f"{{ [i0, i1] : 0 <= i0 < 19 and {bounds} }}", "c[i0, i1]", reads, "multiply_add")
    func = check(s.scop(), Vectorize("S1.i1", 8))
    assert names(func).count("vector.maskedstore") == masks


def test_the_rest_is_masked_where_the_stencil_reads_what_it_writes(
    check: Check, scop_text: Any
) -> None:
    s = scop_text(a="in 21xf32", c="out 21xf32")
    s.statement("21", "c[i0]", "", "zero")
    s.statement("19", "c[i0]", "c[i0]; a[i0]; a[i0 + 1]", "multiply_add")
    func = check(s.scop(), Vectorize("S1.i0", 8))
    assert "vector.maskedstore" in names(func)


@pytest.mark.parametrize("columns", [3, 8, 37, 64, 70])
@pytest.mark.parametrize("kind", ["add", "max"])
def test_one_element_for_all_lanes(check: Check, scop_text: Any, columns: int, kind: str) -> None:
    s = scop_text(x=f"in 3x{columns}xf32", s="out 3xf32")
    s.statement("3", "s[i0]", "", "zero" if kind == "add" else "lowest")
    s.statement(f"3 x {columns}", "s[i0]", "s[i0]; x[i0, i1]", kind, kind)
    func = check(s.scop(), Vectorize("S1.i1", 8))
    assert names(func).count("vector.reduction") == 1
    assert in_strips(func, vector.ReductionOp) == 0


JAMMED = (
    "for z[S0: i0] { S0 } for b[S1: floor(i0/4)] "
    "{ vector(8) j[S1: i1] { unroll r[S1: i0 - 4*floor(i0/4)] { S1 } } }"
)


@pytest.mark.parametrize(("rows", "columns"), [(8, 64), (8, 70), (10, 70), (3, 19)])
def test_jammed_rows_keep_an_accumulator_each(
    check: Check, scop_text: Any, rows: int, columns: int
) -> None:
    s = scop_text(x=f"in {rows}x{columns}xf32", z=f"in {columns}xf32", s=f"out {rows}xf32")
    s.statement(f"{rows}", "s[i0]", "", "zero")
    s.statement(f"{rows} x {columns}", "s[i0]", "s[i0]; x[i0, i1]; z[i1]", "multiply_add", "add")
    func = check(s.scop(), Rearrange(JAMMED))
    assert in_strips(func, vector.ReductionOp) == 0
    assert in_strips(func, vector.FMAOp) >= min(rows, 4)


def test_jammed_rows_that_read_each_other_do_not(check: Check, scop_text: Any) -> None:
    """A sum that the loop reads elsewhere stays in memory."""
    s = scop_text(x="in 24x24xf32", s="inout 24xf32")
    domain = "{ [i0, i1] : 0 <= i0 < 24 and 0 <= i1 < 4*floor(i0/4) }"
    s.statement(domain, "s[i0]", "s[i0]; x[i0, i1]; s[i1]", "multiply_add", "add")
    func = check(s.scop(), Rearrange(JAMMED.split("} ", 1)[1].replace("S1", "S0")))
    assert in_strips(func, vector.FMAOp) == 0


def test_triangular_rows_into_one_element_each(check: Check, scop_text: Any) -> None:
    s = scop_text(x="in 70x70xf32", z="in 70xf32", s="out 70xf32")
    s.statement("70", "s[i0]", "", "zero")
    domain = "{ [i0, i1] : 0 <= i0 < 70 and 0 <= i1 < i0 }"
    s.statement(domain, "s[i0]", "s[i0]; x[i0, i1]; z[i1]", "multiply_add", "add")
    func = check(s.scop(), Vectorize("S1.i1", 8))
    assert names(func).count("vector.reduction") == 1


def test_several_statements_per_lane(check: Check, scop_text: Any) -> None:
    s = scop_text(a="in 11x21xf32", u="in 11xf32", p="in 21xf32", s="out 21xf32", q="out 11xf32")
    s.statement("21", "s[i0]", "p[i0]", "copy")
    s.statement("11", "q[i0]", "u[i0]", "copy")
    s.statement("11 x 21", "s[i1]", "s[i1]; u[i0]; a[i0, i1]", "multiply_add", "add")
    s.statement("11 x 21", "q[i0]", "q[i0]; a[i0, i1]; p[i1]", "multiply_add", "add")
    func = check(
        s.scop(), Fuse(("S2.i0", "S3.i0"), "i"), Fuse(("S2.i1", "S3.i1"), "j"), Vectorize("j", 4)
    )
    assert names(func).count("vector.reduction") == 1


def test_statements_alive_in_some_lanes_only(check: Check, scop_text: Any) -> None:
    s = scop_text(x="in 21xf32", y="out 21xf32", z="out 21xf32")
    s.statement("21", "z[i0]", "", "zero")
    s.statement("21", "y[i0]", "x[i0]", "double")
    s.statement("{ [i0] : 5 <= i0 < 15 }", "z[i0]", "y[i0]", "copy")
    check(s.scop(), Fuse(("S1.i0", "S2.i0"), "i"), Vectorize("i", 8))
    tree = "for t[S0: i0] { S0 } for o[S1: floor(i0/8); S2: floor(i0/8)] { vector(8) l["
    tree += "S1: i0 - 8*floor(i0/8); S2: i0 - 8*floor(i0/8)] { S1 S2 } }"
    check(s.scop(), Rearrange(tree))


def test_one_lane_alive_or_none(check: Check, scop_text: Any) -> None:
    """Where one of the lanes is the one, the statement runs for it; elsewhere not at all."""
    s = scop_text(x="in 9xf32", y="out 9x4xf32", z="out 9xf32")
    s.statement("9", "z[i0]", "", "zero")
    s.statement("9 x 4", "y[i0, i1]", "", "zero")
    s.statement("{ [i0, i1] : 0 <= i0 < 9 and 0 <= i1 < 4 }", "y[i0, i1]", "x[i0]", "double")
    s.statement("{ [i0, i1] : 0 <= i0 < 9 and 0 <= i1 < 4 and i1 = i0 - 2 }", "z[i0]", "x[i0]")
    fused = Fuse(("S2.i0", "S3.i0"), "i"), Fuse(("S2.i1", "S3.i1"), "j")
    func = check(s.scop(), *fused, Vectorize("j", 4))
    assert "vector.store" in names(func)


def test_lanes_with_a_stride(check: Check, doubled: Any) -> None:
    domain = "{ [i0, i1] : 0 <= i0 < 2 and 0 <= i1 < 40 and i1 mod 2 = 0 }"
    func = check(doubled(domain, 2, 40), Vectorize("S1.i1", 8))
    assert "vector.gather" in names(func)


def test_lanes_that_run_backward(check: Check, scop_text: Any) -> None:
    """Whole vectors are loaded or stored at their last lane and reversed; a rest is gathered."""
    s = scop_text(x="in 21xf32", y="out 21xf32", z="out 21xf32")
    s.statement("21", "y[i0]", "x[20 - i0]", "copy")
    s.statement("21", "z[20 - i0]", "x[i0]", "copy")
    func = check(s.scop(), Vectorize("S0.i0", 8), Vectorize("S1.i0", 8))
    assert names(func).count("vector.reverse") == 2
    assert "vector.gather" in names(func)


@pytest.mark.parametrize(("width", "stored"), [(8, "vector.store"), (6, "vector.scatter")])
def test_lanes_of_one_panel_lie_side_by_side(
    check: Check, scop_text: Any, width: int, stored: str
) -> None:
    """Vectors start at multiples of 4: none crosses a multiple of 8, some cross one of 6."""
    s = scop_text(x="in 3x24xf32", y=f"out {24 // width}x3x{width}xf32")
    s.statement("3 x 24", f"y[i1 floordiv {width}, i0, i1 mod {width}]", "x[i0, i1]", "copy")
    found = names(check(s.scop(), Vectorize("S0.i1", 4)))
    assert [n for n in found if n in ("vector.store", "vector.scatter")] == [stored]


@pytest.mark.parametrize("row", ["i0 floordiv 2", "i0 mod 3"])
def test_lanes_in_rows_that_change_without_a_stride(check: Check, scop_text: Any, row: str) -> None:
    s = scop_text(x="in 8x16xf32", y="out 16xf32")
    s.statement("16", "y[i0]", f"x[{row}, i0]", "double")
    func = check(s.scop(), Vectorize("S0.i0", 4))
    assert "vector.gather" in names(func)


def test_unrolled_copies_of_a_varying_count_are_guarded(check: Check, doubled: Any) -> None:
    domain = "{ [i0, i1] : 0 <= i0 < 6 and i0 <= i1 < 6 }"
    func = check(doubled(domain, 6, 6), Unroll("S1.i1"))
    assert names(func).count("scf.if") == 5  # the first copy always runs


def test_unrolled_copies_of_a_known_count_are_not(check: Check, doubled: Any) -> None:
    domain = "{ [i0, i1] : 0 <= i0 < 6 and i0 <= i1 < i0 + 3 }"
    func = check(doubled(domain, 6, 8), Unroll("S1.i1"))
    assert "scf.if" not in names(func)


def test_unrolling_a_long_varying_loop_is_refused(check: Check, doubled: Any) -> None:
    domain = "{ [i0, i1] : 0 <= i0 < 100 and i0 <= i1 < 100 }"
    with pytest.raises(IllegalScheduleError, match=r"S1\.i1.*up to 100 iterations"):
        check(doubled(domain, 100, 100), Unroll("S1.i1"))
