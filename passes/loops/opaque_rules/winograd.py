"""Loops of `graph.winograd_conv`: transforms and products of a block of tiles that stays in cache.

    parallel for blocks of tiles:                         (or one block after the other)
        for tiles t, blocks of channels c: inputs[., c, t] = B^T source[t, c] B
        for groups g of blocks of results:                (parallel then)
            for u in (m + 2)^2, and parts of the block:
                products[u] = sum over c, l of inputs[u, c, ., l] * weight[g, u, c, l]
            for tiles t, blocks o of g:
                out[t, o] = relu(A^T products[., t, o] A + bias + residual)

Sums of all tiles of a part and all blocks of a group are in registers; weights are one stream.
Where the weights are what is read most, the loop over u is outermost: the inputs of one u stay near
for more tiles, products of all groups are kept, and results follow in a loop of their own.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import SSAValue

from ....dialects.graph import shape_of
from ....dialects.graph.winograd import WinogradConvOp
from ...graph.convolutions.cost import Convolution, winograd_plan
from ...poly.storage import element_bytes
from .kernel import OpaqueKernel
from .loop_builder import LoopBuilder
from .rule import lowers
from .winograd_tiles import TileLoops, each_of


@lowers(WinogradConvOp)
def lower_winograd_conv(op: WinogradConvOp, kernel: OpaqueKernel, b: LoopBuilder) -> None:
    """A border of zeros, then blocks of tiles."""
    threads = kernel.threads if b.is_parallel else 1
    batch, blocks, height, width, lanes = op.positions
    channels = shape_of(op.weight)[-2]
    size = element_bytes(kernel.out)
    conv = Convolution(batch, channels, blocks, height, width, lanes, size, is_cold=True)
    plan = winograd_plan(conv, op.tile.data, kernel.machine, threads)
    loops = TileLoops(op, kernel, conv, plan, threads)
    zero_border(loops, b)
    if plan.split == "tiles":
        share_tiles(loops, b)
    else:
        share_channels(loops, b)


def zero_border(loops: TileLoops, b: LoopBuilder) -> None:
    """Zeros around the results."""
    high = [w.data for w in loops.op.border_high]
    batch, blocks, rows, columns, _ = shape_of(loops.op.result)
    if not any(loops.low) and not any(high):
        return

    def fill(b: LoopBuilder, at: Sequence[SSAValue], down: range, across: range) -> None:
        def store(b: LoopBuilder, y: SSAValue, x: SSAValue) -> None:
            v = loops.vectors(b)
            v.store(v.constant(0.0), loops.kernel.out, [*at, y, x, b.index(0)])

        def row(b: LoopBuilder, y: SSAValue) -> None:
            b.loop(across.start, across.stop, lambda b, x: store(b, y, x))

        if down and across:
            b.loop(down.start, down.stop, row)

    def image(b: LoopBuilder, at: list[SSAValue]) -> None:
        inside = range(loops.low[0], rows - high[0])
        fill(b, at, range(loops.low[0]), range(columns))
        fill(b, at, range(inside.stop, rows), range(columns))
        fill(b, at, inside, range(loops.low[1]))
        fill(b, at, inside, range(columns - high[1], columns))

    b.nest([batch, blocks], image)


def share_tiles(loops: TileLoops, b: LoopBuilder) -> None:
    """Each thread does some blocks of tiles on its own."""
    share = -(-loops.blocks // loops.threads)
    inner = loops.conv.channels // loops.conv.lanes

    def block(b: LoopBuilder, thread: SSAValue, first: SSAValue) -> None:
        loops.each_tile(
            b, first, lambda b, t, tile: each_of(b, inner, loops.transform, thread, t, tile)
        )
        every = b.index(0), b.index(loops.groups)
        loops.some_groups(b, thread, thread, first, every)

    def some(b: LoopBuilder, thread: SSAValue) -> None:
        first = b.mul(thread, b.index(share))
        last = b.minimum(b.add(first, b.index(share)), b.index(loops.blocks))
        b.loop(first, last, lambda b, k: block(b, thread, b.mul(k, b.index(loops.plan.block))))

    b.parallel(0, loops.threads, some)


def share_channels(loops: TileLoops, b: LoopBuilder) -> None:
    """Blocks one after the other; threads share their channels, then those of the results."""
    inner = loops.conv.channels // loops.conv.lanes
    share = -(-loops.groups // loops.threads)

    def inputs(b: LoopBuilder, first: SSAValue, c: SSAValue) -> None:
        own = b.index(0)
        loops.each_tile(b, first, lambda b, t, tile: loops.transform(b, own, t, tile, c))

    def results(b: LoopBuilder, first: SSAValue, thread: SSAValue) -> None:
        start = b.mul(thread, b.index(share))
        stop = b.minimum(b.add(start, b.index(share)), b.index(loops.groups))
        loops.some_groups(b, b.index(0), thread, first, (start, stop))

    def block(b: LoopBuilder, k: SSAValue) -> None:
        first = b.mul(k, b.index(loops.plan.block))
        b.parallel(0, inner, lambda b, c: inputs(b, first, c))
        b.parallel(0, loops.threads, lambda b, thread: results(b, first, thread))

    b.loop(0, loops.blocks, block, shares=True)
