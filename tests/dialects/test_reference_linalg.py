"""The linalg evaluator itself, on kernels written as text, against plain numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tilecast.dialects.errors import LoweringError
from tilecast.dialects.reference.affine_reads import read_through
from tilecast.dialects.reference.linalg import evaluate, evaluate_kernel
from tilecast.dialects.reference.scalar_ops import SAME_TYPE
from tilecast.passes.context import CompileContext
from xdsl.dialects import math
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir.affine import AffineDimExpr, AffineMap
from xdsl.parser import Parser


def module(text: str) -> ModuleOp:
    parsed = Parser(CompileContext(), text).parse_module()
    parsed.verify()
    return parsed


def kernel(text: str) -> FuncOp:
    (func,) = module(text).ops
    assert isinstance(func, FuncOp)
    return func


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(size=shape)


CONTRACTION = """
func.func private @k(%x: tensor<{a}xf32>, %y: tensor<{b}xf32>) -> tensor<{c}xf32> {{
  %zero = arith.constant 2.0 : f32
  %empty = tensor.empty() : tensor<{c}xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<{c}xf32>) -> tensor<{c}xf32>
  %r = linalg.generic {{indexing_maps = [affine_map<{dims} -> {x}>, affine_map<{dims} -> {y}>,
    affine_map<{dims} -> {out}>], iterator_types = [{iterators}]}}
    ins(%x, %y : tensor<{a}xf32>, tensor<{b}xf32>) outs(%init : tensor<{c}xf32>) {{
  ^bb0(%p: f32, %q: f32, %acc: f32):
    %m = arith.mulf %p, %q : f32
    %s = arith.addf %m, %acc : f32
    linalg.yield %s : f32
  }} -> tensor<{c}xf32>
  func.return %r : tensor<{c}xf32>
}}
"""
P, R = '"parallel"', '"reduction"'


@pytest.mark.parametrize(
    ("einsum", "maps", "shapes", "iterators"),
    [
        ("mk,nk->mn", "(m, k)|(n, k)|(m, n)|(m, n, k)", "3x5|7x5|3x7", [P, P, R]),
        ("bmk,bkn->bnm", "(b, m, k)|(b, k, n)|(b, n, m)|(b, m, n, k)", "2x3x5|2x5x7|2x7x3", "pppr"),
        ("k,k->", "(k)|(k)|()|(k)", "5|5|", [R]),
        ("mk,n->mn", "(m, k)|(n)|(m, n)|(m, n, k)", "3x5|7|3x7", [P, P, R]),
        ("bm,bn->bmn", "(b, m, 0)|(b, n, 0)|(b, m, n)|(b, m, n)", "2x3x1|2x7x1|2x3x7", "ppp"),
    ],
)
def test_multiply_add_is_an_einsum(
    einsum: str, maps: str, shapes: str, iterators: list[str] | str
) -> None:
    letters = {"p": P, "r": R}
    a, b, c = shapes.split("|")
    x, y, out, dims = maps.split("|")
    text = CONTRACTION.format(
        a=a,
        b=b,
        c=c,
        x=x,
        y=y,
        out=out,
        dims=dims,
        iterators=", ".join(letters.get(i, i) for i in iterators),
    ).replace("<xf32>", "<f32>")
    arrays = [random(*map(int, s.split("x"))) for s in (a, b)]
    flat = [v.reshape([n for n in v.shape if n != 1]) if "0" in maps else v for v in arrays]
    (got,) = evaluate_kernel(kernel(text), arrays)
    np.testing.assert_allclose(got, np.einsum(einsum, *flat) + 2.0, rtol=1e-13)


def test_accumulations_without_a_plain_combiner_run_point_by_point() -> None:
    text = """
    func.func private @k(%x: tensor<3x5xf32>) -> tensor<3xf32> {
      %zero = arith.constant 0.0 : f32
      %empty = tensor.empty() : tensor<3xf32>
      %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<3xf32>) -> tensor<3xf32>
      %r = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>,
        affine_map<(i, j) -> (i)>], iterator_types = ["parallel", "reduction"]}
        ins(%x : tensor<3x5xf32>) outs(%init : tensor<3xf32>) {
      ^bb0(%p: f32, %acc: f32):
        %half = arith.constant 0.5 : f32
        %decayed = arith.mulf %acc, %half : f32
        %j = linalg.index 1 : index
        %n = arith.index_cast %j : index to i64
        %f = arith.sitofp %n : i64 to f32
        %t = arith.mulf %p, %f : f32
        %s = arith.addf %decayed, %t : f32
        linalg.yield %s : f32
      } -> tensor<3xf32>
      func.return %r : tensor<3xf32>
    }"""
    x = random(3, 5)
    want = np.zeros(3)
    for j in range(5):
        want = want * 0.5 + x[:, j] * j
    np.testing.assert_allclose(evaluate_kernel(kernel(text), [x])[0], want)


def test_unwritten_elements_spoil_the_result() -> None:
    text = """
    func.func private @k() -> (tensor<3xf32>) {
      %e = tensor.empty() : tensor<3xf32>
      func.return %e : tensor<3xf32>
    }"""
    assert np.isnan(evaluate_kernel(kernel(text), [])[0]).all()


def test_floats_are_computed_in_the_type_asked_for() -> None:
    text = """
    func.func private @k(%x: tensor<2xf32>) -> tensor<2xf32> {
      %e = tensor.empty() : tensor<2xf32>
      %r = linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>],
        iterator_types = ["parallel"]} ins(%x : tensor<2xf32>) outs(%e : tensor<2xf32>) {
      ^bb0(%p: f32, %o: f32):
        %s = arith.mulf %p, %p : f32
        linalg.yield %s : f32
      } -> tensor<2xf32>
      func.return %r : tensor<2xf32>
    }"""
    x = np.array([2.0**100, 3.0])
    (double,) = evaluate_kernel(kernel(text), [x])
    (single,) = evaluate_kernel(kernel(text), [x], np.float32)
    assert double.dtype == np.float64
    assert double.tolist() == [2.0**200, 9.0]
    assert single.dtype == np.float32
    assert single.tolist() == [np.inf, 9.0]


def test_main_runs_its_launches_on_weights_and_reshapes() -> None:
    text = """
    func.func private @twice(%x: tensor<4xf32>) -> tensor<4xf32> {
      %e = tensor.empty() : tensor<4xf32>
      %r = linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>],
        iterator_types = ["parallel"]} ins(%x : tensor<4xf32>) outs(%e : tensor<4xf32>) {
      ^bb0(%p: f32, %o: f32):
        %s = arith.addf %p, %p : f32
        linalg.yield %s : f32
      } -> tensor<4xf32>
      func.return %r : tensor<4xf32>
    }
    func.func @main() -> tensor<2x2xf32> {
      %w = "graph.weight"() <{symbol = @w}> : () -> tensor<4xf32>
      %a = "graph.launch"(%w) <{kernel = @twice}> : (tensor<4xf32>) -> tensor<4xf32>
      %b = "graph.launch"(%a) <{kernel = @twice}> : (tensor<4xf32>) -> tensor<4xf32>
      %c = "graph.reshape"(%b) : (tensor<4xf32>) -> tensor<2x2xf32>
      func.return %c : tensor<2x2xf32>
    }"""
    (got,) = evaluate(module(text), {"w": np.arange(4, dtype=np.float32)}, [])
    assert got.tolist() == [[0.0, 4.0], [8.0, 12.0]]


def test_a_wrong_argument_shape_is_refused() -> None:
    text = """
    func.func private @k(%x: tensor<3xf32>) -> tensor<3xf32> {
      func.return %x : tensor<3xf32>
    }"""
    with pytest.raises(LoweringError, match=r"shape \(3,\), found \(4,\)"):
        evaluate_kernel(kernel(text), [np.zeros(4)])


def test_an_op_of_another_level_is_refused() -> None:
    text = """
    func.func private @k(%x: tensor<3xf32>) -> tensor<3xf32> {
      %0 = "graph.cast"(%x) : (tensor<3xf32>) -> tensor<3xf32>
      func.return %0 : tensor<3xf32>
    }"""
    with pytest.raises(LoweringError, match=r"graph\.cast"):
        evaluate_kernel(kernel(text), [np.zeros(3)])


@settings(max_examples=100)
@given(
    st.tuples(st.integers(1, 4), st.integers(1, 4)),
    st.tuples(st.integers(-3, 3), st.integers(-3, 3), st.integers(0, 2)),
    st.sampled_from(["linear", "floordiv", "mod"]),
)
def test_reads_through_maps_equal_one_element_at_a_time(
    extents: tuple[int, int], coefficients: tuple[int, int, int], form: str
) -> None:
    i, j = AffineDimExpr(0), AffineDimExpr(1)
    a, b, c = coefficients
    offset = c - min(0, a * (extents[0] - 1)) - min(0, b * (extents[1] - 1))
    expr = i * a + j * b + offset
    if form == "floordiv":
        expr = expr // 2
    elif form == "mod":
        expr = expr % 3
    map = AffineMap(2, 0, (expr, j))
    source = np.arange(200).reshape(40, 5)
    read = np.broadcast_to(read_through(source, map, extents), extents)
    for index in np.ndindex(*extents):
        assert read[index] == source[map.eval(index, [])]


def test_reads_outside_of_the_array_are_refused() -> None:
    map = AffineMap(1, 0, (AffineDimExpr(0) * 2,))
    with pytest.raises(IndexError, match="leaves an array"):
        read_through(np.zeros(5), map, [4])


def test_fused_multiply_add_rounds_once() -> None:
    fma = SAME_TYPE[math.FmaOp]
    a = np.array([1 + 2.0**-30])
    exact = 2.0**-29 + 2.0**-60
    assert fma(a, a, np.array([-1.0]))[0] == exact
    assert (a * a - 1.0)[0] != exact
    assert fma(np.array([np.inf]), a, a)[0] == np.inf
