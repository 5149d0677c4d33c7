"""Register tiles over blocks of channels: accumulators in registers, the same sums."""

from __future__ import annotations

from typing import Any

import pytest
from tilecast.passes.context import CompileContext
from tilecast.passes.loops.promote_buffers import PromoteBuffersPass
from tilecast.passes.poly.emission.lower_scop import lower_scop
from tilecast.passes.poly.rules.schedule import choose_schedule
from xdsl.dialects.builtin import ModuleOp

STEPS = "stride = [#builtin.int<1>, #builtin.int<1>], dilation = [#builtin.int<1>, #builtin.int<1>]"
CASES = {
    "blocked_conv": ("1x2x4x6xf32", "3x2x2x2x8xf32", "1x3x3x5x8xf32"),
    "blocked_depthwise": ("1x2x4x6x8xf32", "2x2x2x8xf32", "1x2x3x5x8xf32"),
}


@pytest.mark.parametrize("name", CASES)
def test_windows_are_summed_in_registers(
    kernel: Any, kernel_text: Any, machines: dict[str, Any], name: str
) -> None:
    source, weight, result = CASES[name]
    t = kernel_text(x=source, w=weight)
    summed = t.op(name, "%x %w", result, STEPS)
    case = kernel(t.returns(t.op("pointwise", summed, result, 'fn = "relu"')))
    scop = case.scop()
    choose_schedule(scop, machines["avx2"], 1)
    module = ModuleOp([lower_scop(scop)])
    PromoteBuffersPass().apply(CompileContext(), module)
    text = str(module)
    assert "vector<8xf32>" in text
    assert "memref.alloca" not in text
    case.check_loops(module.body.block.first_op)


def test_positions_fill_registers_where_rows_are_short(
    kernel: Any, kernel_text: Any, machines: dict[str, Any]
) -> None:
    t = kernel_text(x="1x2x4x3xf32", w="1x1x1x2x16xf32")
    case = kernel(t.returns(t.op("blocked_conv", "%x %w", "1x1x4x3x16xf32", STEPS)))
    scop = case.scop()
    choose_schedule(scop, machines["avx512"], 1)
    case.check_lowered(scop)


def test_channels_that_do_not_fill_their_blocks(
    kernel: Any, kernel_text: Any, machines: dict[str, Any]
) -> None:
    t = kernel_text(x="1x2x3x9x8xf32", w="3x2x2x11x8xf32")
    blocked = "(d0, d1, d2, d3) -> (d0, d1 floordiv 8, d2, d3, d1 mod 8)"
    plain = t.op("view", "%x", "1x11x3x9xf32", f"map = affine_map<{blocked}>")
    case = kernel(t.returns(t.op("blocked_conv", f"{plain} %w", "1x3x2x8x8xf32", STEPS)))
    scop = case.scop()
    choose_schedule(scop, machines["avx2"], 2)
    case.check_lowered(scop)
