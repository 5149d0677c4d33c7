"""Layers cut along their outputs compute the same numbers from pieces of their weights."""

from __future__ import annotations

import numpy as np
import pytest
from tilecast.dialects.graph import ConvOp, LinearOp, WeightOp, shape_of
from tilecast.dialects.reference.graph import evaluate
from tilecast.dialects.weights import WeightStore
from tilecast.passes.graph.cut_weights import cut_weights
from xdsl.dialects.builtin import TensorType, f32
from xdsl.dialects.func import FuncOp, ReturnOp

SHAPES = {"linear": ([3, 40], [50, 40]), "conv": ([2, 8, 5, 6], [21, 8, 3, 3])}


def layer(name: str, groups: int = 1) -> tuple[FuncOp, WeightStore]:
    """A main of one layer; numbers are small integers, so that sums are exact in any order."""
    shape, weight = SHAPES[name]
    rng, weights = np.random.default_rng(0), WeightStore()
    main = FuncOp("main", ([TensorType(f32, shape)], []))
    stored = []
    for dims in ([weight[0] - weight[0] % groups, weight[1] // groups, *weight[2:]], [weight[0]]):
        dims[0] -= dims[0] % groups
        symbol = weights.add("w", rng.integers(-3, 4, dims).astype(np.float32))
        stored.append(WeightOp(symbol, TensorType(f32, dims)))
    x, (w, b) = main.body.block.args[0], (op.result for op in stored)
    if name == "linear":
        op = LinearOp(x, w, b, TensorType(f32, [shape[0], shape_of(w)[0]]))
    else:
        type = TensorType(f32, [shape[0], shape_of(w)[0], *shape[2:]])
        op = ConvOp(x, w, b, [1, 1], [1, 1], [1, 1], groups, type)
    main.body.block.add_ops([*stored, op, ReturnOp(op.result)])
    main.update_function_type()
    return main, weights


def result_of(main: FuncOp, weights: WeightStore) -> np.ndarray:
    shape = shape_of(main.body.block.args[0])
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    (result,) = evaluate(main, weights, [x])
    return result


@pytest.mark.parametrize(("name", "pieces"), [("linear", 4), ("conv", 3)])
def test_pieces_have_the_size_that_is_asked_for(name: str, pieces: int) -> None:
    main, weights = layer(name)
    expected = result_of(main, weights)
    (cut,) = cut_weights(main, weights, 2100)
    main.verify()
    np.testing.assert_array_equal(result_of(main, weights), expected)
    read = [op.result for op in main.body.block.ops if isinstance(op, WeightOp)]
    sizes = [4 * np.prod(shape_of(value)) for value in read if len(shape_of(value)) > 1]
    assert (cut.pieces, len(sizes)) == (pieces, pieces)
    assert sum(sizes) == cut.bytes
    assert max(sizes) <= 2100


def test_small_and_grouped_layers_stay_whole() -> None:
    for main, weights in (layer("linear"), layer("conv", groups=4)):
        before = str(main)
        assert cut_weights(main, weights, 8000 if "linear" in before else 64) == []
        assert str(main) == before
