"""Activations stay in blocks of channels from one convolution to the next."""

from __future__ import annotations

import numpy as np
import pytest
from tilecast.dialects.graph import ConvOp, PadOp, PointwiseOp, ViewOp, WeightOp, shape_of
from tilecast.dialects.graph.blocked import BlockedDepthwiseOp
from tilecast.dialects.reference.graph import evaluate
from tilecast.dialects.weights import WeightStore
from tilecast.passes.graph.block_channels import block_channels
from tilecast.passes.graph.blocked_values import BlockedValues, whole_blocks
from xdsl.dialects.builtin import AffineMapAttr, FloatAttr, TensorType, f32, f64
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import SSAValue
from xdsl.ir.affine import AffineExpr, AffineMap

LANES, CHANNELS = 4, 6


def padded_network(low: list[int], high: list[int], number: float) -> tuple[FuncOp, WeightStore]:
    """A 1x1 convolution, a pad of its own, a depthwise 3x3 convolution, a 1x1 convolution."""
    rng, weights = np.random.default_rng(0), WeightStore()
    func = FuncOp("main", ([TensorType(f32, (1, 3, 5, 6))], []))
    block = func.body.block

    def conv(source: SSAValue, groups: int, *shape: int) -> SSAValue:
        symbol = weights.add("w", rng.integers(-2, 3, shape).astype(np.float32))
        block.add_op(weight := WeightOp(symbol, TensorType(f32, shape)))
        steps = [[1, 1], [0, 0], [1, 1]]
        extents = [n - k + 1 for n, k in zip(shape_of(source)[2:], shape[2:], strict=True)]
        type = TensorType(f32, (1, shape[0], *extents))
        block.add_op(op := ConvOp(source, weight.result, None, *steps, groups, type))
        return op.result

    wide = conv(block.args[0], 1, CHANNELS, 3, 1, 1)
    extents = [n + lo + hi for n, lo, hi in zip(shape_of(wide), low, high, strict=True)]
    block.add_op(pad := PadOp(wide, low, high, FloatAttr(number, f64), TensorType(f32, extents)))
    channels = extents[1]
    result = conv(conv(pad.result, channels, channels, 1, 3, 3), 1, 5, channels, 1, 1)
    block.add_op(ReturnOp(result))
    func.function_type = func.function_type.from_lists([block.args[0].type], [result.type])
    return func, weights


@pytest.mark.parametrize("number", [0.0, 2.0])
def test_a_pad_around_the_image_stays_in_blocks(number: float) -> None:
    main, weights = padded_network([0, 0, 1, 0], [0, 0, 1, 3], number)
    before = main.clone()
    block_channels(main, BlockedValues(main, weights, LANES))
    main.verify()
    assert any(isinstance(op, BlockedDepthwiseOp) for op in main.body.block.ops)
    x = np.random.default_rng(1).integers(-3, 4, (1, 3, 5, 6)).astype(np.float32)
    (expected,) = evaluate(before, weights, [x], np.float64)
    (found,) = evaluate(main, weights, [x], np.float64)
    np.testing.assert_array_equal(found, expected)


def test_a_pad_of_channels_reads_a_plain_view() -> None:
    main, weights = padded_network([0, 1, 1, 1], [0, 0, 1, 1], 0.0)
    before = main.clone()
    block_channels(main, BlockedValues(main, weights, LANES))
    main.verify()
    (pad,) = (op for op in main.body.block.ops if isinstance(op, PadOp))
    assert isinstance(pad.source.owner, ViewOp)
    x = np.random.default_rng(1).integers(-3, 4, (1, 3, 5, 6)).astype(np.float32)
    (expected,) = evaluate(before, weights, [x], np.float64)
    (found,) = evaluate(main, weights, [x], np.float64)
    np.testing.assert_array_equal(found, expected)


CHANNEL = AffineExpr.dimension(1)
PHASE = AffineExpr.dimension(2) % 2


@pytest.mark.parametrize(
    ("channel", "block"),
    [
        (CHANNEL + PHASE * 8, CHANNEL + PHASE * 2),
        (CHANNEL + 4, CHANNEL + 1),
        (CHANNEL + PHASE * 6, None),
        (CHANNEL + 2, None),
        (CHANNEL * 2, None),
        (CHANNEL + CHANNEL, None),
        (PHASE * 4, None),
    ],
)
def test_views_move_whole_blocks_of_channels(channel: AffineExpr, block: AffineExpr | None) -> None:
    assert whole_blocks(channel, LANES) == block


def test_results_laid_side_by_side_stay_in_blocks() -> None:
    """Four phases of 8 channels become an image of twice the height and the width."""
    rng, weights = np.random.default_rng(0), WeightStore()
    func = FuncOp("main", ([TensorType(f32, (1, 3, 3, 2))], []))
    block = func.body.block
    symbol = weights.add("w", rng.integers(-2, 3, (32, 3, 1, 1)).astype(np.float32))
    block.add_op(weight := WeightOp(symbol, TensorType(f32, (32, 3, 1, 1))))
    steps = [[1, 1], [0, 0], [1, 1]]
    type = TensorType(f32, (1, 32, 3, 2))
    block.add_op(conv := ConvOp(block.args[0], weight.result, None, *steps, 1, type))
    batch, channel, y, x = (AffineExpr.dimension(d) for d in range(4))
    exprs = (batch, channel + y % 2 * 16 + x % 2 * 8, y // 2, x // 2)
    type = TensorType(f32, (1, 8, 6, 4))
    block.add_op(view := ViewOp(conv.result, AffineMapAttr(AffineMap(4, 0, exprs)), type))
    block.add_op(relu := PointwiseOp("relu", [view.result], type))
    block.add_op(ReturnOp(relu.result))
    func.function_type = func.function_type.from_lists([block.args[0].type], [type])
    before = func.clone()
    block_channels(func, BlockedValues(func, weights, LANES))
    func.verify()
    (blocked,) = (op for op in block.ops if isinstance(op, PointwiseOp))
    assert shape_of(blocked.result) == (1, 2, 6, 4, LANES)
    image = np.random.default_rng(1).integers(-3, 4, (1, 3, 3, 2)).astype(np.float32)
    (expected,) = evaluate(before, weights, [image], np.float64)
    (found,) = evaluate(func, weights, [image], np.float64)
    np.testing.assert_array_equal(found, expected)
