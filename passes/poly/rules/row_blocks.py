"""Rows of a product as blocks of register tiles that threads share evenly.

Blocks of rows are the iterations of a parallel loop: the thread that takes most of them decides.
197 rows in tiles of 14 are four blocks of four tiles, of which the first thread has 112 rows; two
blocks of nine tiles of 11 rows leave 99 to each. With one block, threads share its columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from ..sets import Extent

START = 0.5  # what starting a tile, or a block, costs: as much as this part of a row


@dataclass(frozen=True)
class RowBlocks:
    """Blocks of `tiles` register tiles, each `height` rows high."""

    tiles: int
    height: int

    @property
    def rows(self) -> int:
        return self.tiles * self.height


def row_blocks(
    extent: int,
    tallest: int,
    most_rows: int,
    threads: int,
    panels: int,
    whole: int = 0,
    start: float = START,
) -> RowBlocks:
    """The blocks for `extent` rows of which the busiest of `threads` has the least to do.

    Tiles have at most `tallest` rows and at least half of that, blocks about `most_rows`, or up to
    `whole` where each thread has one; a row is `panels` panels of columns, which threads share
    where there is one block. Starting a tile costs `start` rows. Of sizes known at run time only
    there is just a bound: tiles are as high as they may be, blocks equal at the bound.
    """
    heights = range(tallest, tallest - 1 if isinstance(extent, Extent) else tallest // 2, -1)
    best: tuple[float, RowBlocks] | None = None
    for height in heights:
        tiles = ceil(extent / height)
        fewest = ceil(tiles / max(1, most_rows // height))
        one_each = RowBlocks(ceil(tiles / threads), height)
        counts = range(fewest, min(tiles, 2 * (fewest + threads)) + 1)
        candidates = [RowBlocks(ceil(tiles / count), height) for count in counts]
        for blocks in [one_each, *candidates] if one_each.rows <= whole else candidates:
            cost = _busiest(extent, blocks, threads, panels, start)
            if best is None or cost < best[0]:
                best = cost, blocks
    assert best is not None  # the fewest blocks of the highest tiles
    return best[1]


def _busiest(extent: int, blocks: RowBlocks, threads: int, panels: int, start: float) -> float:
    """Rows of all columns that the thread with the most of them computes, with what starting costs.

    A partial tile at the end counts as the rows that it has.
    """
    count = ceil(extent / blocks.rows)
    if count == 1 or threads == 1:
        rows = extent + start * (ceil(extent / blocks.height) + count)
        return rows * ceil(panels / threads) / panels
    mine = ceil(count / threads)
    return min(extent, mine * blocks.rows) + start * mine * (blocks.tiles + 1)
