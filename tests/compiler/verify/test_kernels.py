"""Kernels checked one by one: right ones pass, each kind of defect is found."""

from __future__ import annotations

import numpy as np
import pytest
from tilecast.compiler.runtime.cache import Store
from tilecast.compiler.runtime.library import CALL_SOURCE, Library, call_unit
from tilecast.compiler.runtime.toolchain import build_library, find_toolchain
from tilecast.compiler.target import native_machine
from tilecast.compiler.verify.kernels import (
    check_kernels,
    index_limits,
    possible_references,
    random_argument,
)
from tilecast.compiler.verify.near_ties import spread_of
from tilecast.compiler.verify.reduction_length import reduction_length
from tilecast.dialects.reference.linalg import evaluate_kernel
from tilecast.passes.context import CompileContext
from xdsl.dialects.func import FuncOp
from xdsl.parser import Parser

HEADER = """
void model_program(const void *const *i, void *const *o, const void *const *w, unsigned char *a);
void model_program(const void *const *i, void *const *o, const void *const *w, unsigned char *a)
{ (void)i; (void)o; (void)w; (void)a; }
#include <stdint.h>
"""
ROWSUM = """
builtin.module {
  func.func private @k(%x: tensor<3x40xf32>, %w: tensor<40xf32>) -> tensor<3xf32> {
    %zero = arith.constant 0.0 : f32
    %e = tensor.empty() : tensor<3xf32>
    %f = linalg.fill ins(%zero : f32) outs(%e : tensor<3xf32>) -> tensor<3xf32>
    %r = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (j)>,
                                          affine_map<(i, j) -> (i)>],
                         iterator_types = ["parallel", "reduction"]}
         ins(%x, %w : tensor<3x40xf32>, tensor<40xf32>) outs(%f : tensor<3xf32>) {
    ^bb0(%a: f32, %b: f32, %c: f32):
      %p = arith.mulf %a, %b : f32
      %s = arith.addf %c, %p : f32
      linalg.yield %s : f32
    } -> tensor<3xf32>
    func.return %r : tensor<3xf32>
  }
}
"""
ROWSUM_LOOPS = """
builtin.module {
  func.func @k(%x: memref<3x40xf32>, %w: memref<40xf32>, %y: memref<3xf32>, %t: memref<8xf32>)
    attributes {"tilecast.roles" = ["in", "weight", "out", "scratch"]} { func.return }
}
"""
ROWSUM_C = """
void model_k(const float *x, const float *w, float *y, float *t);
void model_k(const float *x, const float *w, float *y, float *t)
{{
    for (int i = 0; i < {rows}; ++i) {{
        {start};
        for (int j = 0; j < {columns}; ++j)
            t[0] += x[i * 40 + j] * w[j];
        y[i] = t[0]{error};
    }}
}}
"""
RIGHT = {"rows": 3, "columns": 40, "start": "t[0] = 0", "error": ""}


@pytest.fixture
def check(tmp_path):
    """Check C text against IR."""

    def run(structure: str, loops: str, source: str):
        store = Store(tmp_path)
        units = {"k.c": HEADER + source, CALL_SOURCE: call_unit("model")}
        path = tmp_path / "library.so"
        path.write_bytes(build_library(units, find_toolchain(), native_machine(), store))
        modules = [Parser(CompileContext(), text).parse_module() for text in (structure, loops)]
        return check_kernels(*modules, Library(path, "model", {}, 1), seed=0)

    return run


def test_right_kernel_passes(check):
    (result,) = check(ROWSUM, ROWSUM_LOOPS, ROWSUM_C.format(**RIGHT))
    assert result.passed
    assert result.name == "k"
    assert result.elements == 3
    assert 0 < result.max_abs < 1e-4


@pytest.mark.parametrize(
    "defect",
    [
        {"rows": 2},  # the last row is never written: poison shows
        {"columns": 39},
        {"start": "t[0] = t[0]"},  # scratch is used before it is set
        {"error": " * 1.0001f"},
    ],
    ids=str,
)
def test_each_defect_is_found(check, defect):
    (result,) = check(ROWSUM, ROWSUM_LOOPS, ROWSUM_C.format(**RIGHT | defect))
    assert not result.passed


