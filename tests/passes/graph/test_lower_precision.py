"""Convolutions and attention are rounded for machines with an instruction for products of pairs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tilecast.costmodel.hardware import Machine
from tilecast.dialects.graph import AttentionOp, element_of, shape_of
from tilecast.dialects.graph.blocked import BlockedConvOp, BlockedDepthwiseOp
from tilecast.dialects.reference.graph import evaluate
from tilecast.dialects.weights import WeightStore
from tilecast.passes.context import CompileContext
from tilecast.passes.graph.lower_precision import LowerPrecisionPass
from xdsl.dialects.builtin import ModuleOp, bf16, f32
from xdsl.parser import Parser

PLAIN = Machine("v4", "avx512", (), 64, 32)
PAIRS = replace(PLAIN, features=("avx512_bf16",))
STEPS = "stride = [#builtin.int<1>, #builtin.int<1>], dilation = [#builtin.int<1>, #builtin.int<1>]"


def module_of(
    text: str, machine: Machine, weights: WeightStore | None = None
) -> tuple[CompileContext, ModuleOp]:
    """A module for `machine`, to be lowered to bf16."""
    context = CompileContext()
    context.machine, context.precision = machine, "bf16"
    if weights is not None:
        context.weights = weights
    return context, Parser(context, text).parse_module()


def lowered(text: str, machine: Machine) -> list[object]:
    """Ops of the function after the pass on `machine`."""
    context, module = module_of(text, machine)
    LowerPrecisionPass().apply(context, module)
    module.verify()
    return list(module.walk())


def convolution(channels: int) -> str:
    source, weight = f"tensor<1x{channels}x6x6xf32>", f"tensor<2x3x3x{channels}x16xf32>"
    result = "tensor<1x2x6x6x16xf32>"
    padded = f"tensor<1x{channels}x8x8xf32>"
    sides = ", ".join(f"#builtin.int<{n}>" for n in (0, 0, 1, 1))
    return f"""
    func.func @main(%x: {source}, %w: {weight}) -> {result} {{
      %p = "graph.pad"(%x) <{{low = [{sides}], high = [{sides}], value = 0.0 : f64}}>
          : ({source}) -> {padded}
      %y = "graph.blocked_conv"(%p, %w) <{{{STEPS}}}> : ({padded}, {weight}) -> {result}
      func.return %y : {result}
    }}"""


@pytest.mark.parametrize(
    ("machine", "channels", "element"), [(PAIRS, 4, bf16), (PLAIN, 4, f32), (PAIRS, 3, f32)]
)
def test_operands_of_convolutions(machine: Machine, channels: int, element: object) -> None:
    """Rounded ahead of the padding; odd channels make no pairs."""
    ops = lowered(convolution(channels), machine)
    (conv,) = [op for op in ops if isinstance(op, BlockedConvOp)]
    assert element_of(conv.source) == element_of(conv.weight) == element
    assert conv.source.owner.name == "graph.pad"
    assert element_of(conv.result) == f32
    assert sum(op.name == "graph.pad" for op in ops) == 1


@pytest.mark.parametrize(("stride", "columns", "element"), [(2, 4, bf16), (1, 3, f32)])
def test_odd_channels_pair_along_rows(stride: int, columns: int, element: object) -> None:
    """Where neighbouring positions are two elements apart; the window's fourth column is zero."""
    rng, weights = np.random.default_rng(0), WeightStore()
    symbol = weights.add("w", rng.integers(-2, 3, (1, 3, 3, 3, 8)).astype(np.float32))
    width = (9 - 3) // stride + 1
    source, padded = "tensor<1x3x8x8xf32>", "tensor<1x3x9x9xf32>"
    weight, result = "tensor<1x3x3x3x8xf32>", f"tensor<1x1x{width}x{width}x8xf32>"
    sides = [(0, 0, 0, 0), (0, 0, 1, 1)]
    low, high = (f"[{', '.join(f'#builtin.int<{n}>' for n in side)}]" for side in sides)
    steps = STEPS.replace("int<1>", f"int<{stride}>", 2)
    text = f"""
    func.func @main(%x: {source}) -> {result} {{
      %w = "graph.weight"() <{{symbol = @{symbol}}}> : () -> {weight}
      %p = "graph.pad"(%x) <{{low = {low}, high = {high}, value = 0.0 : f64}}>
          : ({source}) -> {padded}
      %y = "graph.blocked_conv"(%p, %w) <{{{steps}}}> : ({padded}, {weight}) -> {result}
      func.return %y : {result}
    }}"""
    (_, before), (context, module) = (module_of(text, PAIRS, weights) for _ in range(2))
    LowerPrecisionPass().apply(context, module)
    module.verify()
    (conv,) = [op for op in module.walk() if isinstance(op, BlockedConvOp)]
    assert element_of(conv.source) == element_of(conv.weight) == element
    assert shape_of(conv.weight)[2] == columns
    x = rng.integers(-3, 4, (1, 3, 8, 8)).astype(np.float32)
    found, expected = (evaluate(m, weights, [x], np.float64)[0] for m in (module, before))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("machine", "element"), [(PAIRS, bf16), (PLAIN, f32)])
def test_depthwise_layers_read_bf16(machine: Machine, element: object) -> None:
    """Their products and weights are f32."""
    source, weight = "tensor<1x1x4x4x8xf32>", "tensor<1x3x3x8xf32>"
    text = f"""
    func.func @main(%x: {source}, %w: {weight}) -> tensor<1x1x2x2x8xf32> {{
      %y = "graph.blocked_depthwise"(%x, %w) <{{{STEPS}}}>
          : ({source}, {weight}) -> tensor<1x1x2x2x8xf32>
      func.return %y : tensor<1x1x2x2x8xf32>
    }}"""
    (op,) = [op for op in lowered(text, machine) if isinstance(op, BlockedDepthwiseOp)]
    assert element_of(op.source) == element
    assert element_of(op.weight) == element_of(op.result) == f32


@pytest.mark.parametrize(
    ("machine", "queries", "keys", "rounded"),
    [(PAIRS, 20, 30, 3), (PAIRS, 20, 31, 2), (PAIRS, 1, 30, 0), (PLAIN, 20, 30, 0)],
)
def test_operands_of_attention(machine: Machine, queries: int, keys: int, rounded: int) -> None:
    """Values too where keys are even; nothing for few queries."""
    q, k = f"tensor<2x{queries}x8xf32>", f"tensor<2x{keys}x8xf32>"
    text = f"""
    func.func @main(%q: {q}, %k: {k}, %v: {k}) -> {q} {{
      %y = "graph.attention"(%q, %k, %v) <{{scale = 0.5 : f64, causal = false}}>
          : ({q}, {k}, {k}) -> {q}
      func.return %y : {q}
    }}"""
    (op,) = [op for op in lowered(text, machine) if isinstance(op, AttentionOp)]
    assert [element_of(v) for v in op.operands] == [bf16] * rounded + [f32] * (3 - rounded)
    assert element_of(op.result) == f32
