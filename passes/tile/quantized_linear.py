"""`quant.linear` as tile programs, by a `LinearPlan`.

One program, whose blocks have a tile each or a stripe of the steps of all tiles; or one that
expands the weight and a product with the numbers. Activations of int8 come from `rounded_rows`.
"""

from __future__ import annotations

from xdsl.ir import Attribute, SSAValue

from ...dialects.tile import ops
from ...dialects.tile.atoms import F32, I8, I32
from ...dialects.tile.bank_conflicts import choose_swizzle
from ...dialects.tile.register_layout import RegisterLayout
from ...dialects.tile.types import PointerType, bits_of
from .builder import ProgramBuilder, fixed_grid, named
from .lowbit_linear import LowbitLinear
from .pipeline import Warps, pipelined
from .quantized_plan import STAGES, LinearPlan
from .stripes import Offsets, Range, striped
from .weight_ring import WeightRing, of_columns, scale_columns, scale_rows

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
    """Arguments lhs, weight arrays, bias (if any), result; with stripes, workspace and semaphores.

    Where activations are rounded, the arguments that `rounding_program` writes stand for lhs.
    """
    linear, rows, stripes = plan.linear, plan.row_tiles(m), plan.stripes(m)
    bm, bn, _ = linear.warps.tile
    memory = linear.activation if linear.is_rounded else activation
    arguments: Arguments = [("lhs", PointerType(memory))]
    if linear.is_rounded:
        arguments.append(("row_scales", PointerType(F32)))
    if linear.needs_sums:
        arguments.append(("row_sums", PointerType(F32)))
    arguments += weight_arguments(linear)
    if has_bias:
        arguments.append(("bias", PointerType(activation)))
    arguments.append(("result", PointerType(activation)))
    if stripes is not None:
        arguments += [("workspace", PointerType(F32)), ("semaphores", PointerType(I32))]
    grid = (linear.tiles, rows, 1) if stripes is None else (stripes.blocks, 1, 1)
    b = ProgramBuilder(name, linear.warps.threads, fixed_grid(*grid), arguments)
    tiles = TileSums(b, linear, m, activation)

    def done(sums: SSAValue, at: Offsets) -> None:
        finish(b, sums, m, linear.rows, at, activation, has_bias)

    if stripes is None:
        column = b.block_index(0, "column")
        row = b.block_index(1, "row") if rows > 1 else b.index(0)
        sums = tiles.sums(row, column, (b.index(0), b.index(linear.steps)))
        done(sums, (b.times(row, bm), b.times(column, bn)))
        return b.program

    def part(tile: SSAValue, steps: Range) -> tuple[SSAValue, Offsets]:
        """Rows are next to each other, since they read the same part of the weight."""
        row = b.remainder(tile, rows) if rows > 1 else b.index(0)
        column = named(b.quotient(tile, rows), "column")
        return tiles.sums(row, column, steps), (b.times(row, bm), b.times(column, bn))

    workspace = b.view_global("workspace", (m, linear.rows), [])
    semaphores = b.view_global("semaphores", (stripes.tiles,), [])
    striped(b, stripes, part, done, workspace, semaphores)
    return b.program


class TileSums:
    """Writes the sums of steps of a tile: the ring of copies, products, scales."""

    def __init__(
        self, b: ProgramBuilder, linear: LowbitLinear, m: int, activation: Attribute
    ) -> None:
        self.b, self.linear, self.m = b, linear, m
        config, memory = linear.config, linear.activation if linear.is_rounded else activation
        bm, _, bk = linear.warps.tile
        columns = linear.steps * bk if linear.is_rounded else linear.columns
        self.lhs = b.view_global("lhs", (m, columns), [])
        swizzle = choose_swizzle((bm, bk), bits_of(memory) // 8)
        self.lhs_ring = b.alloc_shared("lhs_ring", (config.stages, bm, bk), memory, swizzle)
        self.weight = WeightRing(b, linear)
        if linear.needs_sums:
            self.row_sums = b.view_global("row_sums", (linear.steps, m), [])
            self.sum_ring = b.alloc_shared("sum_ring", (config.stages, 1, bm), F32)

    def sums(self, row: SSAValue, column: SSAValue, steps: Range) -> SSAValue:
        """The sums of `steps` of a tile in f32, but for the bias."""
        b, linear, warps = self.b, self.linear, self.linear.warps
        bm, bn, bk = warps.tile
        i = b.times(row, bm)
        by_row = warps.accumulator.reduce(1).permute((1, 0))
        self.weight.move_to(column)

        def copy(step: SSAValue, stage: SSAValue) -> None:
            b.copy_async(self.lhs, (i, b.times(step, bk)), self.lhs_ring, stage)
            self.weight.copy(step, stage)
            if linear.needs_sums:
                b.copy_async(self.row_sums, (step, i), self.sum_ring, stage)

        def compute(step: SSAValue, stage: SSAValue, carried: SSAValue) -> SSAValue:
            left = b.load(self.lhs_ring, (stage, 0, 0), warps.lhs, "left")
            rows = None
            if linear.needs_sums:
                rows = b.load(self.sum_ring, (stage, 0, 0), by_row, "row_sums")
            return self.weight.multiplied(left, stage, carried, rows)

        zero = b.fill(0.0, warps.accumulator, self.weight.carried, "sums")
        sums = pipelined(b, steps, linear.config.stages, copy, compute, zero)
        if linear.is_rounded:
            row_scales = b.view_global("row_scales", (self.m, 1), [])
            sums = sums if self.weight.scales_sums else self.weight.floats(sums)
            sums = scale_rows(b, row_scales, i, sums)
        if linear.group is None:
            scales = b.view_global("scales", (linear.tiles, bn), [])
            sums = scale_columns(b, scales, (column,), sums)
        return sums


def finish(
    b: ProgramBuilder,
    sums: SSAValue,
    m: int,
    n: int,
    at: Offsets,
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
