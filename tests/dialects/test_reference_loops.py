"""The loops interpreter against plain numpy."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from tilecast.dialects.errors import LoweringError
from tilecast.dialects.reference.loops import run_kernel
from tilecast.passes.context import CompileContext
from xdsl.parser import Parser


def _parse(text: str):
    module = Parser(CompileContext(), text).parse_module()
    module.verify()
    return module.body.block.first_op


ROW_SUM = """
func.func @row_sum(%x: memref<3x8xf32>, %y: memref<3xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c3 = arith.constant 3 : index
  scf.for %i = %c0 to %c3 step %c1 {
    %v = vector.load %x[%i, %c0] : memref<3x8xf32>, vector<8xf32>
    %s = vector.reduction <add>, %v : vector<8xf32> into f32
    memref.store %s, %y[%i] : memref<3xf32>
  }
  func.return
}"""


def test_reduction_folds_halves():
    x = np.random.default_rng(0).standard_normal((3, 8)).astype(np.float32)
    y = np.zeros(3, np.float32)
    run_kernel(_parse(ROW_SUM), [x, y])
    quarters = x[:, :4] + x[:, 4:]
    halves = quarters[:, :2] + quarters[:, 2:]
    assert np.array_equal(y, halves[:, 0] + halves[:, 1])


def test_arrays_may_be_flat():
    x = np.ones(24, np.float32)
    y = np.zeros((3, 1), np.float32)
    run_kernel(_parse(ROW_SUM), [x, y])
    assert (y == 8).all()


FMA = """
func.func @fma(%a: memref<64xf32>, %b: memref<64xf32>, %c: memref<64xf32>, %y: memref<64xf32>) {
  %c0 = arith.constant 0 : index
  %va = vector.load %a[%c0] : memref<64xf32>, vector<64xf32>
  %vb = vector.load %b[%c0] : memref<64xf32>, vector<64xf32>
  %vc = vector.load %c[%c0] : memref<64xf32>, vector<64xf32>
  %r = math.fma %va, %vb, %vc : vector<64xf32>
  vector.store %r, %y[%c0] : memref<64xf32>, vector<64xf32>
  func.return
}"""


def _round_to_float32(exact: Fraction) -> np.float32:
    near = np.float32(float(exact))
    around = [np.nextafter(near, np.float32(s)) for s in (-np.inf, np.inf)] + [near]
    return min(around, key=lambda v: (abs(Fraction(float(v)) - exact), v.view(np.int32) & 1))


def test_fma_rounds_once():
    rng = np.random.default_rng(1)
    a, b = (rng.standard_normal(64).astype(np.float32) for _ in range(2))
    # Cancellation leaves only the low bits of the product; the rest lands near rounding ties.
    c = np.where(np.arange(64) % 2, -(a * b), rng.standard_normal(64) * 1e7).astype(np.float32)
    y = np.zeros(64, np.float32)
    run_kernel(_parse(FMA), [a, b, c, y])
    for p, q, r, s in zip(a, b, c, y, strict=True):
        exact = Fraction(float(p)) * Fraction(float(q)) + Fraction(float(r))
        assert s == _round_to_float32(exact)


def test_fma_of_infinities_and_nan():
    a, b, c = (np.zeros(64, np.float32) for _ in range(3))
    a[:3], b[:3], c[:3] = [np.inf, np.inf, 1], [0, 1, np.nan], [0, -np.inf, 1]
    c[2] = np.nan
    y = np.zeros(64, np.float32)
    run_kernel(_parse(FMA), [a, b, c, y])
    assert np.isnan(y[:3]).all()


def test_read_outside_an_array_is_an_error():
    func = _parse("""
func.func @f(%x: memref<4xf32>, %y: memref<4xf32>) {
  %c1 = arith.constant 1 : index
  %v = vector.load %x[%c1] : memref<4xf32>, vector<4xf32>
  vector.store %v, %y[%c1] : memref<4xf32>, vector<4xf32>
  func.return
}""")
    with pytest.raises(LoweringError, match=r"lanes 1..5 are outside 4 elements"):
        run_kernel(func, [np.zeros(4, np.float32), np.zeros(4, np.float32)])


def test_masked_lanes_may_lie_outside():
    func = _parse("""
func.func @f(%x: memref<5xf32>, %y: memref<5xf32>) {
  %c3 = arith.constant 3 : index
  %c2 = arith.constant 2 : index
  %zero = arith.constant dense<0.0> : vector<4xf32>
  %m = vector.create_mask %c2 : vector<4xi1>
  %v = vector.maskedload %x[%c3], %m, %zero
      : memref<5xf32>, vector<4xi1>, vector<4xf32> into vector<4xf32>
  vector.maskedstore %y[%c3], %m, %v : memref<5xf32>, vector<4xi1>, vector<4xf32>
  func.return
}""")
    y = np.zeros(5, np.float32)
    run_kernel(func, [np.arange(5, dtype=np.float32), y])
    assert y.tolist() == [0, 0, 0, 3, 4]


def test_unwritten_local_memory_is_not_zero():
    func = _parse("""
func.func @f(%y: memref<1xf32>) {
  %c0 = arith.constant 0 : index
  %t = memref.alloca() : memref<1xf32>
  %v = memref.load %t[%c0] : memref<1xf32>
  memref.store %v, %y[%c0] : memref<1xf32>
  func.return
}""")
    y = np.zeros(1, np.float32)
    run_kernel(func, [y])
    assert y[0] != 0


def test_elementary_functions_are_float64_rounded_once():
    func = _parse("""
func.func @f(%y: memref<2xf32>) {
  %c0 = arith.constant 0 : index
  %x = arith.constant dense<[0.3, 1.7]> : vector<2xf32>
  %v = math.erf %x : vector<2xf32>
  vector.store %v, %y[%c0] : memref<2xf32>, vector<2xf32>
  func.return
}""")
    y = np.zeros(2, np.float32)
    run_kernel(func, [y])
    assert y.tolist() == [np.float32(math.erf(np.float32(v))) for v in (0.3, 1.7)]


def test_op_without_a_meaning_is_named():
    func = _parse("""
func.func @f(%y: memref<1xf32>) {
  %p = "memref.extract_aligned_pointer_as_index"(%y) : (memref<1xf32>) -> index
  func.return
}""")
    with pytest.raises(LoweringError, match="extract_aligned_pointer_as_index"):
        run_kernel(func, [np.zeros(1, np.float32)])
