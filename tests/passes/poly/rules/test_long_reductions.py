"""Blocks of long reductions: steps of the schedule that keep the meaning, for any threads."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tilecast.passes.poly.rules import long_reductions
from tilecast.passes.poly.rules.choice import ALWAYS_PARALLEL, RuleChoice
from tilecast.passes.poly.rules.schedule import choose_schedule

SHARED = RuleChoice(parallel_work=ALWAYS_PARALLEL)
# Rows, reduction, columns: partial tiles of rows, columns and blocks, wide and tall.
SHAPES = [(16, 64, 32), (17, 70, 35), (33, 67, 5), (19, 97, 70), (60, 65, 17)]


@pytest.fixture(autouse=True)
def short_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reductions of tests are long, their rows share cache sets."""
    monkeypatch.setattr(long_reductions, "DEPTH", 32)
    monkeypatch.setattr(long_reductions, "ALIAS_BYTES", 4)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("builder", ["matmul", "linear"])
def test_blocks_keep_the_meaning(
    build: Any, machines: dict[str, Any], builder: str, shape: tuple[int, int, int]
) -> None:
    kernel = build(builder, *shape)
    for threads in (1, 2):
        scop = kernel.scop()
        choose_schedule(scop, machines["avx512"], threads, SHARED)
        assert "split_reduction" in scop.schedule.data
        assert ("parallelize" in scop.schedule.data) == (threads == 2)
        kernel.check_lowered(scop)


def test_threads_leave_the_sums_as_they_are(build: Any, machines: dict[str, Any]) -> None:
    """The rewrites, which alone say what is added to what, do not depend on threads."""
    rewrites = set()
    for threads in (1, 2, 7):
        scop = build("matmul", 60, 65, 40).scop()
        choose_schedule(scop, machines["avx512"], threads, SHARED)
        lines = scop.schedule.data.splitlines()
        rewrites.add(tuple(s for s in lines if s.startswith(("pack", "split_reduction"))))
    assert len(rewrites) == 1


@pytest.mark.parametrize(
    ("builder", "shape"),
    [("matmul", (16, 40, 32)), ("matmul", (3, 128, 32)), ("batched_matmul", (2, 4, 32, 17))],
)
def test_short_reductions_and_few_rows_stay_whole(
    build: Any, machines: dict[str, Any], builder: str, shape: tuple[int, ...]
) -> None:
    scop = build(builder, *shape).scop()
    choose_schedule(scop, machines["avx512"], 1, SHARED)
    assert "split_reduction" not in scop.schedule.data


def test_columns_out_of_line_or_in_few_cache_sets_are_copied(
    build: Any, machines: dict[str, Any]
) -> None:
    """Rows of 32 columns lie 2 lines apart: of 4 sets, 2 hold 16 lines of 20."""
    few = replace(machines["avx2"], l2_bytes=4 * 8 * 64)
    for machine, rows, columns, is_copied in [
        (few, 24, 32, True),
        (few, 12, 32, False),  # too few tiles read it
        (few, 24, 40, False),  # rows begin at all sets
        (few, 24, 33, True),  # and some vectors lie in two lines
        (replace(few, l2_bytes=8 * few.l2_bytes), 24, 33, False),  # near
        (replace(few, vector_registers=32), 24, 32, False),
    ]:
        kernel = build("matmul", rows, 20, columns)
        scop = kernel.scop()
        choose_schedule(scop, machine, 2, SHARED)
        assert ("pack(" in scop.schedule.data) == is_copied
        assert "split_reduction" not in scop.schedule.data
        kernel.check_lowered(scop)


def test_few_rows_read_a_far_operand_in_order(build: Any, machines: dict[str, Any]) -> None:
    """Sums over some rows of the operand for all columns, unless copies or caches serve better."""
    few = replace(machines["avx2"], l1_bytes=1024, l2_bytes=4096)
    many = replace(machines["avx512"], l1_bytes=1024, l2_bytes=4096)
    for machine, rows, depth, columns, is_split in [
        (few, 3, 40, 70, True),
        (few, 7, 37, 70, True),
        (few, 7, 31, 70, False),  # too short
        (few, 7, 40, 8, False),  # a strip is all there is
        (few, 1, 40, 70, False),
        (few, 48, 40, 70, False),  # many tiles read a copy
        (replace(few, l2_bytes=1 << 20), 7, 40, 70, False),  # near
        (replace(few, l1_bytes=1 << 15), 7, 40, 70, False),  # strips stay for the next rows
        (replace(few, l1_bytes=1 << 15), 3, 40, 70, True),  # which there are none of
        (many, 3, 40, 70, True),
        (many, 30, 40, 70, False),
    ]:
        kernel = build("matmul", rows, depth, columns)
        scop = kernel.scop()
        choose_schedule(scop, machine, 2, SHARED)
        assert ("split_reduction(" in scop.schedule.data) == is_split, (rows, depth, columns)
        assert "pack(" not in scop.schedule.data or not is_split
        kernel.check_lowered(scop)
