"""Convolutions and attention are rounded for machines with an instruction for products of pairs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tilecast.costmodel.hardware import Machine
from tilecast.dialects.graph import AttentionOp, element_of
from tilecast.dialects.graph.blocked import BlockedConvOp
from tilecast.passes.context import CompileContext
from tilecast.passes.graph.lower_precision import LowerPrecisionPass
from xdsl.dialects.builtin import bf16, f32
from xdsl.parser import Parser

PLAIN = Machine("v4", "avx512", (), 64, 32)
PAIRS = replace(PLAIN, features=("avx512_bf16",))
STEPS = "stride = [#builtin.int<1>, #builtin.int<1>], dilation = [#builtin.int<1>, #builtin.int<1>]"


def lowered(text: str, machine: Machine) -> list[object]:
    """Ops of the function after the pass on `machine`."""
    context = CompileContext()
    context.machine, context.precision = machine, "bf16"
    module = Parser(context, text).parse_module()
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
