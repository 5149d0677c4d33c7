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
from xdsl.dialects.math import ExpOp

STEPS = "stride = [#builtin.int<1>, #builtin.int<1>], dilation = [#builtin.int<1>, #builtin.int<1>]"
CASES = {  # (images, height, width, blocks of results, side of the window) of 24 channels
    "windows": (1, 5, 7, 2, 3),
    "points": (1, 4, 6, 4, 1),
    "one row": (1, 1, 13, 3, 1),
    "two images": (2, 3, 4, 2, 1),
}


def convolution(case: str, kernel_text: Any, kernel: Any, fn: str = "relu") -> Any:
    """`fn` of a convolution on blocks of 8 channels, of which a pass takes one or two."""
    images, height, width, blocks, side = CASES[case]
    t = kernel_text(x=f"{images}x3x{height}x{width}x8xf32", w=f"{blocks}x{side}x{side}x24x8xf32")
    blocked = "(d0, d1, d2, d3) -> (d0, d1 floordiv 8, d2, d3, d1 mod 8)"
    view = t.op("view", "%x", f"{images}x24x{height}x{width}xf32", f"map = affine_map<{blocked}>")
    border = side - 1
    result = f"{images}x{blocks}x{height - border}x{width - border}x8xf32"
    summed = t.op("blocked_conv", f"{view} %w", result, STEPS)
    text = t.returns(t.op("pointwise", summed, result, f'fn = "{fn}"'))
    return kernel(text, exact=fn == "relu")


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


@pytest.mark.parametrize("case", CASES)
def test_functions_after_all_passes_are_not_unrolled(
    kernel: Any, kernel_text: Any, machines: dict[str, Any], case: str
) -> None:
    made = convolution(case, kernel_text, kernel, "silu")
    scop = made.scop()
    choose_schedule(scop, replace(machines["avx2"], l1_bytes=2 << 10), 1)
    assert "split_reduction(S1" in str(scop)
    loops = lower_scop(scop)
    functions = [op.parent for op in loops.walk() if isinstance(op, ExpOp)]
    assert len(functions) == len(set(functions))
    made.check_loops(loops)


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
