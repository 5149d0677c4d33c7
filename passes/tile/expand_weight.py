"""A packed weight of few bits as a plain [N, K] matrix: the first step where M is large.

In: a `LowbitLinear`. Out: a `tile.program` that writes every number once; a plain matmul follows.
Reading the weight again as 16-bit numbers costs little where each is used for many rows.
"""

from __future__ import annotations

from xdsl.ir import SSAValue

from ...dialects.tile import ops
from ...dialects.tile.atoms import F32
from ...dialects.tile.types import PointerType, RegisterType
from .builder import ProgramBuilder, fixed_grid
from .lowbit_linear import LowbitLinear
from .quantized_linear import weight_arguments


def expand_program(name: str, linear: LowbitLinear) -> ops.ProgramOp:
    """Arguments weight, scales, zeros (if any), levels (where codes are looked up), result.

    (level - zero) * scale is computed in f32 and rounded once.
    """
    _, bn, bk = linear.warps.tile
    activation, layout = linear.activation, linear.fragments
    arguments = [*weight_arguments(linear), ("result", PointerType(activation))]
    b = ProgramBuilder(name, layout.threads, fixed_grid(linear.tiles, linear.steps, 1), arguments)
    tile, step = b.block_index(0, "tile"), b.block_index(1, "step")
    weight = b.view_global("weight", (linear.tiles * linear.steps, linear.tile_bytes), [])
    result = b.view_global("result", (linear.rows, linear.columns), [])
    place = (b.plus(b.times(tile, linear.steps), step), 0)
    held = b.load(weight, place, linear.byte_layout, "bytes")
    codes = b.add(ops.ViewOp(held, RegisterType.of(layout, linear.code)), "codes")
    if linear.has_table:
        table = b.view_global("levels", (1 << linear.code.element.width,), [])
        numbers = b.lookup(codes, table, "numbers")
    else:
        numbers = b.cast(codes, activation, "levels", linear.levels)
        numbers = b.cast(numbers, F32, "numbers")
    row, size = tile, bk
    if linear.group is not None:
        first = b.times(tile, linear.scale_rows)
        if linear.has_small_groups:
            row, size = b.plus(first, b.times(step, linear.groups_per_step)), linear.group
        else:
            row = b.plus(first, b.quotient(step, linear.group // bk))

    def every(name: str) -> SSAValue:
        """Numbers of groups in the place of every number of the tile."""
        table = b.view_global(name, (linear.tiles * linear.scale_rows, bn), [])
        part = layout.reduce(1, size).permute((1, 0))
        wide = b.cast(b.load(table, (row, 0), part, name), F32, name)
        return b.broadcast(b.add(ops.TransposeOp(wide), name), layout, 1, size, f"every_{name}")

    if linear.has_zeros:
        numbers = b.binary("sub", numbers, every("zeros"), "numbers")
    numbers = b.binary("mul", numbers, every("scales"), "numbers")
    rounded = b.cast(numbers, activation, "rounded")
    b.store(rounded, result, (b.times(tile, bn), b.times(step, bk)))
    return b.program
