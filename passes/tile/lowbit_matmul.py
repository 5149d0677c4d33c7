"""result[M, N] = lhs[M, K] weight[N, K]^T with a weight of 1 to 8 bits, as a tile program.

Each thread reads the bytes of its own fragment, `tile.view`s them as codes and converts them in
registers: nothing goes back to shared memory. Scales of groups that fill a step are applied to the
step's sums in f32, those of smaller groups to the numbers; zero points are subtracted before.
"""

from __future__ import annotations

from xdsl.dialects.builtin import IndexType
from xdsl.ir import SSAValue

from ...dialects.errors import OptionError
from ...dialects.tile import ops
from ...dialects.tile.atoms import F32, I8, I32
from ...dialects.tile.bank_conflicts import choose_swizzle
from ...dialects.tile.types import PointerType, bits_of
from .builder import ProgramBuilder
from .lowbit_linear import LowbitLinear
from .matmul import grid_map
from .pipeline import add_in_order, pipelined, split_range
from .weight_ring import WeightRing, scale_columns


def lowbit_program(name: str, linear: LowbitLinear) -> ops.ProgramOp:
    """Arguments lhs, weight, scales, zeros, channel_scales, result, workspace, semaphores, m.

    `weight`, `scales`, `zeros` and `channel_scales` are as `lowbit_packing` makes them.
    """
    warps, config, activation = linear.warps, linear.config, linear.activation
    bm, bn, bk = warps.tile
    if config.rows != 1:
        raise OptionError(f"weights of few bits are read by one row of warps, not {config.rows}")
    b = ProgramBuilder(
        name,
        warps.threads,
        grid_map(bm, linear.tiles, config.parts),
        [
            ("lhs", PointerType(activation)),
            ("weight", PointerType(I8)),
            ("scales", PointerType(linear.scale_element)),
            ("zeros", PointerType(activation)),
            ("channel_scales", PointerType(F32)),
            ("result", PointerType(activation)),
            ("workspace", PointerType(F32)),
            ("semaphores", PointerType(I32)),
            ("m", IndexType()),
        ],
    )
    m = b.argument("m")
    column, row = b.block_index(0, "column"), b.block_index(1, "row")
    part = b.block_index(2, "part")
    n, k = linear.rows, linear.columns
    lhs = b.view_global("lhs", (-1, k), [m])
    channel_scales = b.view_global("channel_scales", (linear.tiles, bn), [])
    result = b.view_global("result", (-1, n), [m])
    swizzle = choose_swizzle((bm, bk), bits_of(activation) // 8)
    lhs_ring = b.alloc_shared("lhs_ring", (config.stages, bm, bk), activation, swizzle)
    ring = WeightRing(b, linear)
    ring.move_to(column)
    i, j = b.times(row, bm), b.times(column, bn)

    def copy(step: SSAValue, stage: SSAValue) -> None:
        b.copy_async(lhs, (i, b.times(step, bk)), lhs_ring, stage)
        ring.copy(step, stage)

    def compute(step: SSAValue, stage: SSAValue, carried: SSAValue) -> SSAValue:
        left = b.load(lhs_ring, (stage, 0, 0), warps.lhs, "left")
        return ring.multiplied(left, stage, carried)

    def finish(sums: SSAValue) -> None:
        b.store(b.cast(sums, activation, "rounded"), result, (i, j))

    zero = b.fill(0.0, warps.accumulator, F32, "sums")
    steps = split_range(b, part, config.parts, linear.steps)
    sums = pipelined(b, steps, config.stages, copy, compute, zero)
    if not ring.scales_sums:
        sums = scale_columns(b, channel_scales, (column,), sums)
    if config.parts == 1:
        finish(sums)
        return b.program
    workspace = b.view_global("workspace", (-1, n), [m])
    place = b.plus(b.times(row, linear.tiles), column)
    semaphores = b.view_global("semaphores", (-1,), [b.plus(place, 1)])
    add_in_order(b, sums, part, config.parts - 1, (i, j), place, workspace, semaphores, finish)
    return b.program
