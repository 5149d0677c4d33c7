"""A packed weight of few bits as a plain [N, K] matrix: the first step where M is large.

In: a `LowbitLinear`. Out: a `tile.program` that writes every number once; a plain matmul follows.
Reading the weight again as 16-bit numbers costs little where each is used for many rows.
"""

from __future__ import annotations

from xdsl.ir import SSAValue
from xdsl.ir.affine import AffineConstantExpr, AffineMap

from ...dialects.tile import ops
from ...dialects.tile.atoms import F32, I8
from ...dialects.tile.types import PointerType, RegisterType
from .builder import ProgramBuilder
from .lowbit_linear import LowbitLinear


def expand_program(name: str, linear: LowbitLinear) -> ops.ProgramOp:
    """Arguments weight, scales, zeros, channel_scales (as `lowbit_packing` makes them), result.

    (level - zero) * scale is computed in f32 and rounded once.
    """
    _, bn, bk = linear.warps.tile
    activation, layout = linear.activation, linear.fragments
    scale_element = activation if linear.has_small_groups else F32
    blocks = (linear.tiles, linear.steps, 1)
    b = ProgramBuilder(
        name,
        layout.threads,
        AffineMap(0, 0, tuple(AffineConstantExpr(n) for n in blocks)),
        [
            ("weight", PointerType(I8)),
            ("scales", PointerType(scale_element)),
            ("zeros", PointerType(activation)),
            ("channel_scales", PointerType(F32)),
            ("result", PointerType(activation)),
        ],
    )
    tile, step = b.block_index(0, "tile"), b.block_index(1, "step")
    weight = b.view_global("weight", (linear.tiles * linear.steps, linear.tile_bytes), [])
    result = b.view_global("result", (linear.rows, linear.columns), [])
    place = (b.plus(b.times(tile, linear.steps), step), 0)
    held = b.load(weight, place, linear.byte_layout, "bytes")
    codes = b.add(ops.ViewOp(held, RegisterType.of(layout, linear.code)), "codes")
    levels = b.cast(codes, activation, "levels", linear.levels)
    numbers = b.cast(levels, F32, "numbers")
    group = linear.group if linear.has_small_groups and linear.group else bk

    def times_scale(values: SSAValue, table: SSAValue, row: SSAValue, size: int) -> SSAValue:
        return b.binary("mul", values, spread(table, row, size, "scale"), "numbers")

    def spread(table: SSAValue, row: SSAValue, size: int, what: str) -> SSAValue:
        part = layout.reduce(1, size).permute((1, 0))
        wide = b.cast(b.load(table, (row, 0), part, what), F32, what)
        return b.broadcast(b.add(ops.TransposeOp(wide), what), layout, 1, size, f"every_{what}")

    if linear.group is not None:
        table = (linear.tiles * linear.scale_rows, bn)
        first = b.times(tile, linear.scale_rows)
        if linear.has_small_groups:
            row = b.plus(first, b.times(step, linear.groups_per_step))
        else:
            row = b.plus(first, b.quotient(step, linear.group // bk))
        if linear.has_zeros:
            zero = spread(b.view_global("zeros", table, []), row, group, "zero")
            numbers = b.binary("sub", numbers, zero, "numbers")
        numbers = times_scale(numbers, b.view_global("scales", table, []), row, group)
    if linear.group is None or linear.has_small_groups:
        channels = b.view_global("channel_scales", (linear.tiles, bn), [])
        numbers = times_scale(numbers, channels, tile, bk)
    rounded = b.cast(numbers, activation, "rounded")
    b.store(rounded, result, (b.times(tile, bn), b.times(step, bk)))
    return b.program
