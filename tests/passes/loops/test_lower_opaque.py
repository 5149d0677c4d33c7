"""Lowered opaque kernels, run by the loops interpreter, against the numpy meaning of their ops."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tilecast.dialects.errors import LoweringError
from tilecast.dialects.graph.opaque import OPAQUE_OPS
from tilecast.dialects.graph.recurrent import RecurrentOp
from tilecast.dialects.graph.winograd import WinogradConvOp
from tilecast.dialects.quant.ops import QuantizedLinearOp
from tilecast.dialects.reference.linalg import evaluate_kernel
from tilecast.dialects.reference.loop_arithmetic import dtype_of
from tilecast.dialects.reference.loops import run_kernel
from tilecast.passes.context import CompileContext
from tilecast.passes.loops.lower_opaque import LowerOpaquePass
from tilecast.passes.loops.opaque_rules import RULES
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.dialects.scf import ParallelOp
from xdsl.parser import Parser

Arrays = list[np.ndarray]
NUMBERS = np.array([0.0, -0.0, 1.5, -2.5, np.inf, -np.inf, np.nan, 3.0, 1.5])


def lower(text: str, threads: int = 1) -> tuple[FuncOp, FuncOp]:
    """The kernel in `text` before and after the pass."""
    context = CompileContext()
    context.threads = threads
    module = Parser(context, text).parse_module()
    module.verify()
    before = module.clone()
    LowerOpaquePass().apply(context, module)
    module.verify()
    (old,), (new,) = before.ops, module.ops
    assert isinstance(old, FuncOp)
    assert isinstance(new, FuncOp)
    return old, new


def run_lowered(func: FuncOp, inputs: Arrays) -> np.ndarray:
    """The output, which is poisoned before, as scratch memory is."""
    arrays = [np.ascontiguousarray(array) for array in inputs]
    for argument in func.args[len(inputs) :]:
        array = np.empty(argument.type.get_shape(), dtype_of(argument.type))
        array.view(np.uint8).fill(0xA5)
        arrays.append(array)
    run_kernel(func, arrays)
    return arrays[len(inputs)]


def check(text: str, inputs: Arrays, threads: int = 1) -> FuncOp:
    """The lowered kernel computes what the op means; returns it."""
    old, new = lower(text, threads)
    (expected,) = evaluate_kernel(old, inputs, dtype=np.float32)
    np.testing.assert_array_equal(run_lowered(new, inputs), expected)
    return new


def kernel(operands: str, op: str, result: str) -> str:
    return f"func.func private @k({operands}) -> {result} {{ {op} func.return %0 : {result} }}"


def argsort(shape: str, element: str, result: str, dim: int, count: int, down: bool) -> str:
    type, out = f"tensor<{shape}x{element}>", f"tensor<{result}xi64>"
    attributes = (
        f"dim = #builtin.int<{dim}>, descending = {str(down).lower()}, "
        f"count = #builtin.int<{count}>"
    )
    op = f'%0 = "graph.argsort"(%x) <{{{attributes}}}> : ({type}) -> {out}'
    return kernel(f"%x: {type}", op, out)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.data(), st.booleans(), st.sampled_from(["f32", "i64", "i8", "i1"]))
def test_argsort_is_the_stable_order(n: int, data: st.DataObject, down: bool, element: str) -> None:
    count = data.draw(st.integers(1, n))
    rng = np.random.default_rng(n + count)
    rows = rng.choice(NUMBERS, (2, n)) if element == "f32" else rng.integers(-2, 3, (2, n))
    dtype = {"f32": np.float32, "i64": np.int64, "i8": np.int8, "i1": np.bool_}[element]
    check(argsort(f"2x{n}", element, f"2x{count}", 1, count, down), [rows.astype(dtype)])


@pytest.mark.parametrize("count", [3, 20, 40, 97])  # inserted, collected (twice), sorted
@pytest.mark.parametrize("order", ["random", "rising", "falling", "equal"])
@pytest.mark.parametrize("element", ["f32", pytest.param("i64", marks=pytest.mark.slow)])
def test_every_way_of_sorting_in_every_order(count: int, order: str, element: str) -> None:
    row = np.random.default_rng(0).permutation(97)
    ways = {"random": row, "rising": np.sort(row), "falling": np.sort(row)[::-1], "equal": row * 0}
    text = argsort("97", element, str(count), 0, count, element == "f32")
    check(text, [ways[order].astype(np.float32 if element == "f32" else np.int64)])


def test_float64_and_the_outermost_dim() -> None:
    x = np.random.default_rng(1).choice(NUMBERS, (20, 2, 3))
    text = argsort("20x2x3", "f64", "18x2x3", 0, 18, False)
    old, new = lower(text)
    np.testing.assert_array_equal(run_lowered(new, [x]), evaluate_kernel(old, [x])[0])


SCATTER = """func.func private @k(%x: tensor<5x7xf32>, %u: tensor<4x6xf32>, %i: tensor<4x6xi64>)
    -> tensor<5x7xf32> {{
  %0 = "graph.scatter"(%x, %u, %i) <{{fn = "{fn}", dim = #builtin.int<{dim}>}}>
    : (tensor<5x7xf32>, tensor<4x6xf32>, tensor<4x6xi64>) -> tensor<5x7xf32>
  func.return %0 : tensor<5x7xf32>
}}"""


@pytest.mark.parametrize("fn", ["set", "add", "mul", "max", "min"])
@pytest.mark.parametrize("dim", [0, 1])
def test_scatter_in_order_and_only_inside(fn: str, dim: int) -> None:
    rng = np.random.default_rng(dim)
    x, u = (rng.integers(-4, 5, shape).astype(np.float32) for shape in ((5, 7), (4, 6)))
    u[0, 0] = np.nan
    index = rng.integers(-2, 9, (4, 6))  # some are outside
    index[3, 5] = 2**40
    assert ((index < 0) | (index >= (5, 7)[dim])).any()
    check(SCATTER.format(fn=fn, dim=dim), [x, u, index])


def test_scatter_reads_through_views_and_constants() -> None:
    text = """func.func private @k(%u: tensor<9x4xf32>, %i: tensor<9xi32>) -> tensor<6x4xf32> {
      %z = "graph.full"() <{value = 0.0 : f64}> : () -> tensor<f32>
      %s = "graph.view"(%z) <{map = affine_map<(d0, d1) -> ()>}> : (tensor<f32>) -> tensor<6x4xf32>
      %j = "graph.view"(%i) <{map = affine_map<(d0, d1) -> (d0)>}>
        : (tensor<9xi32>) -> tensor<9x4xi32>
      %f = "graph.view"(%u) <{map = affine_map<(d0, d1) -> (-1 * d0 + 8, (d1 + 1) mod 4)>}>
        : (tensor<9x4xf32>) -> tensor<9x4xf32>
      %0 = "graph.scatter"(%s, %f, %j) <{fn = "add", dim = #builtin.int<0>}>
        : (tensor<6x4xf32>, tensor<9x4xf32>, tensor<9x4xi32>) -> tensor<6x4xf32>
      func.return %0 : tensor<6x4xf32>
    }"""
    rng = np.random.default_rng(0)
    check(text, [rng.integers(-4, 5, (9, 4)).astype(np.float32), rng.integers(0, 6, 9, np.int32)])


def test_reads_through_reshapes_and_counts() -> None:
    text = """func.func private @k(%x: tensor<4x6xf32>) -> tensor<3x8xf32> {
      %r = "graph.reshape"(%x) : (tensor<4x6xf32>) -> tensor<3x8xf32>
      %c = "graph.iota"() <{start = #builtin.int<7>, step = #builtin.int<-1>}> : () -> tensor<8xi64>
      %i = "graph.view"(%c) <{map = affine_map<(d0, d1) -> (d1)>}>
        : (tensor<8xi64>) -> tensor<3x8xi64>
      %0 = "graph.scatter"(%r, %r, %i) <{fn = "add", dim = #builtin.int<1>}>
        : (tensor<3x8xf32>, tensor<3x8xf32>, tensor<3x8xi64>) -> tensor<3x8xf32>
      func.return %0 : tensor<3x8xf32>
    }"""
    check(text, [np.arange(24, dtype=np.float32).reshape(4, 6) ** 2])


def test_index_put_counts_negative_indices_from_the_end() -> None:
    text = """func.func private @k(%x: tensor<5x4x3xf32>, %u: tensor<6x3xf32>, %i: tensor<6xi64>,
                                   %j: tensor<6xi64>) -> tensor<5x4x3xf32> {
      %0 = "graph.index_put"(%x, %u, %i, %j) <{fn = "add"}>
        : (tensor<5x4x3xf32>, tensor<6x3xf32>, tensor<6xi64>, tensor<6xi64>) -> tensor<5x4x3xf32>
      func.return %0 : tensor<5x4x3xf32>
    }"""
    x, u = np.ones((5, 4, 3), np.float32), np.arange(18, dtype=np.float32).reshape(6, 3)
    check(text, [x, u, np.array([0, -1, -5, -6, 5, 4]), np.array([3, -4, 0, 0, 0, -5])])


@pytest.mark.parametrize("right", ["true", "false"])
@pytest.mark.parametrize("n", [1, 2, 7, 8, 9])
def test_search_in_rows(n: int, right: str) -> None:
    types = f"tensor<2x{n}xf32>, tensor<2x9xf32>"
    op = f'%0 = "graph.searchsorted"(%r, %v) <{{right = {right}}}> : ({types}) -> tensor<2x9xi64>'
    operands = f"%r: tensor<2x{n}xf32>, %v: tensor<2x9xf32>"
    rows = np.sort(np.random.default_rng(n).integers(-2, 4, (2, n)), 1).astype(np.float32)
    check(
        kernel(operands, op, "tensor<2x9xi64>"),
        [rows, np.stack([NUMBERS, -NUMBERS]).astype(np.float32)],
    )


PARALLEL: dict[str, Callable[[int], str]] = {
    "rows": lambda n: argsort(f"16x{n}", "f32", f"16x{n}", 1, n, False),
    "one_row": lambda n: argsort(str(16 * n), "f32", str(16 * n), 0, 16 * n, False),
    "scatter": lambda n: kernel(
        f"%x: tensor<16x{n}xf32>, %i: tensor<16x{n}xi64>",
        f'%0 = "graph.scatter"(%x, %x, %i) <{{fn = "add", dim = #builtin.int<0>}}> : '
        f"(tensor<16x{n}xf32>, tensor<16x{n}xf32>, tensor<16x{n}xi64>) -> tensor<16x{n}xf32>",
        f"tensor<16x{n}xf32>",
    ),
}


@pytest.mark.parametrize("name", PARALLEL)
def test_large_kernels_run_in_parallel_and_small_ones_do_not(name: str) -> None:
    def has_parallel(n: int, threads: int) -> bool:
        _, new = lower(PARALLEL[name](n), threads)
        return any(isinstance(op, ParallelOp) for op in new.walk())

    assert has_parallel(300, 2)
    assert not has_parallel(300, 1)
    assert not has_parallel(10, 2)


@pytest.mark.slow
@pytest.mark.parametrize("name", PARALLEL)
def test_parallel_loops_compute_the_same(name: str) -> None:
    rng = np.random.default_rng(0)
    inputs: Arrays = [rng.choice(NUMBERS, (16, 300)).astype(np.float32)]
    if name == "scatter":
        inputs = [rng.integers(0, 9, (16, 300)).astype(np.float32), rng.integers(0, 16, (16, 300))]
    check(PARALLEL[name](300), inputs if name != "one_row" else [inputs[0].reshape(-1)], threads=2)


def test_every_opaque_op_has_a_rule() -> None:
    assert set(RULES) == {*OPAQUE_OPS, RecurrentOp, QuantizedLinearOp, WinogradConvOp}


def test_an_opaque_op_is_alone_in_its_kernel() -> None:
    text = """func.func private @k(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
      %i = arith.constant dense<0> : tensor<4xi64>
      %0 = "graph.index_put"(%x, %x, %i) <{fn = "set"}>
        : (tensor<4xf32>, tensor<4xf32>, tensor<4xi64>) -> tensor<4xf32>
      func.return %0, %x : tensor<4xf32>, tensor<4xf32>
    }"""
    with pytest.raises(LoweringError, match="to give its only result"):
        lower(text)


def test_other_kernels_are_left_alone() -> None:
    text = """func.func private @k(%x: tensor<4xf32>) -> tensor<4xf32> {
      func.return %x : tensor<4xf32>
    }"""
    old, new = lower(text)
    assert str(ModuleOp([old.clone()])) == str(ModuleOp([new.clone()]))