def test_what_cancels_is_judged_by_what_rounding_errors_do():
    func = next(iter(Parser(CompileContext(), ROWSUM).parse_module().ops))
    x = np.random.default_rng(0).random((3, 40), np.float32) + 1
    x[1, 20:] = -x[1, :20]
    inputs = [x, np.ones(40, np.float32)]
    (reference,) = evaluate_kernel(func, inputs)
    spread = spread_of(reference, [run[0] for run in possible_references(func, inputs)])
    assert reference[1] == 0.0
    assert 1e-6 < spread[1] < 1e-4
    assert spread.max() < 1e-5 * np.abs(reference).max()  # larger errors stay errors


PACKED_LOOPS = """
builtin.module {
  func.func @k(%x: memref<3x40xf32>,
      %w: memref<3x16xf32> {"tilecast.pack" = #poly.pack<affine_map<(p, l) -> (p * 16 + l)>,
                                                        [#builtin.int<40>]>},
      %y: memref<3xf32>)
    attributes {"tilecast.roles" = ["in", "weight", "out"]} { func.return }
}
"""
PACKED_C = """
void model_k(const float *x, const float *w, float *y);
void model_k(const float *x, const float *w, float *y)
{
    for (int i = 0; i < 3; ++i) {
        float sum = 0;
        for (int j = 0; j < 48; ++j)
            sum += w[j] == 0 ? 0 : x[i * 40 + j] * w[j];
        y[i] = sum;
    }
}
"""


def test_weights_are_packed_as_the_kernel_reads_them(check):
    (result,) = check(ROWSUM, PACKED_LOOPS, PACKED_C)
    assert result.passed


GATHER = """
builtin.module {
  func.func private @k(%t: tensor<5x2xf32>, %i: tensor<4xi64>) -> tensor<4x2xf32> {
    %e = tensor.empty() : tensor<4x2xf32>
    %r = linalg.generic {indexing_maps = [affine_map<(n, d) -> (n)>, affine_map<(n, d) -> (n, d)>],
                         iterator_types = ["parallel", "parallel"]}
         ins(%i : tensor<4xi64>) outs(%e : tensor<4x2xf32>) {
    ^bb0(%a: i64, %c: f32):
      %row = arith.index_cast %a : i64 to index
      %d = linalg.index 1 : index
      %v = tensor.extract %t[%row, %d] : tensor<5x2xf32>
      linalg.yield %v : f32
    } -> tensor<4x2xf32>
    func.return %r : tensor<4x2xf32>
  }
}
"""
GATHER_LOOPS = """
builtin.module {
  func.func @k(%t: memref<5x2xf32>, %i: memref<4xi64>, %y: memref<4x2xf32>)
    attributes {"tilecast.roles" = ["in", "in", "out"]} { func.return }
}
"""
GATHER_C = """
void model_k(const float *t, const int64_t *i, float *y);
void model_k(const float *t, const int64_t *i, float *y)
{
    for (int n = 0; n < 8; ++n)
        y[n] = t[i[n / 2] * 2 + n % 2];
}
"""


def test_gather_is_bit_exact(check):
    (result,) = check(GATHER, GATHER_LOOPS, GATHER_C)
    assert result.passed
    assert result.max_abs == 0.0


def test_random_indices_stay_inside_the_table():
    module = Parser(CompileContext(), GATHER).parse_module()
    func = next(op for op in module.ops if isinstance(op, FuncOp))
    indices = func.body.block.args[1]
    assert set(index_limits(indices)) == {5}
    for seed in range(20):
        values = random_argument(indices, np.random.default_rng(seed))
        assert values.dtype == np.int64
        assert 0 <= values.min() <= values.max() < 5


def test_random_floats_are_not_zero_and_have_both_signs():
    module = Parser(CompileContext(), ROWSUM).parse_module()
    func = next(op for op in module.ops if isinstance(op, FuncOp))
    values = random_argument(func.body.block.args[0], np.random.default_rng(0))
    assert np.abs(values).min() >= 0.1
    assert (values < 0).any()
    assert (values > 0).any()


def test_reduction_length_is_the_product_of_reduced_extents():
    module = Parser(CompileContext(), ROWSUM).parse_module()
    func = next(op for op in module.ops if isinstance(op, FuncOp))
    assert reduction_length(func) == 40
