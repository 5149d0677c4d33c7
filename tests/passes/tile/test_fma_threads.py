"""Layouts of products in f32: no bank conflicts, and every thread has what it multiplies."""

from __future__ import annotations

import pytest
from tilecast.codegen.cuda.tile.compute_rules import plan_dot
from tilecast.dialects.tile.atoms import ATOMS
from tilecast.dialects.tile.bank_conflicts import choose_swizzle, conflict_degree
from tilecast.dialects.tile.shared_layout import PLAIN, SharedLayout
from tilecast.passes.tile.contraction_plan import FMA_TILES
from tilecast.passes.tile.fma_threads import SLICE, FmaThreads

CASES = [(t, m, n) for t in FMA_TILES for m in (False, True) for n in (False, True)]


@pytest.mark.parametrize(("tile", "along_m", "along_n"), CASES)
def test_threads_have_what_they_multiply(tile, along_m, along_n) -> None:  # type: ignore[no-untyped-def]
    threads = FmaThreads(*tile[:4], along_m, along_n)
    lhs = threads.lhs.permute((1, 0)) if along_m else threads.lhs
    rhs = threads.rhs.permute((1, 0)) if along_n else threads.rhs
    assert lhs.shape == (threads.tile[0], SLICE)
    assert rhs.shape == (threads.tile[1], SLICE)
    plan = plan_dot(ATOMS[-1], lhs, rhs, threads.accumulator)
    assert plan is not None
    assert plan[0] == (tile[2], tile[3], SLICE)


@pytest.mark.parametrize(("tile", "along_m", "along_n"), CASES)
def test_loads_of_slices_meet_no_bank_twice(tile, along_m, along_n) -> None:  # type: ignore[no-untyped-def]
    threads, depth = FmaThreads(*tile[:4], along_m, along_n), tile[4]
    for layout, size, along in (
        (threads.lhs, threads.tile[0], along_m),
        (threads.rhs, threads.tile[1], along_n),
    ):
        shape = (depth, size) if along else (size, depth)
        shared = SharedLayout(shape, 4, PLAIN if along else choose_swizzle(shape, 4))
        table = layout.table()  # [thread, element, dim]
        vector = next(v for v in (4, 2, 1) if along is False or layout.locals % v == 0)
        for element in range(0, layout.locals, vector):
            places = shared.addresses(table[:32, element, 0], table[:32, element, 1])
            together = table[:32, element : element + vector, 1]
            width = 16 if vector == 4 and (together[:, -1] - together[:, 0] == 3).all() else 4
            assert conflict_degree(places, width) == 1
