"""Winograd's algorithm is taken where it is estimated to win, and computes the same."""

from __future__ import annotations

import numpy as np
import pytest
from tilecast.costmodel.hardware import Machine
from tilecast.dialects.graph import PadOp, PointwiseOp, ViewOp, WeightOp
from tilecast.dialects.graph.blocked import BlockedConvOp
from tilecast.dialects.graph.winograd import WinogradConvOp
from tilecast.dialects.reference.graph import evaluate
from tilecast.dialects.weights import WeightStore
from tilecast.passes.context import CompileContext
from tilecast.passes.graph.choose_convolutions import ChooseConvolutionsPass, insert_winograd
from tilecast.passes.graph.convolutions.cost import (
    Convolution,
    name_of,
    predicted_cycles,
    winograd_plan,
)
from xdsl.dialects.builtin import AffineMapAttr, FloatAttr, ModuleOp, TensorType, f32, f64
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir.affine import AffineDimExpr, AffineMap

LANES, CHANNELS = 4, 8
ZEN = Machine("zen4", "avx512", (), 64, 32, 2)


def block(height: int, width: int) -> tuple[FuncOp, WeightStore]:
    """relu(conv(x) + bias + inside of x), padded, on blocks of channels."""
    rng, weights = np.random.default_rng(0), WeightStore()
    type = TensorType(f32, (1, 2, height + 2, width + 2, LANES))
    func = FuncOp("main", ([type], []))
    x = func.body.block.args[0]

    def add(op: WeightOp | ViewOp | BlockedConvOp | PointwiseOp | PadOp) -> object:
        func.body.block.add_op(op)
        return op.result

    def weight(*shape: int) -> object:
        symbol = weights.add("w", rng.integers(-2, 3, shape).astype(np.float32))
        return add(WeightOp(symbol, TensorType(f32, shape)))

    d = [AffineDimExpr(k) for k in range(5)]
    plain = AffineMap(4, 0, (d[0], d[1] // LANES, d[2], d[3], d[1] % LANES))
    seen = TensorType(f32, (1, CHANNELS, height + 2, width + 2))
    view = add(ViewOp(x, AffineMapAttr(plain), seen))
    conv = add(BlockedConvOp(view, weight(2, 3, 3, CHANNELS, LANES), [1, 1], [1, 1]))
    out = conv.type
    total = add(PointwiseOp("add", [conv, weight(2, 1, 1, LANES)], out))
    middle = AffineMap(5, 0, (d[0], d[1], d[2] + 1, d[3] + 1, d[4]))
    inside = add(ViewOp(x, AffineMapAttr(middle), out))
    total = add(PointwiseOp("relu", [add(PointwiseOp("add", [inside, total], out))], out))
    padded = TensorType(f32, (1, 2, height + 3, width + 2, LANES))
    pad = PadOp(total, [0, 0, 2, 1, 0], [0, 0, 1, 1, 0], FloatAttr(0.0, f64), padded)
    func.body.block.add_op(ReturnOp(add(pad)))
    func.function_type = func.function_type.from_lists([type], [padded])
    return func, weights


@pytest.mark.parametrize("tile", [2, 4])
def test_what_follows_moves_into_the_op(tile: int) -> None:
    main, weights = block(5, 6)
    before = main.clone()
    conv = next(op for op in main.body.block.ops if isinstance(op, BlockedConvOp))
    insert_winograd(conv, tile, weights)
    conv.detach()
    conv.erase()
    main.verify()
    kinds = [op.name for op in main.body.block.ops if not isinstance(op, WeightOp | ViewOp)]
    assert kinds == [WinogradConvOp.name, ReturnOp.name]
    x = np.random.default_rng(2).integers(-4, 5, (1, 2, 7, 8, LANES)).astype(np.float32)
    (expected,) = evaluate(before, weights, [x], np.float64)
    (found,) = evaluate(main, weights, [x], np.float64)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)  # weights are float32


@pytest.mark.parametrize(("convolutions", "count"), [("auto", 1), ("direct", 0)])
def test_the_choice_is_recorded_and_can_be_turned_off(convolutions: str, count: int) -> None:
    main, weights = block(30, 30)
    context = CompileContext()
    context.weights, context.convolutions = weights, convolutions
    ChooseConvolutionsPass().apply(context, ModuleOp([main]))
    found = [op for op in main.body.block.ops if isinstance(op, WinogradConvOp)]
    assert len(found) == len(context.decisions) == count
    offered = {"direct", name_of(2), name_of(4)}
    assert all({label for label, _ in d.candidates} == offered for d in context.decisions)


def fastest(channels: int, extent: int, is_cold: bool) -> str:
    conv = Convolution(1, channels, channels // 16, extent, extent, 16, 4, is_cold)
    cycles = predicted_cycles(conv, ZEN, threads=2)
    return min(cycles, key=cycles.__getitem__)


def test_large_tiles_pay_where_weights_are_used_often() -> None:
    assert fastest(64, 56, is_cold=True) == name_of(4)


def test_weights_that_come_from_memory_make_tiles_small() -> None:
    assert fastest(512, 7, is_cold=True) == name_of(2)
    assert fastest(1024, 2, is_cold=True) == "direct"


def test_few_registers_take_a_block_of_tiles_in_parts_while_weights_are_near() -> None:
    few = Machine("zen3", "avx2", (), 32, 16, 2)
    plans = [
        winograd_plan(Convolution(1, 64, 64 // lanes, 56, 56, lanes, 4, True), 4, machine, 2)
        for machine, lanes in ((few, 8), (ZEN, 16))
    ]
    assert [plan.parts > 1 for plan in plans] == [True, False]
    assert all(
        plan.rows * plan.columns < m.vector_registers
        for plan, m in zip(plans, (few, ZEN), strict=True)
    )


def test_points_come_first_where_weights_are_read_more_than_inputs() -> None:
    few = Machine("zen3", "avx2", (), 32, 16, 2, l2_bytes=512 * 1024)
    plan = winograd_plan(Convolution(1, 256, 32, 14, 14, 8, 4, True), 4, few, 2)
    assert plan.outermost == "points"
    assert plan.block >= 16  # tiles of the image: weights are read once


def test_multiply_adds_of_half_the_width_are_twice_as_many_in_the_same_time() -> None:
    few = Machine("zen3", "avx2", (), 32, 16, 2)
    wide, narrow = (
        predicted_cycles(Convolution(1, 64, 64 // lanes, 56, 56, lanes, 4, True), machine, 2)
        for machine, lanes in ((ZEN, 16), (few, 8))
    )
    assert wide["direct"] == pytest.approx(narrow["direct"])
