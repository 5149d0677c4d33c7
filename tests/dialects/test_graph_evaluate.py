"""The reference evaluator: launches, dtypes, and errors that name what is wrong."""

import numpy as np
import pytest
from tilecast.dialects.errors import LoweringError
from tilecast.dialects.graph import Graph, LaunchOp, SizeOp
from tilecast.dialects.graph.base import GraphOp
from tilecast.dialects.quant.ops import Quant
from tilecast.dialects.reference.graph import MEANINGS, evaluate
from tilecast.dialects.reference.opaque import OPAQUE_MEANINGS
from tilecast.dialects.weights import WeightStore
from tilecast.passes.context import CompileContext
from xdsl.dialects.builtin import ModuleOp
from xdsl.parser import Parser

LAUNCHES = """
func.func @main(%x: tensor<2x3xf32>)
    -> (tensor<3x2xf32>, tensor<2x3xf32>) {
  %w = "graph.weight"() <{symbol = @w}>
    : () -> tensor<3xf32>
  %0 = "graph.launch"(%x, %w) <{kernel = @scale}>
    : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  %1, %2 = "graph.launch"(%0, %w) <{kernel = @both}>
    : (tensor<2x3xf32>, tensor<3xf32>) -> (tensor<3x2xf32>, tensor<2x3xf32>)
  func.return %1, %2 : tensor<3x2xf32>, tensor<2x3xf32>
}
func.func private @scale(%x: tensor<2x3xf32>, %w: tensor<3xf32>) -> tensor<2x3xf32> {
  %0 = "graph.pointwise"(%x, %w) <{fn = "mul"}>
    : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  func.return %0 : tensor<2x3xf32>
}
func.func private @both(%x: tensor<2x3xf32>, %w: tensor<3xf32>)
    -> (tensor<3x2xf32>, tensor<2x3xf32>) {
  %0 = "graph.view"(%x) <{map = affine_map<(d0, d1) -> (d1, d0)>}>
    : (tensor<2x3xf32>) -> tensor<3x2xf32>
  %1 = "graph.pointwise"(%x, %w) <{fn = "add"}>
    : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  func.return %0, %1 : tensor<3x2xf32>, tensor<2x3xf32>
}
"""


def parsed(text: str) -> ModuleOp:
    module = Parser(CompileContext(), text).parse_module()
    module.verify()
    return module


def unary(line: str, result: str) -> ModuleOp:
    body = f"%0 = {line}\nfunc.return %0 : {result}"
    return parsed(f"func.func @main(%x: tensor<2x3xf32>) -> {result} {{\n{body}\n}}")


def test_launches_run_their_kernels() -> None:
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    w = np.array([1, 2, 3], np.float32)
    transposed, shifted = evaluate(parsed(LAUNCHES), WeightStore({"w": w}), [x])
    np.testing.assert_array_equal(transposed, (x * w).T)
    np.testing.assert_array_equal(shifted, x * w + w)


def test_floats_are_computed_in_the_chosen_type() -> None:
    module = unary(
        '"graph.pointwise"(%x) <{fn = "exp"}> : (tensor<2x3xf32>) -> tensor<2x3xf32>',
        "tensor<2x3xf32>",
    )
    x = np.full((2, 3), 1 / 3)
    (wide,) = evaluate(module, {}, [x])
    (own,) = evaluate(module, {}, [x], dtype=None)
    assert wide.dtype == np.float64
    assert own.dtype == np.float32
    np.testing.assert_array_equal(wide, np.exp(x))
    np.testing.assert_array_equal(own, np.exp(x.astype(np.float32)))


def test_casts_truncate_and_compare_with_zero() -> None:
    x = np.array([[0.9, -0.9, 2.5], [0.0, -0.0, np.nan]])
    line = '"graph.cast"(%x) : (tensor<2x3xf32>) -> tensor<2x3xi1>'
    (truth,) = evaluate(unary(line, "tensor<2x3xi1>"), {}, [x])
    np.testing.assert_array_equal(truth, [[1, 1, 1], [0, 0, 1]])
    line = '"graph.cast"(%x) : (tensor<2x3xf32>) -> tensor<2x3xi8>'
    (whole,) = evaluate(unary(line, "tensor<2x3xi8>"), {}, [np.nan_to_num(x)])
    np.testing.assert_array_equal(whole, [[0, 0, 2], [0, 0, 0]])
    assert whole.dtype == np.int8


def test_views_that_divide_are_evaluated() -> None:
    line = (
        '"graph.view"(%x) <{map = affine_map<(d0) -> (d0 floordiv 4, d0 mod 3)>}> '
        ": (tensor<2x3xf32>) -> tensor<7xf32>"
    )
    x = np.arange(6.0).reshape(2, 3)
    (result,) = evaluate(unary(line, "tensor<7xf32>"), {}, [x])
    np.testing.assert_array_equal(result, [x[i // 4, i % 3] for i in range(7)])


def test_views_outside_their_source_are_an_error() -> None:
    line = (
        '"graph.view"(%x) <{map = affine_map<(d0) -> (d0 + 1, 0)>}> '
        ": (tensor<2x3xf32>) -> tensor<2xf32>"
    )
    with pytest.raises(IndexError, match="extent 2"):
        evaluate(unary(line, "tensor<2xf32>"), {}, [np.zeros((2, 3))])


def test_wrong_input_shape_is_an_error() -> None:
    with pytest.raises(LoweringError, match=r"expected \(2, 3\)"):
        evaluate(parsed(LAUNCHES), {"w": np.zeros(3)}, [np.zeros((3, 2))])


def test_a_type_that_does_not_fit_its_op_is_an_error() -> None:
    line = (
        '"graph.cat"(%x, %x) <{dim = #builtin.int<0>}> '
        ": (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<5x3xf32>"
    )
    with pytest.raises(LoweringError, match="its type says"):
        evaluate(unary(line, "tensor<5x3xf32>"), {}, [np.zeros((2, 3))])


def test_ops_of_other_dialects_are_an_error() -> None:
    text = "func.func @main() -> f32 {\n%0 = arith.constant 1.0 : f32\nfunc.return %0 : f32\n}"
    with pytest.raises(LoweringError, match=r"arith\.constant"):
        evaluate(parsed(text), {}, [])


def test_a_module_without_main_is_an_error() -> None:
    with pytest.raises(LoweringError, match="@main"):
        evaluate(ModuleOp([]), {}, [])


def test_every_graph_op_has_a_meaning() -> None:
    operations = {op for op in (*Graph.operations, *Quant.operations) if issubclass(op, GraphOp)}
    assert operations - {LaunchOp, SizeOp} == set(MEANINGS) | set(OPAQUE_MEANINGS)
