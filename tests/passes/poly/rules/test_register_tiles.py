"""Tiles of rows: how many registers they fill, and how evenly threads share them."""

import pytest
from tilecast.passes.poly.rules.register_tiles import equal_tiles
from tilecast.passes.poly.sets import Extent
from xdsl.ir.affine import AffineExpr


@pytest.mark.parametrize("rows", range(1, 260, 7))
@pytest.mark.parametrize("blocks", [1, 2, 4])
def test_equal_blocks_hold_all_rows_and_are_never_higher_than_full_tiles(rows, blocks):
    tiles, height = equal_tiles(rows, 14, blocks)
    assert blocks * tiles * height >= rows
    assert height <= 14
    assert tiles * height < rows / blocks + tiles


def test_blocks_of_197_rows_on_two_threads():
    assert equal_tiles(197, 14, 4) == (4, 13)  # 104 and 93 rows instead of 112 and 85


def test_of_sizes_known_at_run_time_tiles_stay_high():
    assert equal_tiles(Extent(197, AffineExpr.symbol(0)), 14, 4) == (4, 14)
