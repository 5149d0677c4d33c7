"""Compute 3x3 convolutions by Winograd's minimal filtering where that is estimated to be faster.

before: %1 = graph.blocked_conv %view_of_blocks, %w ; add %1, %bias ; relu ; pad
after:  %1 = graph.winograd_conv %blocks, %transformed, %bias {relu, border}

Weights are transformed here, in float64, and rounded once. What follows the convolution moves into
the op, whose kernel has nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log, prod

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, StringAttr, f32
from xdsl.dialects.func import FuncOp
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass

from ...costmodel.decision import Decision
from ...dialects.graph import ViewOp, WeightOp, bounds_of, element_of, shape_of, tensor_of
from ...dialects.graph.blocked import BlockedConvOp
from ...dialects.graph.winograd import WinogradConvOp
from ...dialects.sizes import has_symbols
from ...dialects.weights import WeightStore
from ...dialects.winograd import POINTS, WINDOW, transformed_weights
from ..context import CompileContext
from .canonicalize import drop_unused_ops
from .convolutions.cost import CLOCK, DIRECT, Convolution, name_of, predicted_cycles
from .convolutions.epilogues import take_epilogue
from .replacement import copy_location


def blocked_source(op: BlockedConvOp) -> SSAValue | None:
    """The channel blocks [B, C / L, H, W, L] that `op` reads all of; None where it reads others."""
    source, lanes = op.source, shape_of(op.result)[-1]
    view = source.owner
    if not isinstance(view, ViewOp) or len(shape_of(source)) != 4:
        return None
    batch, channels, height, width = shape_of(source)
    blocks = (batch, channels // lanes, height, width, lanes)
    if channels % lanes or shape_of(view.source) != blocks:
        return None
    positions = [(0, lanes + 1, 1, 2), (batch - 1, channels - 1, height - 1, width - 2)]
    # a view of blocks takes (b, c, y, x) to (b, c / L, y, x, c % L)
    for b, c, y, x in positions:
        if list(view.map.data.eval([b, c, y, x], [])) != [b, c // lanes, y, x, c % lanes]:
            return None
    return view.source


def convolution_of(op: BlockedConvOp, is_cold: bool, paired: bool) -> Convolution | None:
    """The convolution that `op` is; None where tiles cannot compute it."""
    steps = [v.data for p in (op.stride, op.dilation) for v in p]
    if op.kernel_of(op.weight) != (WINDOW, WINDOW) or set(steps) != {1}:
        return None
    shape = shape_of(op.result)
    if has_symbols(shape) or element_of(op.result) != f32 or blocked_source(op) is None:
        return None
    batch, blocks, height, width, lanes = shape
    channels = shape_of(op.weight)[-2]
    return Convolution(batch, channels, blocks, height, width, lanes, 4, is_cold, paired)


def decide(op: BlockedConvOp, conv: Convolution, ctx: CompileContext) -> Decision:
    """The fastest algorithm by the estimate, with those that it was weighed against."""
    cycles = predicted_cycles(conv, ctx.machine, ctx.threads)
    chosen = min(cycles, key=cycles.__getitem__)
    location = op.attributes.get("loc")
    name = location.data if isinstance(location, StringAttr) else op.name
    channels = f"{conv.channels} to {conv.blocks * conv.lanes} channels"
    label = f"{name} ({channels}, {conv.height} x {conv.width})"
    offered = tuple((kind, value / CLOCK) for kind, value in cycles.items())
    return Decision(label, "convolution", offered, chosen, log(cycles[DIRECT] / cycles[chosen]), 0)


def insert_winograd(op: BlockedConvOp, tile: int, weights: WeightStore) -> None:
    """Put `graph.winograd_conv` in the place of `op`, and what follows into it."""
    assert isinstance(op.weight.owner, WeightOp)
    symbol = op.weight.owner.symbol.root_reference.data
    array = np.moveaxis(weights[symbol], (1, 2), (-2, -1))  # [O / L, C, L, 3, 3]
    array = np.moveaxis(transformed_weights(array, tile), (-2, -1), (1, 2))
    array = array.reshape(array.shape[0], -1, *array.shape[3:])
    added = weights.add(f"{symbol}_f{tile}", np.ascontiguousarray(array, np.float32))
    stored = WeightOp(added, tensor_of(f32, array.shape))
    source, block = blocked_source(op), op.parent_block()
    assert source is not None
    assert block is not None
    new = WinogradConvOp(source, stored.result)
    for inserted in (stored, new):
        copy_location(op, inserted)
        block.insert_op_before(inserted, op)
    op.result.replace_all_uses_with(new.result)
    take_epilogue(new)


@dataclass(frozen=True)
class ChooseConvolutionsPass(ModulePass):
    """Decide for each convolution on channel blocks of `@main` how it is computed."""

    name = "choose-convolutions"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        assert isinstance(ctx, CompileContext)
        if ctx.convolutions == DIRECT:
            return
        for func in op.ops:
            if isinstance(func, FuncOp) and func.sym_name.data == "main":
                _choose(func, ctx)


def _choose(main: FuncOp, ctx: CompileContext) -> None:
    found = [op for op in main.body.block.ops if isinstance(op, BlockedConvOp)]
    stored = (op for op in main.body.block.ops if isinstance(op, WeightOp))
    read = sum(4 * prod(bounds_of(op.result)) for op in stored)
    is_cold = read > ctx.machine.l3_bytes // 2
    paired = ctx.precision == "bf16" and ctx.machine.has_pair_products
    for op in found:
        conv = convolution_of(op, is_cold, paired)
        if conv is None or not isinstance(op.weight.owner, WeightOp):
            continue
        decision = decide(op, conv, ctx)
        ctx.decisions.append(decision)
        for tile in POINTS:
            if decision.chosen == name_of(tile):
                insert_winograd(op, tile, ctx.weights)
    drop_unused_ops(main.body.block)
