"""`quant.linear` as tile programs, by a `LinearPlan`.

One program; or one that leaves the sums of parts of K in memory and one that adds them up in their
order; or one that expands the weight and a product with the numbers. Activations of int8 come from
`rounded_rows`.
"""

from __future__ import annotations

from xdsl.ir import Attribute, SSAValue

from ...dialects.tile import ops
from ...dialects.tile.atoms import F32, I8
from ...dialects.tile.bank_conflicts import choose_swizzle
from ...dialects.tile.register_layout import RegisterLayout, local, spatial
from ...dialects.tile.types import PointerType, bits_of
from .builder import ProgramBuilder, fixed_grid
from .lowbit_linear import LowbitLinear
from .pipeline import Warps, pipelined, split_range
from .quantized_plan import STAGES, LinearPlan
from .weight_ring import WeightRing, of_columns, scale_columns, scale_rows

SUM_THREADS, SUM_COLUMNS = 128, 2  # of the program that adds up parts
Arguments = list[tuple[str, Attribute]]


def weight_arguments(linear: LowbitLinear) -> Arguments:
    """The arrays of a weight: codes, scales, zeros (if any), levels (where codes are looked up)."""
    arguments: Arguments = [("weight", PointerType(I8)), ("scales", PointerType(F32))]
    if linear.has_zeros:
        arguments.append(("zeros", PointerType(linear.zero_element)))
    if linear.has_table:
        arguments.append(("levels", PointerType(F32)))
    return arguments


