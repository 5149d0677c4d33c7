"""Fold per-channel scales and shifts into the layer before them.

before: graph.pointwise "add" (graph.pointwise "mul" (graph.conv %x, @w, @b), @scale), @shift
after:  graph.conv %x, @w_scaled, @b_scaled      with w * scale, b * scale + shift

Works on `graph.conv` and `graph.linear` with stored weights, after `fold-constants` has turned
scale and shift into stored weights. Products are rounded once, from float64. Weights with codes
stay what those stand for: they take shifts, no scales.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, TensorType
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass
from xdsl.pattern_rewriter import (
    PatternRewriter,
    PatternRewriteWalker,
    RewritePattern,
    op_type_rewrite_pattern,
)

from ...dialects.graph import (
    ConvOp,
    FullOp,
    LinearOp,
    PointwiseOp,
    WeightOp,
    element_of,
    shape_of,
    tensor_of,
)
from ...dialects.reference.graph import attribute_value
from ...dialects.weights import WeightStore
from ..context import CompileContext
from .canonicalize import drop_unused_ops

Array = npt.NDArray[Any]


class FoldIntoLayer(RewritePattern):
    """layer * scale, layer + shift, layer - shift, for constants that vary by channel only."""

    def __init__(self, weights: WeightStore, fixed: Collection[str]) -> None:
        self.weights, self.fixed = weights, fixed

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: PointwiseOp, rewriter: PatternRewriter) -> None:
        if op.fn.data not in ("mul", "add", "sub"):
            return
        layer, other = op.operands_[0].owner, op.operands_[1]
        if not isinstance(layer, (ConvOp, LinearOp)) and op.fn.data != "sub":
            layer, other = op.operands_[1].owner, op.operands_[0]
        if not isinstance(layer, (ConvOp, LinearOp)) or layer.result.type != op.result.type:
            return
        if len(list(layer.result.uses)) != 1:
            return
        weight = self._stored(layer.weight)
        bias = None if layer.bias is None else self._stored(layer.bias)
        factor = self._per_channel(layer, other)
        if weight is None or factor is None or (layer.bias is not None and bias is None):
            return
        channels = weight.shape[0]
        bias = np.zeros(channels) if bias is None else bias
        if op.fn.data == "mul":
            if self._symbol(layer.weight) in self.fixed:
                return
            weight = weight * factor.reshape(-1, *[1] * (weight.ndim - 1))
            bias = bias * factor
        else:
            bias = bias + factor if op.fn.data == "add" else bias - factor
            weight = None
        self._rebuild(op, layer, weight, bias, rewriter)

    def _stored(self, value: SSAValue) -> Array | None:
        """The stored weight `value`, in float64."""
        symbol = self._symbol(value)
        return self.weights[symbol].astype(np.float64) if symbol in self.weights else None

    @staticmethod
    def _symbol(value: SSAValue) -> str:
        """The name of a stored weight; empty for other values."""
        owner = value.owner
        return owner.symbol.root_reference.data if isinstance(owner, WeightOp) else ""

    def _per_channel(self, layer: ConvOp | LinearOp, value: SSAValue) -> Array | None:
        """One number per output channel; None where `value` varies otherwise."""
        rank = len(shape_of(layer.result))
        dim = 1 if isinstance(layer, ConvOp) else rank - 1
        channels = shape_of(layer.result)[dim]
        if isinstance(value.owner, FullOp):
            return np.full(channels, float(attribute_value(value.owner.value)))
        array = self._stored(value)
        if array is None or array.ndim > rank:
            return None
        aligned = array.reshape(*[1] * (rank - array.ndim), *array.shape)
        if any(n != 1 for d, n in enumerate(aligned.shape) if d != dim):
            return None
        return np.broadcast_to(aligned.reshape(-1), (channels,)).astype(np.float64)

    def _rebuild(
        self,
        op: PointwiseOp,
        layer: ConvOp | LinearOp,
        weight: Array | None,
        bias: Array,
        rewriter: PatternRewriter,
    ) -> None:
        """Replace `op` by the layer with another bias, and another weight if there is one."""
        assert isinstance(op.result.type, TensorType)
        symbol = self._symbol(layer.weight)
        dtype = self.weights[symbol].dtype
        stored = []
        for name, array in ((symbol, weight), (f"{symbol}_bias", bias)):
            if array is None:
                continue
            name = name if name.endswith("_scaled") else f"{name}_scaled"
            symbol_used = self.weights.add(name, array.astype(dtype))
            type = tensor_of(element_of(layer.weight), array.shape)
            stored.append(WeightOp(symbol_used, type))
        kept = layer.weight if weight is None else stored[0].result
        values = layer.source, kept, stored[-1].result
        new: ConvOp | LinearOp
        if isinstance(layer, LinearOp):
            new = LinearOp(*values, op.result.type)
        else:
            new = ConvOp(
                *values,
                [v.data for v in layer.stride],
                layer.padding_widths[0],
                [v.data for v in layer.dilation],
                layer.groups.data,
                op.result.type,
                layer.padding_widths[1],
            )
        if "loc" in layer.attributes:
            new.attributes["loc"] = layer.attributes["loc"]
        rewriter.replace(op, [*stored, new])


@dataclass(frozen=True)
class FoldBatchNormPass(ModulePass):
    """Fold until no layer is followed by a per-channel constant."""

    name = "fold-batch-norm"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        assert isinstance(ctx, CompileContext)
        PatternRewriteWalker(FoldIntoLayer(ctx.weights, ctx.quantized)).rewrite_module(op)
        for function in op.body.block.ops:
            for region in function.regions:
                for block in region.blocks:
                    drop_unused_ops(block)
