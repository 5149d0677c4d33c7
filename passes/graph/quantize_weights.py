"""Products with weights that have a quantized form read the codes.

before: %y = graph.linear %x, %w, %b           with w in `CompileContext.quantized`
after:  %c = graph.weight @w.codes ; %s = graph.weight @w.scales
        %y = quant.linear %x, %c, %s, bias %b {format = "u4:g128:sf16:zint"}

Activations of 16 bits are widened to f32, and results rounded; GPUs take them as they are.

A weight that is also used otherwise keeps its dequantized form for those uses.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
from xdsl.context import Context
from xdsl.dialects.builtin import IntegerType, ModuleOp, bf16, f16, f32
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from ...dialects.graph import (
    CastOp,
    LinearOp,
    ReshapeOp,
    WeightOp,
    element_of,
    shape_of,
    tensor_of,
)
from ...dialects.quant import FloatElement, QuantizedTensor, WeightFormat
from ...dialects.quant.ops import QuantizedLinearOp
from ..context import CompileContext
from ..tile.quantized_plan import choose_plan

Array = npt.NDArray[Any]
FLOATS = (f32, f16, bf16)


class QuantizedWeights:
    """Adds the arrays of quantized weights to the store, once each."""

    def __init__(self, ctx: CompileContext) -> None:
        self.ctx = ctx
        self.symbols: dict[tuple[str, str], str] = {}

    def value(self, op: LinearOp, symbol: str, part: str, array: Array | None) -> SSAValue | None:
        """`array` as a `graph.weight` before `op`."""
        if array is None:
            return None
        stored = array.view(np.int8) if array.dtype == np.uint8 else array
        key = (symbol, part)
        if key not in self.symbols:
            self.symbols[key] = self.ctx.weights.add(f"{symbol}.{part}", stored)
        is_float = stored.dtype.kind == "f"
        element = f32 if is_float else IntegerType(8 * stored.dtype.itemsize)
        weight = WeightOp(self.symbols[key], tensor_of(element, stored.shape))
        Rewriter.insert_op(weight, InsertPoint.before(op))
        return weight.result

    def rewrite(self, op: LinearOp, symbol: str, tensor: QuantizedTensor) -> None:
        """Replace `op`, whose weight is `tensor`."""
        columns = tensor.shape[1]
        source, shape, element = op.source, shape_of(op.result), element_of(op.source)
        rows = prod(shape[:-1])
        if len(shape) != 2:
            flat = ReshapeOp(source, tensor_of(element, [rows, columns]))
            Rewriter.insert_op(flat, InsertPoint.before(op))
            source = flat.result
        codes, scales, zeros, levels = (
            self.value(op, symbol, part, getattr(tensor, part))
            for part in ("codes", "scales", "zeros", "levels")
        )
        assert codes is not None
        assert scales is not None
        is_fp8 = self.ctx.activations == "fp8"  # it has the specials of weights
        format = str(tensor.format if is_fp8 else without_specials(tensor))
        weight = (codes, scales, zeros, levels)
        product = QuantizedLinearOp(format, source, *weight, op.bias, self.ctx.activations)
        made: list[Operation] = [product]
        if element != f32 and not self.has_narrow_product(product):
            product.erase()
            wide = CastOp(source, tensor_of(f32, [rows, columns]))
            bias = None if op.bias is None else self.wide_bias(op, op.bias)
            product = QuantizedLinearOp(format, wide.result, *weight, bias, self.ctx.activations)
            made = [wide, product, CastOp(product.result, tensor_of(element, [rows, shape[-1]]))]
        if "loc" in op.attributes:
            product.attributes["loc"] = op.attributes["loc"]
        if len(shape) != 2:
            made.append(ReshapeOp(made[-1].results[0], tensor_of(element, shape)))
        Rewriter.replace_op(op, made)

    def has_narrow_product(self, product: QuantizedLinearOp) -> bool:
        """Whether the machine has a program for activations of 16 bits."""
        machine = self.ctx.machine
        return machine.is_gpu and choose_plan(product, machine) is not None

    def wide_bias(self, op: LinearOp, bias: SSAValue) -> SSAValue | None:
        """A bias of 16 bits as one of f32."""
        assert isinstance(bias.owner, WeightOp)
        symbol = bias.owner.symbol.root_reference.data
        return self.value(op, symbol, "f32", self.ctx.weights[symbol].astype(np.float32))


def without_specials(tensor: QuantizedTensor) -> WeightFormat:
    """The format with finite floats only, where no code stands for an infinity or NaN."""
    element = tensor.format.element
    if not isinstance(element, FloatElement) or element.variant == "finite":
        return tensor.format
    if not np.isfinite(element.levels[tensor.codes]).all():
        return tensor.format
    return replace(tensor.format, element=element.as_finite())


@dataclass(frozen=True)
class QuantizeWeightsPass(ModulePass):
    """Read quantized weights where a product has one."""

    name = "quantize-weights"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        assert isinstance(ctx, CompileContext)
        weights = QuantizedWeights(ctx)
        for linear in [inner for inner in op.walk() if isinstance(inner, LinearOp)]:
            owner = linear.weight.owner
            if not isinstance(owner, WeightOp) or element_of(linear.source) not in FLOATS:
                continue
            if linear.bias is not None and not isinstance(linear.bias.owner, WeightOp):
                continue
            symbol = owner.symbol.root_reference.data
            tensor = ctx.quantized.get(symbol)
            if tensor is not None and prod(shape_of(linear.result)) * tensor.shape[1]:
                weights.rewrite(linear, symbol, tensor)
