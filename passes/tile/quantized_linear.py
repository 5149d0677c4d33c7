"""`quant.linear` as a tile program: which tiles, and what a block does.

f32 activations are written as sums of three bf16, which are exact to 24 bits: tensor cores multiply
each by the codes' numbers, all of which bf16 has, and add up in f32. An infinite activation gives
NaN where f32 arithmetic gives an infinity.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import ml_dtypes
import numpy as np
from xdsl.ir import Attribute, SSAValue
from xdsl.ir.affine import AffineConstantExpr, AffineMap

from ...dialects.graph import element_of, shape_of
from ...dialects.quant import IntegerElement, WeightFormat
from ...dialects.quant.ops import QuantizedLinearOp
from ...dialects.tile import ops
from ...dialects.tile.atoms import BF16, F16, F32, I8
from ...dialects.tile.bank_conflicts import choose_swizzle
from ...dialects.tile.types import PointerType, bits_of
from .builder import ProgramBuilder
from .contraction_plan import BYTES_PER_CLOCK, MMA_PER_CLOCK, MULTIPROCESSORS
from .lowbit_linear import LowbitLinear, linear_of
from .matmul import SHARED_BYTES, MatmulConfig
from .pipeline import pipelined
from .weight_ring import SPLITS, WeightRing, scale_columns

WARPS, STAGES = 4, 3
MOST_REGISTERS = 176  # of tiles; addresses, and numbers on their way, need others
DECODES_PER_CLOCK = 64  # codes that a multiprocessor turns into numbers


def operand_of(activation: Attribute) -> Attribute:
    """The type that tensor cores multiply."""
    return BF16 if activation == F32 else activation


def is_exact(format: WeightFormat, operand: Attribute) -> bool:
    """Whether `operand` has all numbers that codes and zero points stand for."""
    element = format.element
    if isinstance(element, IntegerElement):
        return format.zero in ("none", "int")
    levels = element.levels
    if format.zero != "none" or not levels.size or not np.isfinite(levels).all():
        return False
    narrow = levels.astype(np.float16 if operand == F16 else ml_dtypes.bfloat16)
    return bool((narrow.astype(np.float32) == levels).all())


def candidates(format: WeightFormat, rows: int, activation: Attribute) -> Iterator[MatmulConfig]:
    """Configurations whose steps are filled by groups, and whose threads have whole words."""
    splits = SPLITS if activation == F32 else 1
    for m, n, k in product((1, 2, 4), (1, 2, 4, 8), (8, 4, 2, 1)):
        if m > 1 and rows <= 8 * m:
            continue
        if (format.group is not None and format.group % (16 * k)) or (
            n * k * 4 * format.element.width % 32
        ):
            continue
        sums = 4 * m * n * (1 if format.group is None else 2)
        left = 4 * m * k * (2 if splits > 1 else 1)
        if sums + left + 2 * n * k <= MOST_REGISTERS:
            yield MatmulConfig(1, WARPS, (m, n, k), STAGES)


def clocks(linear: LowbitLinear, rows: int, activation: Attribute) -> float:
    """Clocks for a step along K of one number, times rounds of blocks, up to a factor."""
    bm, bn, bk = linear.warps.tile
    blocks = linear.tiles * -(-rows // bm)
    splits = SPLITS if activation == F32 else 1
    traffic = (bn * bits_of(linear.code) + bm * bits_of(activation)) / 8 / BYTES_PER_CLOCK
    work = splits * bm * bn / MMA_PER_CLOCK + bn / DECODES_PER_CLOCK
    waiting = 100 / bk  # barriers and latency, once per step
    return max(1.0, blocks / MULTIPROCESSORS) * (traffic + work + waiting)


def choose_linear(op: QuantizedLinearOp) -> LowbitLinear | None:
    """The best description; None where no tile program computes `op` as it is written."""
    activation, format = element_of(op.source), op.weight_format
    operand = operand_of(activation)
    rows, columns = shape_of(op.codes)
    possible = activation in (F32, F16, BF16) and op.activations.data == "f32"
    if not possible or not is_exact(format, operand):
        return None
    found = [
        linear_of(format, (rows, columns), operand, config)
        for config in candidates(format, op.rows, activation)
    ]
    fitting = [x for x in found if shared_bytes(x, activation) <= SHARED_BYTES]
    return min(fitting, key=lambda x: clocks(x, op.rows, activation), default=None)


def shared_bytes(linear: LowbitLinear, activation: Attribute) -> int:
    """Shared memory of the stages, but for a few scales."""
    bm, _, bk = linear.warps.tile
    return linear.config.stages * (bm * bk * bits_of(activation) // 8 + linear.tile_bytes + 1024)


def quantized_program(
    name: str, linear: LowbitLinear, m: int, activation: Attribute, has_bias: bool
) -> ops.ProgramOp:
    """Arguments lhs, weight, scales, zeros (if any), bias (if any), result."""
    warps, config = linear.warps, linear.config
    bm, bn, bk = warps.tile
    arguments: list[tuple[str, Attribute]] = [
        ("lhs", PointerType(activation)),
        ("weight", PointerType(I8)),
        ("scales", PointerType(F32)),
    ]
    if linear.has_zeros:
        arguments.append(("zeros", PointerType(linear.activation)))
    if has_bias:
        arguments.append(("bias", PointerType(activation)))
    arguments.append(("result", PointerType(activation)))
    blocks = (linear.tiles, -(-m // bm), 1)
    grid = AffineMap(0, 0, tuple(AffineConstantExpr(n) for n in blocks))
    b = ProgramBuilder(name, warps.threads, grid, arguments)
    column = b.block_index(0, "column")
    i = b.times(b.block_index(1, "row"), bm) if m > bm else b.index(0)
    j = b.times(column, bn)
    lhs = b.view_global("lhs", (m, linear.columns), [])
    result = b.view_global("result", (m, linear.rows), [])
    swizzle = choose_swizzle((bm, bk), bits_of(activation) // 8)
    lhs_ring = b.alloc_shared("lhs_ring", (config.stages, bm, bk), activation, swizzle)
    ring = WeightRing(b, linear, column)

    def copy(step: SSAValue, stage: SSAValue) -> None:
        b.copy_async(lhs, (i, b.times(step, bk)), lhs_ring, stage)
        ring.copy(step, stage)

    def compute(step: SSAValue, stage: SSAValue, carried: SSAValue) -> SSAValue:
        left = b.load(lhs_ring, (stage, 0, 0), warps.lhs, "left")
        return ring.multiplied(left, stage, carried)

    zero = b.fill(0.0, warps.accumulator, F32, "sums")
    steps = (b.index(0), b.index(linear.steps))
    sums = pipelined(b, steps, config.stages, copy, compute, zero)
    if not ring.scales_sums:
        scales = b.view_global("scales", (linear.tiles, bn), [])
        sums = scale_columns(b, scales, (column,), sums)
    if has_bias:
        row = b.view_global("bias", (1, linear.rows), [])
        bias = b.load(row, (0, j), warps.accumulator.reduce(0), "bias")
        every = b.broadcast(b.cast(bias, F32, "bias"), warps.accumulator, 0, bm, "every_bias")
        sums = b.binary("add", sums, every, "sums")
    b.store(b.cast(sums, activation, "rounded"), result, (i, j))
    return b.program
