"""Products with few tiles, divided among blocks by steps instead of by tiles (as in Marlin).

All steps of all tiles form one row, tile by tile, which is cut into equal stripes, one per block:

    tile    0         1         2
    steps   0 1 2 3 | 0 1 2 3 | 0 1 2 3        3 tiles of 4 steps in 4 stripes of 3 steps
    stripe  a a a b   b b c c   c d d d        (the last one may be shorter)

Where a tile has several stripes, their sums are added from its end to its start: a stripe begins
with the end of a tile, so that nobody waits for what comes after other work. Block 0 has the last
stripe, so that blocks wait for those of lower numbers only, which a device starts before them. The
order of additions depends on shapes and the target's multiprocessors alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from xdsl.ir import SSAValue

from ...dialects.tile import ops
from .builder import ProgramBuilder, named
from .pipeline import add_in_order

Range = tuple[SSAValue, SSAValue]
Offsets = tuple[SSAValue, ...]
HANDOVER_CLOCKS = 1200  # until a block has the sums of another: two ways to the second-level cache
LEAST_STEPS = 4  # of a stripe
SHARES = (1, 2, 4)  # blocks of a multiprocessor
PARTS = (2, 4, 8)  # blocks of a tile, where tiles are few


@dataclass(frozen=True)
class Stripes:
    """`tiles` of `steps` steps for at most `most` blocks."""

    tiles: int
    steps: int
    most: int

    @property
    def total(self) -> int:
        """Steps of all tiles."""
        return self.tiles * self.steps

    @property
    def each(self) -> int:
        """Steps of a stripe; the last one may have fewer."""
        return -(-self.total // self.most)

    @property
    def blocks(self) -> int:
        """Stripes that are not empty."""
        return -(-self.total // self.each)

    def first_of(self, tile: int) -> int:
        """The stripe with the first step of a tile."""
        return tile * self.steps // self.each

    def last_of(self, tile: int) -> int:
        """The stripe with the last step of a tile."""
        return ((tile + 1) * self.steps - 1) // self.each

    @property
    def parts(self) -> list[int]:
        """By tile, how many stripes meet in it."""
        return [self.last_of(t) - self.first_of(t) + 1 for t in range(self.tiles)]

    @property
    def waiting(self) -> float:
        """Clocks for which the last part of a tile waits for the others."""
        return HANDOVER_CLOCKS * (max(self.parts) - 1)


def block_counts(tiles: int, steps: int, multiprocessors: int) -> Iterator[int]:
    """Numbers of blocks that may share the steps of `tiles`; 0: each has a tile."""
    counts = [share * multiprocessors for share in SHARES] + [parts * tiles for parts in PARTS]
    most = min(tiles * steps // LEAST_STEPS, SHARES[-1] * multiprocessors)
    yield from sorted({0, *(n for n in counts if 1 < n <= most and n != tiles)})


def striped(
    b: ProgramBuilder,
    stripes: Stripes,
    sums_of: Callable[[SSAValue, Range], tuple[SSAValue, Offsets]],
    finish: Callable[[SSAValue, Offsets], None],
    workspace: SSAValue,
    semaphores: SSAValue,
) -> None:
    """What each block along the grid's first axis does: the parts of tiles in its stripe.

    `sums_of(tile, steps)` are the sums of some steps of a tile, and where it lies in the result;
    `finish` gets those of all steps. `semaphores` has a 0 for each tile, before and after;
    `workspace` is an array like the result.
    """
    steps, each = stripes.steps, stripes.each
    stripe = named(b.minus(stripes.blocks - 1, b.block_index(0, "block")), "stripe")
    first = named(b.times(stripe, each), "first")
    last = named(b.smaller(b.plus(first, each), stripes.total), "last")
    ends = b.quotient(first, steps), b.plus(b.quotient(b.minus(last, 1), steps), 1)
    first_tile, end_tile = named(ends[0], "first_tile"), named(ends[1], "end_tile")
    with b.loop(first_tile, end_tile, [], "tile") as (tile, _, _):
        b.do(ops.SyncOp())  # all threads have read the last stages of the tile before
        start = named(b.times(tile, steps), "tile_start")
        own = b.minus(first, b.smaller(first, start)), b.smaller(b.minus(last, start), steps)
        sums, at = sums_of(tile, own)
        end = b.quotient(b.plus(start, steps - 1), each)
        part = named(b.minus(end, stripe), "part")
        most = named(b.minus(end, b.quotient(start, each)), "last_part")
        arrays = tile, workspace, semaphores
        add_in_order(b, sums, part, most, at, *arrays, lambda total: finish(total, at))
