"""Cycles of a 3x3 convolution on channel blocks: direct sums, and Winograd's F(2x2) and F(4x4).

Winograd's products need 16/36 and 36/144 of the multiply-adds of direct sums, but whole tiles: an
image of 7 rows has 2 tiles of 4, as one of 8. The transforms cost cycles, and transformed weights
are 16/9 and 36/9 as large, which decides for small images of many channels, where each weight is
used a few times only: those are bound by memory. These figures decide.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import Literal

from ....costmodel.hardware import Machine
from ....costmodel.tile_cost import TileCost
from ....dialects.winograd import POINTS, WINDOW

DIRECT = "direct"
Split = Literal["tiles", "channels"]
Outermost = Literal["groups", "points"]

# Cycles of multiply-adds follow from the machine's vectors; bytes are what a core reads per cycle,
# all cores reading.
CLOCK = 3e9  # as elsewhere where nothing is measured; ratios decide
MEMORY_BYTES, L3_BYTES = 4.0, 8.0
DIRECT_TERM = 1.12  # multiply-adds whose time one of the direct register tiles takes, with loads
TRANSFORM = 1.3  # multiply-adds per vector operation of a transform, with its loads and stores
INPUT_STEPS = {2: 32, 4: 144}  # vector operations of a tile, counted with shared even and odd parts
RESULT_STEPS = {2: 24, 4: 130}
REGION = 6000  # of a parallel region
MOST_BLOCKS = 4
MOST_PASSES = 8  # of each thread over the weights, points outermost
PARTS_GAIN = 0.03  # that several parts have to have, the estimate being no more exact


@dataclass(frozen=True)
class Convolution:
    """A 3x3 convolution with step 1: results [batch, blocks, height, width, lanes] of `channels`.

    `is_cold` says that the weights of the model are read from memory in every call, `paired` that
    direct sums take two products at a time, of bf16.
    """

    batch: int
    channels: int
    blocks: int
    height: int
    width: int
    lanes: int
    element_bytes: int
    is_cold: bool
    paired: bool = False

    def weight_bytes(self, size: int) -> int:
        """Of windows of size x size."""
        return size * size * self.channels * self.blocks * self.lanes * self.element_bytes


@dataclass(frozen=True)
class Plan:
    """How the loops of a Winograd convolution are blocked.

    Sums of `rows` tiles x `columns` blocks of channels are in registers, `parts` times one after
    the other while their weights are in the cache. Threads share the tiles, each transforming its
    own, or, where there are few, the channels of the results. With `groups` of blocks outermost,
    the inputs of a block of tiles stay in the second-level cache; with the `points` of the
    transform outermost, those of one point do, and many more tiles share the weights.
    """

    tile: int
    rows: int
    columns: int
    parts: int
    split: Split
    outermost: Outermost
    cycles: float

    @property
    def block(self) -> int:
        """Tiles that are transformed before their products are summed."""
        return self.rows * self.parts

    def __str__(self) -> str:
        times = f"{self.parts} times " if self.parts > 1 else ""
        sums = f"{times}{self.rows} tiles x {self.columns} blocks"
        return f"{name_of(self.tile)}, {sums}, {self.outermost} first, threads share {self.split}"


def name_of(tile: int) -> str:
    """Winograd's algorithm for tiles of so many results a side."""
    return f"F({tile}x{tile},3x3)"


def tile_counts(conv: Convolution, tile: int) -> tuple[int, int]:
    """Tiles along the height and the width of an image."""
    return ceil(conv.height / tile), ceil(conv.width / tile)


def direct_cycles(conv: Convolution, machine: Machine, threads: int) -> float:
    """Of direct sums."""
    positions = conv.batch * conv.height * conv.width
    terms = positions * WINDOW * WINDOW * conv.channels * conv.blocks / threads
    sums = DIRECT_TERM * terms / machine.multiply_adds
    cycles = max(sums, _weight_cycles(conv, WINDOW, 1, threads))
    return cycles / (2 if conv.paired else 1) + REGION