def product_program(
    name: str, plan: LinearPlan, m: int, activation: Attribute, has_bias: bool
) -> ops.ProgramOp:
    """Arguments lhs, weight arrays, bias (if any, and K is whole), result or sums of parts.

    Where integers are multiplied, the arguments that `rounding_program` writes stand for lhs.
    """
    linear, parts = plan.linear, plan.parts
    warps, config = linear.warps, linear.config
    bm, bn, bk = warps.tile
    memory = I8 if linear.is_integer else activation
    columns = linear.steps * bk if linear.is_integer else linear.columns
    arguments: Arguments = [("lhs", PointerType(memory))]
    if linear.is_integer:
        arguments.append(("row_scales", PointerType(F32)))
    if linear.needs_sums:
        arguments.append(("row_sums", PointerType(F32)))
    arguments += weight_arguments(linear)
    if has_bias and parts == 1:
        arguments.append(("bias", PointerType(activation)))
    arguments.append(("result", PointerType(activation if parts == 1 else F32)))
    grid = fixed_grid(linear.tiles, -(-m // bm), parts)
    b = ProgramBuilder(name, warps.threads, grid, arguments)
    column = b.block_index(0, "column")
    i = b.times(b.block_index(1, "row"), bm) if m > bm else b.index(0)
    j = b.times(column, bn)
    part = b.block_index(2, "part") if parts > 1 else b.index(0)
    lhs = b.view_global("lhs", (m, columns), [])
    swizzle = choose_swizzle((bm, bk), bits_of(memory) // 8)
    lhs_ring = b.alloc_shared("lhs_ring", (config.stages, bm, bk), memory, swizzle)
    ring = WeightRing(b, linear, column)
    if linear.needs_sums:
        row_sums = b.view_global("row_sums", (linear.steps, m), [])
        sum_ring = b.alloc_shared("sum_ring", (config.stages, 1, bm), F32)

    def copy(step: SSAValue, stage: SSAValue) -> None:
        b.copy_async(lhs, (i, b.times(step, bk)), lhs_ring, stage)
        ring.copy(step, stage)
        if linear.needs_sums:
            b.copy_async(row_sums, (step, i), sum_ring, stage)

    def compute(step: SSAValue, stage: SSAValue, carried: SSAValue) -> SSAValue:
        left = b.load(lhs_ring, (stage, 0, 0), warps.lhs, "left")
        rows = b.load(sum_ring, (stage, 0, 0), by_row, "row_sums") if linear.needs_sums else None
        return ring.multiplied(left, stage, carried, rows)

    by_row = warps.accumulator.reduce(1).permute((1, 0))
    zero = b.fill(0.0, warps.accumulator, ring.carried, "sums")
    steps = split_range(b, part, parts, linear.steps)
    sums = pipelined(b, steps, config.stages, copy, compute, zero)
    if linear.is_integer:
        sums = scale_rows(b, b.view_global("row_scales", (m, 1), []), i, ring.floats(sums))
    if linear.group is None:
        scales = b.view_global("scales", (linear.tiles, bn), [])
        sums = scale_columns(b, scales, (column,), sums)
    if parts > 1:
        result = b.view_global("result", (parts, m, linear.rows), [])
        b.store(sums, result, (part, i, j))
    else:
        finish(b, sums, m, linear.rows, (i, j), activation, has_bias)
    return b.program


def finish(
    b: ProgramBuilder,
    sums: SSAValue,
    m: int,
    n: int,
    at: tuple[SSAValue, SSAValue],
    activation: Attribute,
    has_bias: bool,
) -> None:
    """Add the bias, round, store."""
    layout: RegisterLayout = ops.register_of(sums).layout
    if has_bias:
        row = b.view_global("bias", (1, n), [])
        sums = b.binary("add", sums, of_columns(b, row, (0, at[1]), layout, "bias"), "sums")
    result = b.view_global("result", (m, n), [])
    b.store(b.cast(sums, activation, "rounded"), result, at)


def parts_program(
    name: str, parts: int, shape: tuple[int, int], activation: Attribute, has_bias: bool
) -> ops.ProgramOp:
    """Arguments sums [parts, M, N], bias (if any), result [M, N]: the parts in their order."""
    m, n = shape
    layout = spatial(1, SUM_THREADS) * local(1, SUM_COLUMNS)
    arguments: Arguments = [("sums", PointerType(F32))]
    if has_bias:
        arguments.append(("bias", PointerType(activation)))
    arguments.append(("result", PointerType(activation)))
    b = ProgramBuilder(name, SUM_THREADS, fixed_grid(-(-n // layout.shape[1]), m, 1), arguments)
    i, j = b.block_index(1, "row"), b.times(b.block_index(0, "column"), layout.shape[1])
    sums = b.view_global("sums", (parts, m, n), [])
    total = b.load(sums, (0, i, j), layout, "total")
    for part in range(1, parts):
        total = b.binary("add", total, b.load(sums, (part, i, j), layout, "part"), "total")
    finish(b, total, m, n, (i, j), activation, has_bias)
    return b.program


def dense_program(
    name: str, warps: Warps, shape: tuple[int, int, int], has_bias: bool
) -> ops.ProgramOp:
    """Arguments lhs [M, K], weight [N, K], bias (if any), result [M, N], all of 16 bits."""
    m, n, k = shape
    bm, bn, bk = warps.tile
    element = warps.element
    arguments: Arguments = [("lhs", PointerType(element)), ("weight", PointerType(element))]
    if has_bias:
        arguments.append(("bias", PointerType(element)))
    arguments.append(("result", PointerType(element)))
    b = ProgramBuilder(name, warps.threads, fixed_grid(-(-n // bn), -(-m // bm), 1), arguments)
    j = b.times(b.block_index(0, "column"), bn)
    i = b.times(b.block_index(1, "row"), bm)
    operands = []
    for label, rows, place, tile in (("lhs", m, i, bm), ("weight", n, j, bn)):
        swizzle = choose_swizzle((tile, bk), bits_of(element) // 8)
        ring = b.alloc_shared(f"{label}_ring", (STAGES, tile, bk), element, swizzle)
        operands.append((b.view_global(label, (rows, k), []), ring, place))

    def copy(step: SSAValue, stage: SSAValue) -> None:
        for source, ring, place in operands:
            b.copy_async(source, (place, b.times(step, bk)), ring, stage)

    def compute(step: SSAValue, stage: SSAValue, carried: SSAValue) -> SSAValue:
        left = b.load(operands[0][1], (stage, 0, 0), warps.lhs, "left")
        right = b.load(operands[1][1], (stage, 0, 0), warps.rhs, "right")
        return b.add(ops.DotOp(left, right, carried), "sums")

    zero = b.fill(0.0, warps.accumulator, F32, "sums")
    steps = (b.index(0), b.index(-(-k // bk)))
    finish(b, pipelined(b, steps, STAGES, copy, compute, zero), m, n, (i, j), element, has_bias)
    return b.program
