"""Full and partial tiles told apart: what stands inside full ones, and that results stay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tilecast.dialects.errors import IllegalScheduleError
from tilecast.dialects.schedule import Parallelize, Rearrange
from tilecast.passes.poly.dependences.dependences import Dependences, dependences_of
from tilecast.passes.poly.dependences.value_flow import ValueFlow
from tilecast.passes.poly.emission.lower_scop import lower_scop
from tilecast.passes.poly.sets import isl, limited_operations
from xdsl.dialects import arith, memref, scf
from xdsl.dialects.builtin import StringAttr
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation

Check = Callable[..., FuncOp]


def branches(func: FuncOp) -> list[scf.IfOp]:
    """The outermost branches with two sides."""
    found: list[scf.IfOp] = []

    def visit(op: Operation) -> None:
        if isinstance(op, scf.IfOp) and op.false_region.blocks:
            found.append(op)
            return
        for region in op.regions:
            for block in region.blocks:
                for inner in block.ops:
                    visit(inner)

    visit(func)
    return found


def ops_of(region: Any) -> list[Operation]:
    return [op for block in region.blocks for inner in block.ops for op in inner.walk()]


@pytest.fixture
def stencil(scop_text: Any) -> Any:
    """stencil(steps, cells): y[t + 1] from three neighbours of y[t], rows of a 2-d array."""

    def make(steps: int, cells: int) -> Any:
        s = scop_text(x=f"in {cells}xf32", y=f"out {steps + 1}x{cells}xf32")
        s.statement(f"{steps + 1} x {cells}", "y[i0, i1]", "x[i1]", "copy")
        domain = f"{{ [i0, i1] : 0 <= i0 < {steps} and 1 <= i1 < {cells - 1} }}"
        s.statement(domain, "y[i0 + 1, i1]", "y[i0, i1 - 1]; y[i0, i1 + 1]", "add")
        return s.scop()

    return make


def skewed_tiles(size: int, kind: str = "vector(4)") -> Rearrange:
    """The stencil in tiles of (t, t + i)."""
    i = "(i0 + i1)"
    return Rearrange(
        "for a[S0: i0] { for b[S0: i1] { S0 } } "
        f"for T[S1: floor(i0/{size})] {{ for I[S1: floor({i}/{size})] {{ "
        f"for t[S1: i0] {{ {kind} i[S1: {i}] {{ S1 }} }} }} }}"
    )


@pytest.mark.parametrize("size", [4, 8, 16])
@pytest.mark.parametrize(("steps", "cells"), [(1, 5), (9, 30), (16, 33), (33, 16)])
def test_skewed_tiles(check: Check, stencil: Any, steps: int, cells: int, size: int) -> None:
    check(stencil(steps, cells), skewed_tiles(size))
    check(stencil(steps, cells), skewed_tiles(size, "for"))


def test_full_tiles_have_neither_min_nor_max_nor_masks(check: Check, stencil: Any) -> None:
    func = check(stencil(33, 64), skewed_tiles(8))
    (tile,) = branches(func)
    full, partial = ops_of(tile.true_region), ops_of(tile.false_region)
    unwanted = (arith.MinSIOp, arith.MaxSIOp, scf.IfOp)
    assert not [op for op in full if isinstance(op, unwanted) or "mask" in op.name]
    assert [op for op in partial if isinstance(op, unwanted)]


def test_the_conditions_are_checked_once_per_tile(check: Check, stencil: Any) -> None:
    func = check(stencil(33, 64), skewed_tiles(8))
    (tile,) = branches(func)
    depth, parent = 0, tile.parent_op()
    while parent is not None:
        depth += isinstance(parent, scf.ForOp)
        parent = parent.parent_op()
    assert depth == 2


def test_triangular_tiles(check: Check, scop_text: Any) -> None:
    s = scop_text(x="in 37x37xf32", y="out 37x37xf32")
    s.statement("37 x 37", "y[i0, i1]", "", "zero")
    domain = "{ [i0, i1] : 0 <= i0 < 37 and 0 <= i1 <= i0 }"
    s.statement(domain, "y[i0, i1]", "x[i0, i1]", "double")
    for inner in ("i0", "i0 - 8*floor(i0/8)"):
        tree = "for a[S0: i0] { for b[S0: i1] { S0 } } for I[S1: floor(i0/8)] { "
        tree += f"for J[S1: floor(i1/8)] {{ for i[S1: {inner}] {{ vector(8) j[S1: i1] {{ S1 }} }}"
        func = check(s.scop(), Rearrange(tree + " } }"))
        assert len(branches(func)) == 1


def test_loops_that_exclude_each_other_have_full_tiles_each(check: Check, scop_text: Any) -> None:
    s = scop_text(x="in 40x40xf32", y="out 40x40xf32")
    below = "{ [i0, i1] : 0 <= i0 < 40 and 0 <= i1 < i0 }"
    above = "{ [i0, i1] : 0 <= i0 < 40 and i0 <= i1 < 40 }"
    s.statement(below, "y[i0, i1]", "x[i0, i1]", "double")
    s.statement(above, "y[i0, i1]", "x[i0, i1]", "copy")
    tree = "for I[S0: floor(i0/8); S1: floor(i0/8)] { for J[S0: floor(i1/8); S1: floor(i1/8)] { "
    tree += "for i[S0: i0; S1: i0] { vector(8) j[S0: i1] { S0 } vector(8) k[S1: i1] { S1 } } } }"
    func = check(s.scop(), Rearrange(tree))
    (first,) = branches(func)
    second = [op for op in first.false_region.block.ops if isinstance(op, scf.IfOp)]
    assert [op for op in second if op.false_region.blocks]


@pytest.mark.parametrize(("steps", "cells"), [(1, 5), (8, 30), (10, 33), (23, 9), (5, 3)])
@pytest.mark.parametrize("copies", [2, 4])
def test_skewed_copies(check: Check, stencil: Any, steps: int, cells: int, copies: int) -> None:
    func = check(stencil(steps, cells), skewed_copies(copies))
    if steps >= 2 * copies and cells > 4 * copies:
        loops = [op for op in func.walk() if isinstance(op, scf.ForOp)]
        stores = [[type(o).__name__ for o in op.body.block.ops].count("StoreOp") for op in loops]
        assert copies in stores  # the iterations in the middle have all copies and no guards


def skewed_copies(copies: int) -> Rearrange:
    """Several time steps of the stencil at once, each two cells behind the one before."""
    u = f"(i0 - {copies}*floor(i0/{copies}))"
    return Rearrange(
        "for a[S0: i0] { for b[S0: i1] { S0 } } "
        f"for T[S1: floor(i0/{copies})] {{ for j[S1: i1 + 2*{u}] {{ "
        f"unroll u[S1: {u}] {{ S1 }} }} }}"
    )


def test_boxes_peel_their_last_tile_instead(check: Check, scop_text: Any) -> None:
    s = scop_text(x="in 21xf32", y="out 21xf32")
    s.statement("21", "y[i0]", "x[i0]", "double")
    tree = "for o[S0: floor(i0/8)] { for i[S0: i0 - 8*floor(i0/8)] { S0 } }"
    func = check(s.scop(), Rearrange(tree))
    assert not [op for op in func.walk() if isinstance(op, scf.IfOp)]


@pytest.mark.parametrize("size", [4, 8])
def test_wavefronts_of_tiles_are_parallel(check: Check, stencil: Any, size: int) -> None:
    i = "(i0 + i1)"
    tree = (
        "for a[S0: i0] { for b[S0: i1] { S0 } } "
        f"for W[S1: floor(i0/{size}) + floor({i}/{size})] {{ parallel T[S1: floor(i0/{size})] {{ "
        f"for t[S1: i0] {{ vector(4) i[S1: {i}] {{ S1 }} }} }} }}"
    )
    func = check(stencil(20, 45), Rearrange(tree))
    (loop,) = [op for op in func.walk() if isinstance(op, scf.ParallelOp)]
    assert "tilecast.schedule" not in loop.attributes  # tiles are of one size


@pytest.mark.parametrize(
    ("columns", "schedule"),
    [("0 <= i1 <= i0", "descending"), ("i0 <= i1 < 19", "dynamic")],
)
def test_triangular_rows_are_shared_out_longest_first(
    check: Check, scop_text: Any, columns: str, schedule: str
) -> None:
    s = scop_text(x="in 19x19xf32", y="out 19x19xf32")
    s.statement("19 x 19", "y[i0, i1]", "", "zero")
    s.statement(f"{{ [i0, i1] : 0 <= i0 < 19 and {columns} }}", "y[i0, i1]", "x[i0, i1]", "double")
    func = check(s.scop(), Parallelize("S0.i0"), Parallelize("S1.i0"))
    even, uneven = [op for op in func.walk() if isinstance(op, scf.ParallelOp)]
    assert "tilecast.schedule" not in even.attributes
    assert uneven.attributes["tilecast.schedule"] == StringAttr(schedule)


def test_register_tiles_of_a_partial_block_are_full_where_they_can_be(
    check: Check, scop_text: Any
) -> None:
    """37 rows in blocks of 16: the last block has a whole tile of 4, and one of 1."""
    s = scop_text(x="in 37x8xf32", y="out 37x8xf32")
    s.statement("37 x 8", "y[i0, i1]", "x[i0, i1]", "double")
    tree = (
        "for b[S0: floor(i0/16)] { for t[S0: floor(i0/4)] { for j[S0: i1] "
        "{ unroll r[S0: i0 - 4*floor(i0/4)] { S0 } } } }"
    )
    func = check(s.scop(), Rearrange(tree))
    tiles = [
        op
        for op in func.walk()
        if isinstance(op, scf.ForOp) and op.body.block.args[0].name_hint == "j"
    ]
    stores = [sum(isinstance(op, memref.StoreOp) for op in tile.walk()) for tile in tiles]
    guards = [any(isinstance(op, scf.IfOp) for op in tile.walk()) for tile in tiles]
    assert (stores, guards) == ([4, 4, 4], [False, False, True])


def test_short_reductions_of_whole_rows_have_no_guards(check: Check, scop_text: Any) -> None:
    """The first three of five row tiles have shorter sums, the last one has fewer rows."""
    s = scop_text(a="in 18x13xf32", b="in 13xf32", y="out 18xf32")
    s.statement("18", "y[i0]", "", "zero")
    domain = "{ [i0, i1] : 0 <= i0 < 18 and 0 <= i1 <= 12 and i1 <= 3 + 4*floor(i0/4) }"
    s.statement(domain, "y[i0]", "y[i0]; a[i0, i1]; b[i1]", "multiply_add", "add")
    row = "i0 - 4*floor(i0/4)"
    tree = (
        "for t[S0: floor(i0/4); S1: floor(i0/4)] "
        f"{{ unroll z[S0: {row}] {{ S0 }} for k[S1: i1] {{ unroll r[S1: {row}] {{ S1 }} }} }}"
    )
    func = check(s.scop(), Rearrange(tree))
    sums = [
        op
        for op in func.walk()
        if isinstance(op, scf.ForOp) and op.body.block.args[0].name_hint == "k"
    ]
    stores = [sum(isinstance(op, memref.StoreOp) for op in one.walk()) for one in sums]
    guards = [any(isinstance(op, scf.IfOp) for op in one.walk()) for one in sums]
    assert (stores, guards) == ([4, 4, 4], [False, False, True])


def test_known_dependences_are_used(stencil: Any) -> None:
    scop = stencil(5, 9)
    backward = "for t[S1: -i0] { for i[S1: i1] { S1 } } for a[S0: i0] { for b[S0: i1] { S0 } }"
    scop.properties["schedule"] = StringAttr(str(Rearrange(backward)))
    with pytest.raises(IllegalScheduleError, match="reverses a dependence"):
        lower_scop(scop, dependences=dependences_of(scop))
    none = isl.UnionMap("{ }")
    lower_scop(scop, dependences=Dependences(none, none, none, none, ValueFlow(none, none, none)))


def test_isl_gives_up_with_a_reason(stencil: Any) -> None:
    scop = stencil(5, 11)  # dependences of scops that were met are remembered
    reason = "gave up after 50 operations"
    with pytest.raises(IllegalScheduleError, match=reason), limited_operations(50):
        dependences_of(scop)
    assert not isl.Set("{ [i] : 0 <= i < 2 }").is_empty()