def winograd_plan(conv: Convolution, tile: int, machine: Machine, threads: int) -> Plan:
    """The fastest way to do it in tiles of `tile` x `tile` results, in one part if that is near."""
    plans = sorted(_plans(conv, tile, machine, threads), key=lambda plan: plan.cycles)
    near = plans[0].cycles / (1 - PARTS_GAIN)
    return next((p for p in plans if p.parts == 1 and p.cycles <= near), plans[0])


def predicted_cycles(conv: Convolution, machine: Machine, threads: int) -> dict[str, float]:
    """Cycles of direct sums and of each F(m), by name."""
    found = {DIRECT: direct_cycles(conv, machine, threads)}
    for tile in POINTS:
        plan = winograd_plan(conv, tile, machine, threads)
        found[name_of(tile)] = plan.cycles
    return found


def _plans(conv: Convolution, tile: int, machine: Machine, threads: int) -> Iterator[Plan]:
    down, across = tile_counts(conv, tile)
    tiles, held = conv.batch * down * across, _input_bytes(conv, tile)
    near, slice_bytes = machine.l2_bytes // 2, conv.channels * conv.element_bytes
    for columns in range(1, min(MOST_BLOCKS, conv.blocks) + 1):
        if conv.blocks % columns:
            continue
        for rows in range(1, min(tiles, (machine.vector_registers - 1) // columns - 1) + 1):
            fitting = max(1, near // held // rows)
            if rows == 1 or rows * held <= near:
                for parts in range(1, min(fitting, ceil(tiles / rows)) + 1):
                    yield from _splits(
                        conv, (tile, rows, columns, parts), machine, threads, "groups"
                    )
            fitting = near // slice_bytes // rows
            counts = {ceil(tiles / rows / k) for k in range(1, MOST_PASSES * threads + 1)}
            for parts in sorted(n for n in counts if 1 < n <= fitting):
                yield from _splits(conv, (tile, rows, columns, parts), machine, threads, "points")


def _splits(
    conv: Convolution,
    loops: tuple[int, int, int, int],
    machine: Machine,
    threads: int,
    outermost: Outermost,
) -> Iterator[Plan]:
    """With tiles and with channels shared by threads."""
    tile, rows, columns, parts = loops
    size, (down, across) = tile + WINDOW - 1, tile_counts(conv, tile)
    groups, block = conv.blocks // columns, rows * parts
    count = ceil(conv.batch * down * across / block)
    first, others = (  # parts of a block: the first one reads the weights
        TileCost(machine, is_streamed, overhead=0.5).term(columns, rows) / machine.multiply_adds
        for is_streamed in (True, False)
    )
    terms = first + (parts - 1) * others
    sums = size * size * conv.channels * terms  # of a group of blocks
    inner = conv.channels // conv.lanes
    steps = inner * INPUT_STEPS[tile] + conv.blocks * RESULT_STEPS[tile]
    transforms = block * TRANSFORM * steps / machine.multiply_adds

    def moved(groups: int) -> float:
        """Inputs that are read and products that are written and read, points outermost."""
        lines = conv.channels + 2 * groups * columns * conv.lanes
        found = block * size * size * lines * conv.element_bytes
        return found / L3_BYTES if outermost == "points" else 0.0

    own, shared = ceil(count / threads), ceil(groups / threads)
    products = max(sums * groups * own, _weight_cycles(conv, size, own, 1, threads))
    rest = own * (transforms + moved(groups)) + REGION
    yield Plan(*loops, "tiles", outermost, products + rest)
    weights = _weight_cycles(conv, size, count, threads, threads)
    products = max(sums * shared * count, weights)
    rest = count * (transforms / threads + moved(shared) + 2 * REGION)
    yield Plan(*loops, "channels", outermost, products + rest)


def _input_bytes(conv: Convolution, tile: int) -> int:
    """Of the transformed inputs of one tile."""
    return (tile + WINDOW - 1) ** 2 * conv.channels * conv.element_bytes


def _weight_cycles(
    conv: Convolution, size: int, passes: int, shared: int, threads: int = 1
) -> float:
    """To read the weights `passes` times, each thread 1 / `shared` of them."""
    found = conv.weight_bytes(size)
    near = passes * found / shared / L3_BYTES
    return max(near, found / max(shared, threads) / MEMORY_BYTES) if conv.is_cold else near
