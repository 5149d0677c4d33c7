"""Sums over blocks of channels in passes: the same results, with sums of a tile in registers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tilecast.dialects.schedule import SplitReduction
from tilecast.passes.context import CompileContext
from tilecast.passes.loops.promote_buffers import PromoteBuffersPass
from tilecast.passes.poly.emission.lower_scop import lower_scop
from tilecast.passes.poly.rules.schedule import choose_schedule
from tilecast.passes.poly.rules.window_passes import cut_into_passes
from xdsl.dialects.builtin import ModuleOp

STEPS = "stride = [#builtin.int<1>, #builtin.int<1>], dilation = [#builtin.int<1>, #builtin.int<1>]"
CASES = {  # images, windows and results of 24 channels, of which a pass takes 8 or 16
    "windows": ("1x3x5x7xf32", "2x3x3x3x8x8xf32", "1x2x3x5x8xf32"),
    "points": ("1x3x4x6xf32", "4x3x1x1x8x8xf32", "1x4x4x6x8xf32"),
    "one row": ("1x3x1x13xf32", "3x3x1x1x8x8xf32", "1x3x1x13x8xf32"),
    "two images": ("2x3x3x4xf32", "2x3x1x1x8x8xf32", "2x2x3x4x8xf32"),
}


def convolution(case: str, kernel_text: Any, kernel: Any) -> Any:
    """relu of a convolution on blocks of 8 channels, and what follows in the same loops."""
    image, window, result = CASES[case]
    source = image.replace("xf32", "x8xf32")
    batch, channels, height, width = (int(n) for n in image.removesuffix("xf32").split("x"))
    outputs, _, down, across, lanes, _ = (int(n) for n in window.removesuffix("xf32").split("x"))
    weight = f"{outputs}x{down}x{across}x{channels * lanes}x{lanes}xf32"
    t = kernel_text(x=source, w=weight)
    plain = f"{batch}x{channels * lanes}x{height}x{width}xf32"
    blocked = "(d0, d1, d2, d3) -> (d0, d1 floordiv 8, d2, d3, d1 mod 8)"
    view = t.op("view", "%x", plain, f"map = affine_map<{blocked}>")
    summed = t.op("blocked_conv", f"{view} %w", result, STEPS)
    return kernel(t.returns(t.op("pointwise", summed, result, 'fn = "relu"')))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("near", [1 << 10, 1 << 20])  # so many sums may stay near, or all
@pytest.mark.parametrize("case", CASES)
def test_passes_compute_the_convolution(
    kernel: Any, kernel_text: Any, machines: dict[str, Any], case: str, near: int, threads: int
) -> None:
    small = replace(machines["avx2"], l1_bytes=2 << 10, l2_bytes=near)
    made = convolution(case, kernel_text, kernel)
    scop = made.scop()
    choose_schedule(scop, small, threads)
    assert "split_reduction(S1" in str(scop)
    module = ModuleOp([lower_scop(scop)])
    PromoteBuffersPass().apply(CompileContext(), module)
    made.check_loops(module.body.block.first_op)


def test_vectors_that_stay_near_or_are_read_once_need_no_passes(
    kernel: Any, kernel_text: Any, machines: dict[str, Any]
) -> None:
    scop = convolution("windows", kernel_text, kernel).scop()
    machine = replace(machines["avx2"], l1_bytes=2 << 10)
    (step,) = cut_into_passes(scop, machine, 8)
    assert isinstance(step, SplitReduction)
    assert step.factor % 8 == 0
    assert not cut_into_passes(scop, replace(machine, l1_bytes=1 << 20), 8)
    assert not cut_into_passes(scop, replace(machine, vector_registers=32), 8)
    few = convolution("one row", kernel_text, kernel).scop()
    assert cut_into_passes(few, machine, 8)
    assert not cut_into_passes(few, replace(machine, vector_registers=26), 8)
