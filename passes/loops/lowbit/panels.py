"""The arrays of a quantized product as its loops read them: panels of rows of the weight.

before: codes [N, K] of i8, scales and zeros [N, groups], bias [N], levels [2^width]
after:  words [tile, word, lane] of i32, [tile, group, lane], [tile, lane], whole registers
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from xdsl.dialects.builtin import i32
from xdsl.ir import SSAValue
from xdsl.ir.affine import AffineExpr, AffineMap

from ....costmodel.hardware import Machine
from ....costmodel.matrix_unit import WORDS, most_rows
from ....dialects.graph import element_of, shape_of
from ....dialects.poly import PackAttr
from ....dialects.quant import PERIOD, WeightFormat
from ....dialects.quant.ops import BLOCK, BitPackAttr, QuantizedLinearOp
from ..opaque_rules.kernel import OpaqueKernel
from ..opaque_rules.loop_builder import LoopBuilder

Tile = tuple[int, int]
# (most rows of activations, lane groups) of a register tile, by registers of the machine
REGISTER_TILES = {1: ((4, 1),), 16: ((1, 4), (4, 2)), 32: ((6, 4),)}
# The same where weights are read from a block that was decoded before
BLOCK_TILES = {1: ((4, 1),), 16: ((4, 2), (4, 3)), 32: ((14, 2),)}


@dataclass(frozen=True)
class TileShape:
    """A register tile: `rows` of activations by `vectors` of `lanes` rows of the weight."""

    rows: int
    vectors: int
    lanes: int

    @property
    def panel(self) -> int:
        """Rows of the weight per tile."""
        return self.vectors * self.lanes


def register_tile(machine: Machine, rows: int) -> TileShape:
    """A tile for weights that are decoded in registers."""
    return tile_shape(machine, rows, REGISTER_TILES)


def integer_tile(machine: Machine, rows: int, digits: int) -> TileShape:
    """A tile for integer codes; a row of activations is as many rows of bytes as it has digits."""
    tile = tile_shape(machine, rows * digits, REGISTER_TILES)
    most = max(1, tile.rows // digits)
    blocks = -(-rows // most)
    return TileShape(-(-rows // blocks), tile.vectors, tile.lanes)


def block_tile(machine: Machine, rows: int) -> TileShape:
    """A tile for weights that are read as numbers."""
    return tile_shape(machine, rows, BLOCK_TILES)


def matrix_unit_tile(rows: int) -> TileShape:
    """A tile for weights that a matrix unit reads as bytes."""
    vectors = 2
    blocks = -(-rows // most_rows(vectors))
    return TileShape(-(-rows // blocks), vectors, WORDS)


def tile_shape(machine: Machine, rows: int, table: Mapping[int, Sequence[Tile]]) -> TileShape:
    """As many rows as registers allow, in blocks of about equal size."""
    lanes = machine.lanes(4)
    choices = table[1 if lanes == 1 else 32 if machine.vector_registers >= 32 else 16]
    most, vectors = next((c for c in choices if rows <= c[0]), choices[-1])
    blocks = -(-rows // most)
    return TileShape(-(-rows // blocks), vectors, lanes)


@dataclass(frozen=True)
class Panels:
    """The packed arrays of one kernel and their extents."""

    format: WeightFormat
    tile: TileShape
    rows: int
    columns: int
    outputs: int
    words: SSAValue
    scales: SSAValue
    zeros: SSAValue | None
    levels: SSAValue | None
    bias: SSAValue | None

    @property
    def tiles(self) -> int:
        """Panels of the weight."""
        return -(-self.outputs // self.tile.panel)

    @property
    def periods(self) -> int:
        """Periods along K, the last one padded."""
        return -(-self.columns // PERIOD)

    @property
    def group_periods(self) -> int:
        """Periods of a group, all where there is one."""
        group = self.format.group
        return self.periods if group is None else group // PERIOD

    @property
    def blocks(self) -> tuple[int, int]:
        """(whole blocks of rows, rows left over)."""
        return divmod(self.rows, self.tile.rows)

    def over_blocks(
        self, b: LoopBuilder, body: Callable[[LoopBuilder, SSAValue, int], None]
    ) -> None:
        """body(b, block, rows) for the blocks of rows, the last of which may be smaller."""
        blocks, rest = self.blocks
        if blocks:
            b.loop(0, blocks, lambda b, block: body(b, block, self.tile.rows))
        if rest:
            body(b, b.index(blocks), rest)


def pack_panels(op: QuantizedLinearOp, kernel: OpaqueKernel, tile: TileShape, order: str) -> Panels:
    """Have the weights of the kernel packed, codes in the `order` of `BitPackAttr`.

    Levels repeat until they fill a register; with "transposed" every block of a register has four.
    """
    outputs, columns = shape_of(op.codes)
    rows = shape_of(op.source)[0]
    format = op.weight_format
    bits = BitPackAttr.of(format.element.width, tile.panel, order)
    kernel.pack(op.codes, bits, bits.packed_shape(outputs, columns), i32)
    tiles, groups = -(-outputs // tile.panel), format.groups(columns)
    tile_dim, group_dim, lane = (AffineExpr.dimension(d) for d in range(3))
    by_group = AffineMap(3, 0, (tile_dim * tile.panel + lane, group_dim))
    for value in (op.scales, op.zeros):
        if value is not None:
            pack = PackAttr.of(by_group, shape_of(value))
            kernel.pack(value, pack, [tiles, groups, tile.panel], element_of(value))
    if op.bias is not None:
        by_tile = AffineMap(2, 0, (tile_dim * tile.panel + group_dim,))
        pack = PackAttr.of(by_tile, [outputs])
        kernel.pack(op.bias, pack, [tiles, tile.panel], element_of(op.bias))
    if op.levels is not None:
        (count,) = shape_of(op.levels)
        level, size = tile_dim % count, max(count, tile.lanes)
        if order == "transposed":
            level = tile_dim // tile.lanes * BLOCK + tile_dim % BLOCK
            size = count // BLOCK * tile.lanes
        repeated = PackAttr.of(AffineMap(1, 0, (level,)), [count])
        kernel.pack(op.levels, repeated, [size], element_of(op.levels))
    arrays = (None if v is None else kernel.arrays[v] for v in (op.zeros, op.levels, op.bias))
    zeros, levels, bias = arrays
    return Panels(
        format,
        tile,
        rows,
        columns,
        outputs,
        kernel.arrays[op.codes],
        kernel.arrays[op.scales],
        zeros,
        levels,
        bias,
    )
