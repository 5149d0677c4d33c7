"""How evenly threads share the rows of a product, and how high its tiles stay."""

from math import ceil

import pytest
from tilecast.passes.poly.rules.row_blocks import RowBlocks, row_blocks
from tilecast.passes.poly.sets import Extent
from xdsl.ir.affine import AffineExpr


@pytest.mark.parametrize("rows", range(1, 2000, 61))
@pytest.mark.parametrize("most_rows", [28, 113, 300])
@pytest.mark.parametrize("threads", [1, 2, 16])
def test_blocks_fit_and_tiles_are_at_least_half_as_high_as_they_may_be(rows, most_rows, threads):
    blocks = row_blocks(rows, 14, most_rows, threads, panels=48)
    assert 7 < blocks.height <= 14
    assert blocks.rows <= max(most_rows, 14)


@pytest.mark.parametrize("rows", [150, 197, 244, 256, 1500])
def test_two_threads_share_rows_evenly(rows):
    blocks = row_blocks(rows, 14, 113, 2, panels=96)
    first = blocks.rows * ceil(ceil(rows / blocks.rows) / 2)
    assert first <= 1.05 * rows / 2


def test_one_thread_has_no_reason_for_lower_tiles():
    assert row_blocks(197, 14, 113, 1, panels=96).height == 14


def test_columns_are_shared_where_all_rows_are_one_block():
    assert row_blocks(100, 13, 113, 2, panels=24) == RowBlocks(8, 13)


def test_of_sizes_known_at_run_time_tiles_stay_high():
    assert row_blocks(Extent(197, AffineExpr.symbol(0)), 14, 113, 2, panels=96).height == 14


def test_a_block_for_each_thread_may_be_larger_than_others():
    assert row_blocks(128, 6, 28, 2, panels=24).rows <= 28
    assert row_blocks(128, 6, 28, 2, panels=24, whole=69) == RowBlocks(11, 6)
    assert row_blocks(512, 6, 28, 2, panels=24, whole=69).rows <= 28


def test_tiles_stay_high_where_starting_one_is_dear():
    assert row_blocks(197, 6, 113, 2, panels=96).height == 5
    assert row_blocks(197, 6, 113, 2, panels=96, start=1.0).height == 6
