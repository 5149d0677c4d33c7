"""Keep the activations of convolutional networks in blocks of channels, one vector register each.

before: %1 = graph.conv %x, %w ; %2 = graph.pointwise "relu" %1 ; %3 = graph.conv %2, %v
after:  %1 = graph.blocked_conv %x, %wb ; %2 = graph.pointwise "relu" %1 : [B, C / L, H, W, L] ;
        %p = graph.pad %2 ; %3 = graph.blocked_conv (graph.view %p), %vb

Lanes are channels in every convolution then, whatever the extents of the image. Pools, pointwise
ops, joins of channels and means over the image work on blocks too; what needs plain tensors reads
through a view. Weights are packed here. Padding becomes an op of its own behind the producer, who
writes into the middle of the padded tensor; others read its inside. Main is left alone where fewer
than two convolutions would read or write blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import AffineMapAttr, FloatAttr, ModuleOp, f32
from xdsl.dialects.func import FuncOp
from xdsl.ir import SSAValue
from xdsl.ir.affine import AffineExpr, AffineMap
from xdsl.passes import ModulePass

from ...dialects.graph import (
    CastOp,
    CatOp,
    ConvOp,
    GraphOp,
    PadOp,
    PointwiseOp,
    PoolOp,
    ReduceOp,
    ReshapeOp,
    ViewOp,
    element_of,
    shape_of,
    tensor_of,
)
from ...dialects.graph.blocked import BlockedConvOp, BlockedDepthwiseOp
from ...dialects.graph.control import ControlOp
from ...dialects.sizes import has_symbols
from ..context import CompileContext
from .blocked_values import CHANNEL, BlockedValues, channel_view_is_trivial, whole_blocks
from .canonicalize import drop_unused_ops

FEWEST_CONVOLUTIONS = 2
KEEP_LAYOUT = "tilecast.keep_layout"  # of a main whose layouts were chosen before


def _conv(op: ConvOp, known: BlockedValues) -> SSAValue | None:
    """Any dense convolution; a depthwise one of a blocked source."""
    weight = known.stored(op.weight)
    if weight is None or (op.bias is not None and known.stored(op.bias) is None):
        return None
    stride, dilation = ([v.data for v in p] for p in (op.stride, op.dilation))
    low, high = op.padding_widths
    groups, outputs = op.groups.data, weight.shape[0]
    new: BlockedConvOp | BlockedDepthwiseOp
    if groups == 1:
        source = known.padded(known.forms.get(op.source, op.source), 2, low, high, 0.0, op)
        if op.source in known.forms:
            source = known.insert(known.channels_view(source, shape_of(op.source)[1]), op)
        packed = known.weight(op.weight, np.moveaxis(weight, 1, -1), op)
        new = BlockedConvOp(source, packed, stride, dilation)
    elif groups == outputs == shape_of(op.source)[1] and op.source in known.forms:
        source = known.padded(known.forms[op.source], 2, low, high, 0.0, op)
        packed = known.weight(op.weight, weight[:, 0], op)
        new = BlockedDepthwiseOp(source, packed, stride, dilation)
    else:
        return None
    return known.with_bias(known.insert(new, op), op.bias, op)


def _pool(op: PoolOp, known: BlockedValues) -> SSAValue | None:
    source = known.forms.get(op.source)
    if source is None or len(op.kernel) != len(shape_of(op.source)) - 2:
        return None
    low, high = [p.data for p in op.padding_low], [p.data for p in op.padding_high]
    neutral = 0.0 if op.fn.data == "sum" else -inf
    source = known.padded(source, 2, low, high, neutral, op)
    none = [0] * (len(op.kernel) + 1)

    def with_lanes(values: Any) -> list[int]:
        return [*(v.data for v in values), 1]

    kernel, stride, dilation = map(with_lanes, (op.kernel, op.stride, op.dilation))
    type = tensor_of(element_of(source), known.shape(shape_of(op.result)))
    new = PoolOp(op.fn.data, source, kernel, stride, none, none, dilation, type)
    return known.insert(new, op)


def _pointwise(op: PointwiseOp | CastOp, known: BlockedValues) -> SSAValue | None:
    like = shape_of(op.result)
    if len(like) < 2 or not any(
        v in known.forms and shape_of(v)[:2] == like[:2] and len(shape_of(v)) == len(like)
        for v in op.operands
    ):
        return None
    operands = [known.operand(v, like, op) for v in op.operands]
    if any(v is None for v in operands):
        return None
    copy = type(op).create(
        operands=[v for v in operands if v is not None],
        result_types=[tensor_of(element_of(op.result), known.shape(like))],
        properties=dict(op.properties),
    )
    assert isinstance(copy, PointwiseOp | CastOp)
    return known.insert(copy, op)


def _cat(op: CatOp, known: BlockedValues) -> SSAValue | None:
    forms = [known.forms.get(v) for v in op.operands_]
    whole = all(shape_of(v)[1] % known.lanes == 0 for v in op.operands_[:-1])
    if op.dim.data != 1 or not whole or any(f is None for f in forms):
        return None
    type = tensor_of(element_of(op.result), known.shape(shape_of(op.result)))
    return known.insert(CatOp([f for f in forms if f is not None], 1, type), op)


def _reduce(op: ReduceOp, known: BlockedValues) -> SSAValue | None:
    """Over the whole image only."""
    source = known.forms.get(op.source)
    rank = len(shape_of(op.source))
    if source is None or [d.data for d in op.dims] != list(range(2, rank)):
        return None
    type = tensor_of(element_of(op.result), known.shape(shape_of(op.result)))
    return known.insert(ReduceOp(op.fn.data, source, range(2, rank), type), op)


def _pad(op: PadOp, known: BlockedValues) -> SSAValue | None:
    """Around the image only."""
    source = known.forms.get(op.source)
    low, high = ([n.data for n in p] for p in (op.low, op.high))
    if source is None or any((*low[:2], *high[:2])) or not isinstance(op.value, FloatAttr):
        return None
    return known.padded(source, 2, low[2:], high[2:], op.value.value.data, op)


def _unit_dims(op: ViewOp | ReshapeOp, known: BlockedValues) -> SSAValue | None:
    source = known.forms.get(op.source)
    if source is None or not channel_view_is_trivial(op):
        return None
    type = tensor_of(element_of(op.result), known.shape(shape_of(op.result)))
    return known.insert(ReshapeOp(source, type), op)


def _view(op: ViewOp, known: BlockedValues) -> SSAValue | None:
    """One that moves whole blocks of channels, as that behind a transposed convolution does."""
    trivial = _unit_dims(op, known)
    source, shape = known.forms.get(op.source), shape_of(op.result)
    if trivial is not None or source is None or shape[1] % known.lanes:
        return trivial
    first, channel, *image = op.map.data.results
    block = whole_blocks(channel, known.lanes)
    if block is None or any(CHANNEL in e.used_dims() for e in (first, *image)):
        return None
    rank = len(shape)
    results = (first, block, *image, AffineExpr.dimension(rank))
    type = tensor_of(element_of(op.result), known.shape(shape))
    return known.insert(ViewOp(source, AffineMapAttr(AffineMap(rank + 1, 0, results)), type), op)


RULES: dict[type[GraphOp], Callable[[Any, BlockedValues], SSAValue | None]] = {
    ConvOp: _conv,
    PoolOp: _pool,
    PointwiseOp: _pointwise,
    CastOp: _pointwise,
    CatOp: _cat,
    PadOp: _pad,
    ReduceOp: _reduce,
    ViewOp: _view,
    ReshapeOp: _unit_dims,
}


def block_channels(main: FuncOp, known: BlockedValues) -> None:
    """Make blocked forms in program order; ops without one read plain views of them."""
    block = main.body.block
    for op in list(block.ops):
        rule = RULES.get(type(op)) if isinstance(op, GraphOp) else None
        if rule is not None and element_of(op.results[0]) == f32:
            form = rule(op, known)
            if form is not None:
                known.forms[op.results[0]] = form
                continue
        for k, value in enumerate(op.operands):
            if value in known.forms:
                op.operands[k] = known.plain(value)
    known.store_padded()
    drop_unused_ops(block)


def _is_worth_it(main: FuncOp, lanes: int) -> bool:
    """Whether blocks of one convolution are read by another, or by as good as it."""
    found = [
        op
        for op in main.body.block.ops
        if isinstance(op, ConvOp) and op.groups.data == 1 and shape_of(op.weight)[0] >= lanes // 2
    ]
    return lanes > 1 and len(found) >= FEWEST_CONVOLUTIONS


def only_batches_vary(func: FuncOp) -> bool:
    """Whether images have one size, however many there are; blocks of positions need numbers."""
    windows = [op for op in func.body.block.ops if isinstance(op, ConvOp | PoolOp)]
    shapes = [shape_of(value) for op in windows for value in (op.source, op.result)]
    return not any(has_symbols(shape[1:]) for shape in shapes)


@dataclass(frozen=True)
class BlockChannelsPass(ModulePass):
    """Block the channels of `@main` by the lanes of the target."""

    name = "block-channels"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        assert isinstance(ctx, CompileContext)
        lanes = ctx.machine.lanes(4)
        for func in op.ops:
            if (
                isinstance(func, FuncOp)
                and func.sym_name.data == "main"
                and only_batches_vary(func)
                and not any(isinstance(inner, ControlOp) for inner in func.body.block.ops)
                and KEEP_LAYOUT not in func.attributes
                and _is_worth_it(func, lanes)
            ):
                block_channels(func, BlockedValues(func, ctx.weights, lanes))
