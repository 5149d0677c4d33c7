"""Loops inside a block of tiles of `graph.winograd_conv`: transforms, products, results.

Tiles that are not whole read zeros behind the image and write only what lies inside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from xdsl.dialects import arith
from xdsl.dialects.builtin import VectorType
from xdsl.ir import SSAValue
from xdsl.ir.affine import AffineExpr, AffineMap

from ....dialects.graph import element_of
from ....dialects.graph.winograd import WinogradConvOp
from ....dialects.vector import PrefetchOp
from ....dialects.winograd import WINDOW, transforms
from ...graph.convolutions.cost import Convolution, Plan, tile_counts
from .kernel import OpaqueKernel, unravel
from .linear_forms import both_sides
from .loop_builder import LoopBuilder
from .vectors import Vectors

Position = Sequence[SSAValue]
T = TypeVar("T")
PAGE, LINE = 4096, 64  # bytes


@dataclass
class TileLoops:
    """What is done for one tile, or for one group of results of a block of tiles."""

    op: WinogradConvOp
    kernel: OpaqueKernel
    conv: Convolution
    plan: Plan
    threads: int

    def __post_init__(self) -> None:
        op, conv, plan = self.op, self.conv, self.plan
        self.tile = op.tile.data
        self.size = self.tile + WINDOW - 1
        self.counts = (conv.batch, *tile_counts(conv, self.tile))
        self.tiles = self.counts[0] * self.counts[1] * self.counts[2]
        self.blocks = -(-self.tiles // plan.block)
        self.groups = conv.blocks // plan.columns
        self.element = element_of(op.result)
        self.type = VectorType(self.element, [conv.lanes])
        self.low = [w.data for w in op.border_low]
        self.points = self.size**2
        outer = self.in_order(self.groups, self.points)
        g, u = self.in_order(*(AffineExpr.dimension(d) for d in range(2)))
        c, o, lane = (AffineExpr.dimension(d) for d in range(2, 5))
        source = AffineMap(5, 0, (g * plan.columns + o, u, c, lane))
        shape = [*outer, conv.channels, plan.columns, conv.lanes]
        self.weight = self.kernel.packed(
            LoopBuilder(self.kernel.block, False, self.kernel.sizes), op.weight, shape, source
        )
        own = self.threads if plan.split == "tiles" else 1
        inputs = [own, self.points, conv.channels // conv.lanes, plan.block, conv.lanes]
        self.inputs = self.kernel.scratch("inputs", inputs, self.element)
        held = self.groups if plan.outermost == "points" else self.threads
        places = self.threads if plan.outermost == "points" and plan.split == "tiles" else 1
        products = [places * held, self.points, plan.block, plan.columns, conv.lanes]
        self.products = self.kernel.scratch("products", products, self.element)

    def in_order(self, group: T, point: T) -> tuple[T, T]:
        """What belongs to groups of blocks and to points, outermost first."""
        return (group, point) if self.plan.outermost == "groups" else (point, group)

    def vectors(self, b: LoopBuilder) -> Vectors:
        return Vectors(b, self.type, self.kernel.machine.has_fma)

    def each_tile(
        self,
        b: LoopBuilder,
        first: SSAValue,
        body: Callable[[LoopBuilder, SSAValue, list[SSAValue]], None],
    ) -> None:
        """body(t, position) for the tiles first + t of a block that exist."""
        count = self.count(b, first)
        b.loop(0, count, lambda b, t: body(b, t, unravel(b, b.add(first, t), self.counts)))

    def count(self, b: LoopBuilder, first: SSAValue) -> SSAValue:
        """Tiles of the block that starts with `first`."""
        return b.minimum(b.sub(b.index(self.tiles), first), b.index(self.plan.block))

    def transform(
        self, b: LoopBuilder, own: SSAValue, t: SSAValue, tile: Position, c: SSAValue
    ) -> None:
        """inputs[own, ., c, t] = B^T source B for a tile and a block of channels."""
        image, *corner = tile
        y, x = (b.mul(at, b.index(self.tile)) for at in corner)
        zero = b.index(0)

        def finish(b: LoopBuilder, read: Callable[[int, int], SSAValue]) -> None:
            v, matrix = self.vectors(b), transforms(self.tile).inputs
            patch = [[read(i, j) for j in range(self.size)] for i in range(self.size)]
            for i, row in enumerate(both_sides(v, matrix, patch)):
                for j, value in enumerate(row):
                    v.store(value, self.inputs, [own, b.index(i * self.size + j), c, t, zero])

        def source(b: LoopBuilder, i: SSAValue, j: SSAValue) -> SSAValue:
            at = [image, c, b.add(y, i), b.add(x, j), zero]
            return self.vectors(b).load(*self.kernel.place(b, self.op.source, at))

        def partial(b: LoopBuilder) -> None:
            patch = b.local([self.size, self.size, self.conv.lanes], self.element)

            def copy(b: LoopBuilder, i: SSAValue, j: SSAValue) -> None:
                inside = self.are_inside(b, (b.add(y, i), b.add(x, j)), WINDOW - 1)
                none = [self.vectors(b).constant(0.0)]
                (value,) = b.choose(inside, lambda b: [source(b, i, j)], lambda _: none)
                self.vectors(b).store(value, patch, [i, j, zero])

            b.loop(0, self.size, lambda b, i: each_of(b, self.size, copy, i))
            v = self.vectors(b)
            finish(b, lambda i, j: v.load(patch, [b.index(i), b.index(j), zero]))

        self.whole_or(
            b, (y, x), lambda b: finish(b, lambda i, j: source(b, b.index(i), b.index(j))), partial
        )

    def some_groups(
        self,
        b: LoopBuilder,
        own: SSAValue,
        thread: SSAValue,
        first: SSAValue,
        groups: tuple[SSAValue, SSAValue],
    ) -> None:
        """The products of a block of tiles with groups of blocks of channels, and their results."""
        start, stop = groups

        def place(b: LoopBuilder, group: SSAValue) -> SSAValue:
            if self.plan.outermost == "groups":
                return thread
            if self.plan.split == "channels":
                return group
            return b.add(b.mul(own, b.index(self.groups)), group)

        rows = self.plan.rows
        tiles = rows if self.plan.parts == 1 else self.count(b, first)

        def point(b: LoopBuilder, group: SSAValue, u: SSAValue) -> None:
            def part(b: LoopBuilder, t: SSAValue) -> None:
                self.multiply(b, own, place(b, group), group, u, t)

            b.loop(0, tiles, part, step=rows)

        def points(b: LoopBuilder, group: SSAValue) -> None:
            b.loop(0, self.points, lambda b, u: point(b, group, u), called=True)
            self.results(b, place(b, group), first, group)

        if self.plan.outermost == "groups":
            b.loop(start, stop, points)
            return

        def every(b: LoopBuilder, u: SSAValue) -> None:
            b.loop(start, stop, lambda b, group: point(b, group, u), called=True)

        b.loop(0, self.points, every)
        b.loop(start, stop, lambda b, group: self.results(b, place(b, group), first, group))

    def results(self, b: LoopBuilder, place: SSAValue, first: SSAValue, group: SSAValue) -> None:
        """The results of a block of tiles and a group of blocks, from its products at `place`."""
        columns = self.plan.columns

        def tile(b: LoopBuilder, t: SSAValue, at: Position) -> None:
            each_of(b, columns, lambda b, o: self.result(b, place, t, at, group, o))

        self.each_tile(b, first, tile)

    def multiply(
        self,
        b: LoopBuilder,
        own: SSAValue,
        thread: SSAValue,
        group: SSAValue,
        u: SSAValue,
        first: SSAValue,
    ) -> None:
        """products[thread, u] = the sums over all channels, in registers, of the tiles of the block
        from `first` on."""
        rows, columns, lanes = self.plan.rows, self.plan.columns, self.conv.lanes
        zero, at = b.index(0), self.in_order(group, u)

        def term(b: LoopBuilder, c: SSAValue, lane: SSAValue, sums: Position) -> list[SSAValue]:
            v, channel = self.vectors(b), b.add(b.mul(c, b.index(lanes)), lane)
            factors = [
                v.load(self.weight, [*at, channel, b.index(o), zero]) for o in range(columns)
            ]
            result: list[SSAValue] = []
            for t in range(rows):
                value = v.splat(b.load(self.inputs, [own, u, c, b.add(first, b.index(t)), lane]))
                result += [
                    v.multiply_add(value, factor, sums[t * columns + o])
                    for o, factor in enumerate(factors)
                ]
            return result

        def channels(b: LoopBuilder, c: SSAValue, *sums: SSAValue) -> list[SSAValue]:
            if self.kernel.machine.has_few_registers:
                self.ask_for_weights(b, at, b.mul(c, b.index(lanes)))
            return b.loop(0, lanes, lambda b, lane, *s: term(b, c, lane, s), sums)

        v = self.vectors(b)
        start = [v.constant(0.0)] * (rows * columns)
        sums = b.loop(0, self.conv.channels // lanes, channels, start)
        for k, value in enumerate(sums):
            t = b.add(first, b.index(k // columns))
            v.store(value, self.products, [thread, u, t, b.index(k % columns), zero])

    def ask_for_weights(self, b: LoopBuilder, at: Position, channel: SSAValue) -> None:
        """Prefetch as many weights as `lanes` channels have, a page behind those of `channel`.

        They are one stream of the whole kernel, from memory, which hardware follows to the end of a
        page: without this a core of few registers, which multiplies as fast as it reads, waits at
        the start of each for a fifth of its time. Tiles of many registers use a weight longer.
        """
        step = self.conv.lanes * self.conv.element_bytes
        later = b.add(channel, b.index(PAGE // (self.plan.columns * step)))
        for byte in range(0, self.conv.lanes * self.plan.columns * step, LINE):
            row, rest = divmod(byte, self.plan.columns * step)
            block, lane = divmod(rest, step)
            place = [b.add(later, b.index(row)), b.index(block), b.index(lane)]
            b.append(PrefetchOp(self.weight, [*at, *place]))

    def result(
        self,
        b: LoopBuilder,
        thread: SSAValue,
        t: SSAValue,
        tile: Position,
        group: SSAValue,
        o: SSAValue,
    ) -> None:
        """out = A^T products A + bias + residual, for a tile and a block of channels."""
        image, *corner = tile
        y, x = (b.mul(at, b.index(self.tile)) for at in corner)
        zero, block = b.index(0), b.add(b.mul(group, b.index(self.plan.columns)), o)
        v, op, size = self.vectors(b), self.op, self.size
        values = [
            [
                v.load(self.products, [thread, b.index(i * size + j), t, o, zero])
                for j in range(size)
            ]
            for i in range(size)
        ]
        results = both_sides(v, transforms(self.tile).outputs, values)
        bias = None
        if op.bias is not None:
            bias = v.load(*self.kernel.place(b, op.bias, [block, zero, zero, zero]))

        def finish(b: LoopBuilder, i: int, j: int) -> None:
            v, at = self.vectors(b), [b.add(y, b.index(i)), b.add(x, b.index(j))]
            value = results[i][j] if bias is None else v.add(results[i][j], bias)
            if op.residual is not None:
                place = self.kernel.place(b, op.residual, [image, block, *at, zero])
                value = v.add(value, v.load(*place))
            if op.relu is not None:
                value = v.relu(value)
            target = [b.add(p, b.index(low)) for p, low in zip(at, self.low, strict=True)]
            v.store(value, self.kernel.out, [image, block, *target, zero])

        def whole(b: LoopBuilder) -> None:
            for i in range(self.tile):
                for j in range(self.tile):
                    finish(b, i, j)

        def partial(b: LoopBuilder) -> None:
            for i in range(self.tile):
                for j in range(self.tile):
                    inside = self.are_inside(b, (b.add(y, b.index(i)), b.add(x, b.index(j))), 0)
                    b.when(inside, lambda b, i=i, j=j: finish(b, i, j))  # type: ignore[misc]

        self.whole_or(b, (y, x), whole, partial)

    def are_inside(self, b: LoopBuilder, at: Position, margin: int) -> SSAValue:
        """Whether a position lies inside of the results, or `margin` behind them."""
        y, x = at
        rows = b.is_inside(y, self.conv.height + margin)
        return b.insert(arith.AndIOp(rows, b.is_inside(x, self.conv.width + margin)))

    def whole_or(
        self,
        b: LoopBuilder,
        corner: Position,
        whole: Callable[[LoopBuilder], None],
        partial: Callable[[LoopBuilder], None],
    ) -> None:
        """One of the bodies, for a tile that lies inside of the image or not."""
        height, width = self.conv.height % self.tile, self.conv.width % self.tile
        if not height and not width:
            whole(b)
            return
        last = [b.add(at, b.index(self.tile - 1)) for at in corner]
        inside = self.are_inside(b, last, 0)
        b.either_runs(inside, whole, partial)


def each_of(b: LoopBuilder, count: int, body: Callable[..., None], *given: object) -> None:
    """body(*given, k) for k in 0..count."""
    b.loop(0, count, lambda b, k: body(b, *given, k))
