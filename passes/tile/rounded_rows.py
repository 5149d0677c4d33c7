"""Activations in 8 bits times a scale per row, on a GPU: what comes before their product.

before: source [M, K] of floats
after:  rounded [M, K padded] of i8 or e4m3, scales [M, 1], sums [steps, M]: of those of a step

A warp takes a row, or a part of its steps: each part finds the row's largest magnitude by itself,
so that few rows fill the machine too. The numbers are those of `dialects.quant.activations`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from xdsl.builder import Builder
from xdsl.dialects import arith, math
from xdsl.dialects.builtin import FloatAttr
from xdsl.ir import Attribute, Block, Region, SSAValue
from xdsl.rewriter import InsertPoint

from ...dialects.quant.activations import LARGEST, LARGEST_E4M3, TINY
from ...dialects.tile import ops
from ...dialects.tile.atoms import F32, I8
from ...dialects.tile.register_layout import local, spatial
from ...dialects.tile.types import PointerType
from .builder import ProgramBuilder, fixed_grid
from .lowbit_linear import LowbitLinear
from .pipeline import split_range

LANES, AT_ONCE = 32, 512  # columns that are compared per turn
BLOCKS = 128  # of few rows, which are cut into parts


def row_parts(linear: LowbitLinear, rows: int) -> int:
    """Parts of a row that are rounded by warps of their own."""
    return min(linear.steps, max(1, BLOCKS // rows))


def rounding_program(
    name: str, linear: LowbitLinear, rows: int, activation: Attribute
) -> ops.ProgramOp:
    """Arguments source, rounded, scales, sums (where the product needs them)."""
    bk, parts = linear.warps.tile[2], row_parts(linear, rows)
    most = LARGEST if linear.is_integer else LARGEST_E4M3
    arguments = [("source", PointerType(activation)), ("rounded", PointerType(linear.activation))]
    arguments += [("scales", PointerType(F32))]
    if linear.needs_sums:
        arguments.append(("sums", PointerType(F32)))
    b = ProgramBuilder(name, LANES, fixed_grid(parts, rows, 1), arguments)
    part, row = b.block_index(0, "part"), b.block_index(1, "row")
    source = b.view_global("source", (rows, linear.columns), [])
    largest = _largest(b, source, row, linear.columns)
    factor = b.add(ops.MapOp([largest], _body(1, _factor(most)), F32), "factor")
    with b.when(b.compare(part, "eq", 0)):
        scale = b.add(ops.MapOp([largest], _body(1, _scale(most)), F32), "scale")
        b.store(scale, b.view_global("scales", (rows, 1), []), (row, 0))
    layout = spatial(1, LANES) * local(1, bk // LANES)
    every = b.broadcast(factor, layout, 1, bk, "every_factor")
    rounded = b.view_global("rounded", (rows, linear.steps * bk), [])
    first, last = split_range(b, part, parts, linear.steps)
    with b.loop(first, last, [], "step") as (step, _, _):
        place = (row, b.times(step, bk))
        values = b.cast(b.load(source, place, layout, "values"), F32, "values")
        if linear.is_integer:
            whole = b.add(ops.MapOp([values, every], _body(2, _rounded), F32), "whole")
            b.store(b.cast(whole, I8, "integers"), rounded, place)
        else:
            narrow = b.cast(b.binary("mul", values, every, "scaled"), linear.activation, "narrow")
            b.store(narrow, rounded, place)
            whole = b.cast(narrow, F32, "whole")
        if linear.needs_sums:
            total = b.add(ops.ReduceOp("add", whole, 1), "total")
            b.store(total, b.view_global("sums", (linear.steps, rows), []), (step, row))
    return b.program


def _largest(b: ProgramBuilder, source: SSAValue, row: SSAValue, columns: int) -> SSAValue:
    """[1, 1]: the largest magnitude of a row."""
    layout = local(1, AT_ONCE // (4 * LANES)) * spatial(1, LANES) * local(1, 4)
    start = b.fill(0.0, layout, F32, "largest")
    with b.loop(0, -(-columns // AT_ONCE), [start], "turn") as (turn, carried, results):
        loaded = b.load(source, (row, b.times(turn, AT_ONCE)), layout, "compared")
        magnitudes = b.add(ops.UnaryOp("abs", b.cast(loaded, F32, "compared")), "magnitudes")
        results.append(b.binary("max", carried[0], magnitudes, "largest"))
    return b.add(ops.ReduceOp("max", results[0], 1), "row_largest")


Body = Callable[[Builder, Sequence[SSAValue]], SSAValue]


def _body(count: int, write: Body) -> Region:
    """The scalar function that `write` computes of `count` numbers."""
    block = Block(arg_types=[F32] * count)
    builder = Builder(InsertPoint.at_end(block))
    builder.insert(ops.YieldOp(write(builder, block.args)))
    return Region([block])


def _number(b: Builder, value: float) -> SSAValue:
    return b.insert(arith.ConstantOp(FloatAttr(value, F32))).result


def _factor(most: float) -> Body:
    def write(b: Builder, values: Sequence[SSAValue]) -> SSAValue:
        is_large = b.insert(arith.CmpfOp(values[0], _number(b, TINY), "oge"))
        factor = b.insert(arith.DivfOp(_number(b, most), values[0]))
        return b.insert(arith.SelectOp(is_large.result, factor.result, _number(b, 0.0))).result

    return write


def _scale(most: float) -> Body:
    def write(b: Builder, values: Sequence[SSAValue]) -> SSAValue:
        return b.insert(arith.MulfOp(values[0], _number(b, float(np.float32(1 / most))))).result

    return write


def _rounded(b: Builder, values: Sequence[SSAValue]) -> SSAValue:
    product = b.insert(arith.MulfOp(values[0], values[1]))
    return b.insert(math.RoundEvenOp(product.result)).result
