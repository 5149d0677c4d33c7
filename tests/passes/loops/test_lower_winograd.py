"""Loops of Winograd convolutions, run by the loops interpreter, against the meaning of the op."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tilecast.costmodel.hardware import Machine
from tilecast.dialects.graph.winograd import WinogradConvOp
from tilecast.dialects.reference.linalg import evaluate_kernel
from tilecast.dialects.reference.loops import run_kernel
from tilecast.dialects.vector import PrefetchOp
from tilecast.passes.graph.convolutions.cost import Convolution, Outermost, Split, winograd_plan
from tilecast.passes.loops import lower_opaque
from xdsl.dialects.builtin import TensorType, f32
from xdsl.dialects.func import FuncOp, ReturnOp

LANES = 4
MACHINE = Machine("small", "avx2", vector_bytes=4 * LANES)


def kernel(tile: int, height: int, width: int, epilogue: bool) -> FuncOp:
    """A convolution of 8 to 8 channels of two images, with all that may follow it or nothing."""
    shapes = [(2, 2, height + 2, width + 2, LANES), (2, (tile + 2) ** 2, 2 * LANES, LANES)]
    if epilogue:
        shapes += [(2, 1, 1, LANES), (2, 2, height, width, LANES)]
    types = [TensorType(f32, shape) for shape in shapes]
    func = FuncOp("k", (types, []))
    border = ((1, 2), (0, 1)) if epilogue else ((0, 0), (0, 0))
    args = func.body.block.args
    op = WinogradConvOp(*args, relu=epilogue, border_low=border[0], border_high=border[1])
    func.body.block.add_ops([op, ReturnOp(op.result)])
    func.function_type = type(func.function_type).from_lists(types, [op.result.type])
    op.verify()
    return func


def check(func: FuncOp, threads: int) -> None:
    """The loops compute, into poisoned memory, what the op means."""
    rng = np.random.default_rng(0)
    inputs = [rng.integers(-4, 5, a.type.get_shape()).astype(np.float32) for a in func.args]
    (expected,) = evaluate_kernel(func, inputs, dtype=np.float64)
    op = lower_opaque.opaque_op(func)
    assert op is not None
    loops = lower_opaque.lower_opaque(func, op, MACHINE, threads)
    loops.verify()
    arrays = list(inputs)
    for argument in list(loops.args)[len(inputs) :]:
        arrays.append(np.full(argument.type.get_shape(), np.nan, np.float32))
    run_kernel(loops, arrays)
    np.testing.assert_allclose(arrays[len(inputs)], expected, rtol=1e-4, atol=2e-3)


@pytest.mark.parametrize(
    ("tile", "height", "width", "epilogue"),
    [(2, 3, 4, True), (4, 5, 3, True), (2, 2, 2, False), (4, 4, 4, False)],
)
def test_loops_compute_the_convolution(tile: int, height: int, width: int, epilogue: bool) -> None:
    check(kernel(tile, height, width, epilogue), threads=1)


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("split", ["tiles", "channels"])
@pytest.mark.parametrize("outermost", ["groups", "points"])
def test_threads_share_tiles_or_channels(
    outermost: Outermost, split: Split, parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tilecast.passes.loops.opaque_rules import winograd

    def plan(conv: Convolution, tile: int, machine: Machine, threads: int) -> object:
        found = winograd_plan(conv, tile, machine, threads)
        loops = {"rows": 2, "columns": 1, "parts": parts}
        return replace(found, **loops, split=split, outermost=outermost, cycles=0.0)

    monkeypatch.setattr(winograd, "winograd_plan", plan)
    monkeypatch.setattr(lower_opaque, "PARALLEL_ELEMENTS", 1)
    check(kernel(2, 5, 4, epilogue=False), threads=3)


@pytest.mark.parametrize(("registers", "few"), [(16, True), (32, False)])
def test_weights_are_asked_for_where_registers_are_few(registers: int, few: bool) -> None:
    func = kernel(2, 5, 4, epilogue=False)
    op = lower_opaque.opaque_op(func)
    assert op is not None
    machine = replace(MACHINE, vector_registers=registers)
    loops = lower_opaque.lower_opaque(func, op, machine, 1)
    asked = sum(isinstance(inner, PrefetchOp) for inner in loops.walk())
    plan = winograd_plan(Convolution(2, 8, 2, 5, 4, LANES, 4, True), 2, machine, 1)
    assert asked == (plan.columns * LANES * 4 * LANES // 64 if few else 0)
