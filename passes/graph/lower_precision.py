"""Contractions read operands of fewer bits, and add up in f32 as before.

before: %y = graph.linear %x, %w, %b : tensor<8x64xf32>
after:  %h = graph.cast %x : tensor<8x32xbf16> ; %v = graph.weight @w_bf16
        %y = graph.linear %h, %v, %b : tensor<8x64xf32>

Everything else stays in f32: biases, results, softmax, what stands between contractions. Operands
are rounded where they are computed, ahead of views and padding, so that their producer stores them
so; weights are rounded now. A contraction over an odd number of elements (channels, in a
convolution) stays as it is, since products are taken in pairs; but where positions are two elements
apart, as in the first layer of many networks, windows get a column of zeros and pairs lie in rows.
Convolutions and attention are lowered for machines that have an instruction for that: others would
be slower than in f32. There depthwise convolutions, bound by memory, read their images so too; they
multiply in f32.

It runs twice: convolutions are known only once their layout and algorithm are chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import ml_dtypes
import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import FloatAttr, ModuleOp, TensorType, bf16, f32
from xdsl.dialects.func import FuncOp
from xdsl.ir import Block, SSAValue
from xdsl.passes import ModulePass

from ...dialects.graph import (
    AttentionOp,
    CastOp,
    GraphOp,
    LinearOp,
    MatmulOp,
    PadOp,
    ReshapeOp,
    ViewOp,
    WeightOp,
    element_of,
    shape_of,
)
from ...dialects.graph.blocked import BlockedConvOp, BlockedDepthwiseOp
from ...dialects.sizes import has_symbols
from ...dialects.weights import WeightStore
from ..context import CompileContext
from .canonicalize import drop_unused_ops
from .replacement import copy_location

FEWEST_QUERIES = 16


def contraction_operands(op: GraphOp, has_pair_products: bool) -> tuple[Sequence[int], int]:
    """The operands whose products `op` adds up, and how many of them."""
    match op:
        case LinearOp() | MatmulOp():
            return (0, 1), shape_of(op.operands[0])[-1]
        case BlockedConvOp() if has_pair_products:
            *_, columns, channels, _ = shape_of(op.weight)
            return (0, 1), columns if channels % 2 and _has_step_two(op) else channels
        case BlockedDepthwiseOp() if has_pair_products:
            return (0,), 0
        case AttentionOp() if has_pair_products and not has_symbols(shape_of(op.query)):
            return _attention_operands(op)
        case _:
            return (), 0


def _attention_operands(op: AttentionOp) -> tuple[Sequence[int], int]:
    """Queries and keys, and values where keys pair up too; nothing for a few queries, which do not
    pay for pairs of keys and values that are made on the way."""
    *_, queries, width = shape_of(op.query)
    keys = shape_of(op.key)[-2]
    if has_symbols(shape_of(op.key)) or queries < FEWEST_QUERIES:
        return (), 0
    return ((0, 1, 2) if keys % 2 == 0 else (0, 1)), width


def _has_step_two(op: BlockedConvOp) -> bool:
    """Whether neighbouring positions of a row are two elements apart, those of a window one."""
    return op.stride.data[-1].data == 2 and op.dilation.data[-1].data == 1


def widen_window(op: BlockedConvOp, weights: WeightStore) -> None:
    """Give the windows of an odd number of columns, of an odd number of channels, another column
    of zeros, and the image what it reads of that."""
    *_, columns, channels, _ = shape_of(op.weight)
    weight, image = op.weight.owner, op.source.owner
    if columns % 2 == 0 or channels % 2 == 0 or not _has_step_two(op):
        return
    if (
        not isinstance(weight, WeightOp)
        or not isinstance(image, PadOp)
        or has_symbols(shape_of(op.source))
    ):
        return
    symbol = weight.symbol.root_reference.data
    zero = isinstance(image.value, FloatAttr) and image.value.value.data == 0
    if symbol not in weights or not zero:
        return
    array = weights[symbol]
    widths = [(0, 0)] * array.ndim
    widths[-3] = (0, 1)
    array = np.pad(array, widths)
    wide = WeightOp(weights.add(f"{symbol}_wide", array), TensorType(f32, array.shape))
    needed = 2 * (shape_of(op.result)[-2] - 1) + columns + 1
    low, high = ([n.data for n in p] for p in (image.low, image.high))
    shape = list(shape_of(op.source))
    high[-1] += needed - shape[-1]
    shape[-1] = needed
    padded = PadOp(image.source, low, high, image.value, TensorType(f32, shape))
    block = op.parent_block()
    assert block is not None
    for old, new in ((weight, wide), (image, padded)):
        copy_location(old, new)
        block.insert_op_before(new, op)
    op.operands[0], op.operands[1] = padded.result, wide.result


class Rounded:
    """The bf16 form of f32 values, made once each."""

    def __init__(self, weights: WeightStore) -> None:
        self.weights = weights
        self.values: dict[SSAValue, SSAValue] = {}
        self.symbols: dict[str, str] = {}

    def of(self, value: SSAValue) -> SSAValue:
        """`value` in bf16."""
        if value not in self.values:
            made = self._made(value)
            if isinstance(value.owner, Block):
                value.owner.insert_op_before(made, value.owner.first_op)  # type: ignore[arg-type]
            else:
                block = value.owner.parent
                assert block is not None
                block.insert_op_after(made, value.owner)
            self.values[value] = made.result
        return self.values[value]

    def _made(self, value: SSAValue) -> GraphOp:
        op, type = value.owner, TensorType(bf16, shape_of(value))
        match op:
            case WeightOp() if op.symbol.root_reference.data in self.weights:
                return WeightOp(self._symbol(op.symbol.root_reference.data), type)
            case ViewOp():
                return ViewOp(self.of(op.source), op.map, type)
            case ReshapeOp():
                return ReshapeOp(self.of(op.source), type)
            case PadOp():
                low, high = ([n.data for n in p] for p in (op.low, op.high))
                return PadOp(self.of(op.source), low, high, op.value, type)
            case _:
                return CastOp(value, type)

    def _symbol(self, symbol: str) -> str:
        if symbol not in self.symbols:
            array = self.weights[symbol].astype(ml_dtypes.bfloat16)
            self.symbols[symbol] = self.weights.add(f"{symbol}_bf16", array)
        return self.symbols[symbol]


@dataclass(frozen=True)
class LowerPrecisionPass(ModulePass):
    """Round the operands of f32 contractions for `precision`, "f32" or "bf16" (none: that of the
    context)."""

    name = "lower-precision"
    precision: str | None = None

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        assert isinstance(ctx, CompileContext)
        if (self.precision or ctx.precision) != "bf16":
            return
        rounded = Rounded(ctx.weights)
        for inner in list(op.walk()):
            if not isinstance(inner, GraphOp):
                continue
            if isinstance(inner, BlockedConvOp) and ctx.machine.has_pair_products:
                widen_window(inner, ctx.weights)
            positions, length = contraction_operands(inner, ctx.machine.has_pair_products)
            if length % 2 == 0 and all(element_of(inner.operands[k]) == f32 for k in positions):
                for k in positions:
                    inner.operands[k] = rounded.of(inner.operands[k])
        for func in op.ops:
            if isinstance(func, FuncOp) and not func.is_declaration:
                drop_unused_ops(func.body.block)
