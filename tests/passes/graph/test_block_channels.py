"""Activations stay in blocks of channels from one convolution to the next."""

from __future__ import annotations

import numpy as np
import pytest
from tilecast.dialects.graph import ConvOp, PadOp, ViewOp, WeightOp, shape_of
from tilecast.dialects.graph.blocked import BlockedDepthwiseOp
from tilecast.dialects.reference.graph import evaluate
from tilecast.dialects.weights import WeightStore
from tilecast.passes.graph.block_channels import block_channels
from tilecast.passes.graph.blocked_values import BlockedValues
from xdsl.dialects.builtin import FloatAttr, TensorType, f32, f64
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import SSAValue

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
