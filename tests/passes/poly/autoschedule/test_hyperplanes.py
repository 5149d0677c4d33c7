"""Slopes and shifts of stencils, and the tiles that come of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tilecast.dialects.errors import IllegalScheduleError
from tilecast.dialects.schedule import Band
from tilecast.passes.poly.autoschedule.advance import advance, is_constant_on, shifts_that_keep
from tilecast.passes.poly.autoschedule.hyperplanes import leaning, time_loop, upright
from tilecast.passes.poly.autoschedule.nest import ScheduledScop
from tilecast.passes.poly.autoschedule.time_tiles import TimeTile, tile_time
from tilecast.passes.poly.primitives import original_tree
from tilecast.passes.poly.sets import isl, pairs_of

Polybench = Callable[..., ScheduledScop]
NEAR = "{ S[t, i] -> T[t, j] : 0 <= t < 9 and 0 <= i < 9 and i - 1 <= j <= i + 1 and 0 <= j < 9 }"


def outer_band(scheduled: ScheduledScop) -> Band:
    tree = original_tree(scheduled.scop)
    assert isinstance(tree, Band)
    return tree


def test_advance_is_the_range_of_differences() -> None:
    assert advance(isl.Map(NEAR), ("S", 2, "2i0 + i1"), ("T", 2, "2i0 + i1 + 3")) == (2, 4)


def test_an_equation_may_halve_a_dim() -> None:
    pair = isl.Map("{ S[i, j] -> T[k, 2i] : 2k = j - 2 and 0 <= i <= 3 and 4 + 2i <= j <= 6 }")
    assert advance(pair, ("S", 2, "i0"), ("T", 2, "i0")) == (1, 2)


def test_a_shift_makes_up_for_what_goes_backward() -> None:
    pairs = pairs_of(isl.UnionMap(NEAR))
    assert shifts_that_keep(pairs, {"S": "i1", "T": "i1"}, {"S": 2, "T": 2}) == {"S": 0, "T": 1}
    assert is_constant_on(pairs, {"S": "i0", "T": "i0"}, {"S": 2, "T": 2})
    assert not is_constant_on(pairs, {"S": "i1", "T": "i1"}, {"S": 2, "T": 2})


def test_no_shift_breaks_a_cycle() -> None:
    pairs = pairs_of(isl.UnionMap("{ S[t, i] -> S[t, i - 1] : 0 <= t < 9 and 0 < i < 9 }"))
    assert shifts_that_keep(pairs, {"S": "i1"}, {"S": 2}) is None


@pytest.mark.parametrize("name", ["jacobi-1d", "jacobi-2d", "heat-3d", "fdtd-2d"])
def test_stencils_lean_both_ways(polybench: Polybench, name: str) -> None:
    scheduled = polybench(name)
    loop = time_loop(scheduled.scop, outer_band(scheduled))
    assert loop is not None
    for dim in range(len(loop.space)):
        for sign in (1, -1):
            assert leaning(loop, dim, sign, scheduled.order, scheduled.ranks) is not None
    assert upright(loop, scheduled.order, scheduled.ranks) == loop.time


def test_two_half_steps_have_slope_two(polybench: Polybench) -> None:
    scheduled = polybench("jacobi-2d")
    loop = time_loop(scheduled.scop, outer_band(scheduled))
    assert loop is not None
    assert leaning(loop, 0, 1, scheduled.order, scheduled.ranks) == {
        "S0": "2*(i0) + (i1)",
        "S1": "2*(i0) + (i1) + 1",
    }


def test_in_place_updates_lean_one_way_only(polybench: Polybench) -> None:
    scheduled = polybench("seidel-2d")
    band = outer_band(scheduled)
    tile_time(scheduled, band, TimeTile("leaning", (4, 8)), parallel=True)
    with pytest.raises(IllegalScheduleError, match="no diamond time tiles"):
        tile_time(scheduled, band, TimeTile("diamond", (8, 8)), parallel=True)


def test_sweeps_over_whole_rows_have_no_time_tiles(polybench: Polybench) -> None:
    scheduled = polybench("adi")
    with pytest.raises(IllegalScheduleError, match="reaches too far or goes backward"):
        tile_time(scheduled, outer_band(scheduled), TimeTile("leaning", (4, 8)), parallel=True)


def test_a_loop_that_writes_along_itself_is_not_over_time(polybench: Polybench) -> None:
    scheduled = polybench("gemm")
    assert time_loop(scheduled.scop, outer_band(scheduled)) is None
