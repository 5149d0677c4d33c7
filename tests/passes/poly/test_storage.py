"""Where temporaries are stored, and that results do not depend on it."""

from __future__ import annotations

from typing import Any

import pytest
from tilecast.dialects.poly import ScopOp
from tilecast.dialects.schedule import Fuse, Parallelize, Reorder, Split, Step, Unroll, Vectorize
from tilecast.passes.poly.dependences.dependences import dependences_of
from tilecast.passes.poly.primitives import apply_steps, original_tree
from tilecast.passes.poly.storage import KERNEL, LOCAL_BYTES, Place, place_arrays


def places(scop: ScopOp, *steps: Step) -> dict[str, Place]:
    tree = apply_steps(original_tree(scop), list(steps))
    found = place_arrays(scop, tree, dependences_of(scop))
    return {array.name_hint or "": place for array, place in found.items()}


def pair(scop_text: Any, rows: int = 5, columns: int = 7, shift: int = 0) -> ScopOp:
    """t = 2 x ; y[i, j] = t[i + shift, j]."""
    s = scop_text(
        x=f"in {rows}x{columns}xf32", y=f"out {rows}x{columns}xf32", t=f"local {rows}x{columns}xf32"
    )
    s.statement(f"{rows} x {columns}", "t[i0, i1]", "x[i0, i1]", "double")
    s.statement(f"{rows - shift} x {columns}", "y[i0, i1]", f"t[i0 + {shift}, i1]", "copy")
    return s.scop()


FUSE_ROWS = Fuse(("S0.i0", "S1.i0"), "i")
FUSE_COLUMNS = Fuse(("S0.i1", "S1.i1"), "j")


@pytest.mark.parametrize(
    ("steps", "axis", "shape"),
    [
        ([], KERNEL, (5, 16)),
        ([FUSE_ROWS], "i", (1, 16)),
        ([FUSE_ROWS, FUSE_COLUMNS], "j", (1, 1)),
        ([FUSE_ROWS, Parallelize("i")], "i", (1, 16)),
        ([FUSE_ROWS, FUSE_COLUMNS, Vectorize("j", 8)], "i", (1, 16)),
        (
            [
                Split("S0.i0", 2, "a", "b"),
                Split("S1.i0", 2, "c", "d"),
                Fuse(("a", "c"), "o"),
                Unroll("b"),
                Unroll("d"),
            ],
            "o",
            (2, 16),
        ),
    ],
)
def test_a_temporary_shrinks_to_the_cache_lines_one_iteration_touches(
    scop_text: Any, check: Any, steps: list[Step], axis: str, shape: tuple[int, ...]
) -> None:
    scop = pair(scop_text)
    place = places(scop, *steps)["t"]
    assert (place.axis, place.shape) == (axis, shape)
    check(scop, *steps)


def test_tiles_of_rows_that_start_late_have_one_place(scop_text: Any, check: Any) -> None:
    """The first tile of four rows has only three of them: row 0 has no columns before it."""
    s = scop_text(x="in 16x16xf32", y="inout 16x16xf32", t="local 16x16xf32")
    domain = "{ [i0, i1] : 0 <= i1 < i0 < 16 }"
    s.statement(domain, "t[i0, i1]", "x[i0, i1]", "double")
    s.statement(domain, "y[i0, i1]", "t[i0, i1]", "copy")
    scop = s.scop()
    steps = (
        *(Split(f"S{k}.i0", 4, f"o{k}", f"r{k}") for k in range(2)),
        Fuse(("o0", "o1"), "tile"),
    )
    place = places(scop, *steps)["t"]
    assert (place.axis, place.shape) == ("tile", (4, 16))
    check(scop, *steps)


def test_a_value_read_by_another_iteration_is_kept_for_all(scop_text: Any, check: Any) -> None:
    s = scop_text(x="in 7xf32", y="out 7xf32", t="local 7xf32")
    s.statement("7", "t[i0]", "x[i0]", "double")
    s.statement("{ [i0] : 2 <= i0 < 7 }", "y[i0]", "t[i0 - 2]", "copy")
    s.statement("2", "y[i0]", "x[i0]", "copy")
    scop = s.scop()
    step = Fuse(("S0.i0", "S1.i0"), "i")
    assert places(scop, step)["t"].axis == KERNEL
    check(scop, step)


@pytest.mark.parametrize(("columns", "row"), [(4, 4), (3, 16)])  # whole vectors, or cache lines
def test_a_register_tile_is_local_to_its_tile(
    scop_text: Any, check: Any, columns: int, row: int
) -> None:
    s = scop_text(a="in 5x3xf32", b="in 3x9xf32", d="out 5x9xf32", c="local 5x9xf32")
    s.statement("5 x 9", "c[i0, i1]", "", "zero")
    s.statement("5 x 9 x 3", "c[i0, i1]", "c[i0, i1]; a[i0, i2]; b[i2, i1]", "multiply_add", "add")
    s.statement("5 x 9", "d[i0, i1]", "c[i0, i1]", "double")
    scop = s.scop()
    steps: list[Step] = []
    for n in ("S0", "S1", "S2"):
        steps += [
            Split(f"{n}.i0", 2, f"{n}m", f"{n}r"),
            Split(f"{n}.i1", columns, f"{n}n", f"{n}l"),
        ]
    steps += [
        Reorder(("S0m", "S0n", "S0r", "S0l")),
        Reorder(("S1m", "S1n", "S1.i2", "S1r", "S1l")),
        Reorder(("S2m", "S2n", "S2r", "S2l")),
        Fuse(("S0m", "S1m", "S2m"), "m"),
        Fuse(("S0n", "S1n", "S2n"), "n"),
        *(step for n in ("S0", "S1", "S2") for step in (Unroll(f"{n}r"), Vectorize(f"{n}l", 4))),
    ]
    place = places(scop, *steps)["c"]
    assert (place.axis, place.shape) == ("n", (2, row))
    check(scop, *steps)


def test_rows_are_padded_only_where_that_fits(scop_text: Any) -> None:
    wide, narrow = pair(scop_text, 200, 2), pair(scop_text, 2000, 2)
    assert places(wide)["t"].shape == (200, 16)
    assert places(narrow)["t"].shape == (2000, 2)
    assert places(narrow)["t"].axis == KERNEL


def test_what_does_not_fit_the_stack_is_a_scratch_argument(scop_text: Any) -> None:
    rows = LOCAL_BYTES // 4 + 1
    scop = pair(scop_text, rows, 1)
    assert places(scop)["t"].axis is None


def test_scratch_arguments_come_last(scop_text: Any, check: Any) -> None:
    func = check(pair(scop_text, 65, 65))
    assert [r.data for r in func.attributes["tilecast.roles"]] == ["in", "out", "scratch"]
    assert func.args[2].type.get_shape() == (65, 65)


def test_indirectly_read_temporaries_stay_whole(kernel: Any, kernel_text: Any) -> None:
    t = kernel_text(i="4xi64", x="3x5xf32", y="3x5xf32")
    table = t.op("pointwise", "%x %y", "3x5xf32", 'fn = "add"')
    case = kernel(t.returns(t.op("embedding", f"{table} %i", "4x5xf32")))
    scop = case.scop()
    assert [p.axis for p in places(scop).values()] == [KERNEL]
    case.check_lowered(scop, [])
