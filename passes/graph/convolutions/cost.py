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
from ....dialects.winograd import POINTS, WINDOW

DIRECT = "direct"
Split = Literal["tiles", "channels"]

# A core does one multiply-add of vectors per cycle (Zen 4, similar on others); bytes are what it
# reads per cycle, all cores reading.
CLOCK = 3e9  # as elsewhere where nothing is measured; ratios decide
MEMORY_BYTES, L3_BYTES = 4.0, 8.0
DIRECT_TERM = 1.12  # cycles per multiply-add of the direct register tiles, with their loads
LATENCY = 8  # independent sums that keep the multiply-add units busy
TRANSFORM = 1.3  # cycles of a vector operation of a transform, with its share of loads and stores
INPUT_STEPS = {2: 32, 4: 144}  # vector operations of a tile, counted with shared even and odd parts
RESULT_STEPS = {2: 24, 4: 130}
REGION = 6000  # of a parallel region
MOST_BLOCKS = 4


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

    Sums of `rows` tiles x `columns` blocks of channels are in registers. Threads share the tiles,
    each transforming its own, or, where there are few, the channels of the results.
    """

    tile: int
    rows: int
    columns: int
    split: Split
    cycles: float

    def __str__(self) -> str:
        sums = f"{self.rows} tiles x {self.columns} blocks"
        return f"{name_of(self.tile)}, {sums}, threads share {self.split}"


def name_of(tile: int) -> str:
    """Winograd's algorithm for tiles of so many results a side."""
    return f"F({tile}x{tile},3x3)"


def tile_counts(conv: Convolution, tile: int) -> tuple[int, int]:
    """Tiles along the height and the width of an image."""
    return ceil(conv.height / tile), ceil(conv.width / tile)


def direct_cycles(conv: Convolution, threads: int) -> float:
    """Of direct sums."""
    positions = conv.batch * conv.height * conv.width
    sums = DIRECT_TERM * positions * WINDOW * WINDOW * conv.channels * conv.blocks / threads
    cycles = max(sums, _weight_cycles(conv, WINDOW, 1, threads))
    return cycles / (2 if conv.paired else 1) + REGION


def winograd_plan(conv: Convolution, tile: int, machine: Machine, threads: int) -> Plan:
    """The fastest way to do it in tiles of `tile` x `tile` results."""
    return min(_plans(conv, tile, machine, threads), key=lambda plan: plan.cycles)


def predicted_cycles(conv: Convolution, machine: Machine, threads: int) -> dict[str, float]:
    """Cycles of direct sums and of each F(m), by name."""
    found = {DIRECT: direct_cycles(conv, threads)}
    for tile in POINTS:
        plan = winograd_plan(conv, tile, machine, threads)
        found[name_of(tile)] = plan.cycles
    return found


def _plans(conv: Convolution, tile: int, machine: Machine, threads: int) -> Iterator[Plan]:
    size, (down, across) = tile + WINDOW - 1, tile_counts(conv, tile)
    tiles, inner = conv.batch * down * across, conv.channels // conv.lanes
    for columns in range(1, min(MOST_BLOCKS, conv.blocks) + 1):
        groups, rest = divmod(conv.blocks, columns)
        for rows in range(1, (machine.vector_registers - 1) // columns):
            held = size * size * rows * conv.channels * conv.element_bytes
            if rest or rows > tiles or (rows > 1 and held > machine.l2_bytes // 2):
                continue
            count = ceil(tiles / rows)
            block = size * size * conv.channels * _term_cycles(rows, columns)
            transforms = (
                rows * TRANSFORM * (inner * INPUT_STEPS[tile] + conv.blocks * RESULT_STEPS[tile])
            )
            own = ceil(count / threads)
            sums = max(block * groups * own, _weight_cycles(conv, size, own, 1, threads))
            yield Plan(tile, rows, columns, "tiles", sums + own * transforms + REGION)
            share = ceil(groups / threads) * block * count
            sums = max(share, _weight_cycles(conv, size, count, threads, threads))
            cycles = sums + count * (transforms / threads + 2 * REGION)
            yield Plan(tile, rows, columns, "channels", cycles)


def _weight_cycles(
    conv: Convolution, size: int, passes: int, shared: int, threads: int = 1
) -> float:
    """To read the weights `passes` times, each thread 1 / `shared` of them."""
    found = conv.weight_bytes(size)
    near = passes * found / shared / L3_BYTES
    return max(near, found / max(shared, threads) / MEMORY_BYTES) if conv.is_cold else near


def _term_cycles(rows: int, columns: int) -> float:
    """Of one term of all sums of a register tile: multiply-adds, loads, or latency."""
    loads = columns + rows / 2
    return max(rows * columns, loads, LATENCY) + loads / 16 + 0.5
