"""Scops at one choice of their sizes, and schedules for all sizes from typical ones."""

from __future__ import annotations

import numpy as np
import pytest
from tilecast.costmodel.hardware import Machine
from tilecast.dialects.errors import LoweringError
from tilecast.dialects.poly import ScopOp
from tilecast.dialects.reference.loops import run_kernel
from tilecast.dialects.reference.poly import run_scop
from tilecast.passes.context import CompileContext
from tilecast.passes.poly.autoschedule.autoschedule import AutoschedulePass
from tilecast.passes.poly.emission.lower_scop import lower_scop
from tilecast.passes.poly.extraction.extract_affine import extract_affine
from tilecast.passes.poly.simplification.bind_parameters import bind_parameters, typical_sizes
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.parser import Parser

REVERSED = """
func.func @reversed(%x: memref<?xf64>, %n: index,
    %y: memref<?x?xf64> {tilecast.extents = affine_map<()[s0] -> (s0, s0 + 1)>}) {
  %t = memref.alloc(%n) : memref<?xf64>
  affine.for %i = 0 to %n {
    %a = affine.load %x[%i + 1] : memref<?xf64>
    affine.store %a, %t[%n - %i - 1] : memref<?xf64>
  }
  affine.for %i = 0 to %n {
    affine.for %j = 0 to %n {
      %a = affine.load %t[%j] : memref<?xf64>
      %k = arith.index_cast %n : index to i64
      %f = arith.sitofp %k : i64 to f64
      %b = arith.mulf %a, %f : f64
      affine.store %b, %y[%i, %j + 1] : memref<?x?xf64>
    }
  }
  func.return
}"""


def scop_of(text: str) -> ScopOp:
    func = Parser(CompileContext(), text).parse_module().body.block.first_op
    assert isinstance(func, FuncOp)
    return extract_affine(func)


def test_typical_sizes_meet_the_context() -> None:
    assert typical_sizes(scop_of(REVERSED)) == [500, 501]
    assert typical_sizes(scop_of(REVERSED), 3) == [3, 4]


def test_sizes_that_cannot_be_large_have_no_typical_ones() -> None:
    scop = scop_of(REVERSED)
    scop.properties["context"] = Parser(
        CompileContext(), '"[s0, s1] -> { : 0 <= s0 <= 7 and s1 > s0 }"'
    ).parse_attribute()
    with pytest.raises(LoweringError, match="no sizes of 500 and more"):
        typical_sizes(scop)


def test_a_bound_scop_computes_the_same() -> None:
    scop = scop_of(REVERSED)
    bound = bind_parameters(scop, (4, 6))
    bound.verify()
    assert bound.parameters == []
    x = np.arange(6.0)
    first, second = np.zeros((4, 5)), np.zeros((4, 5))
    run_scop(scop, [x, first], parameters=(4, 6))
    run_scop(bound, [x, second])
    assert first.any()
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("n", [0, 1, 6, 13])
def test_the_automatic_schedule_is_right_at_all_sizes(n: int) -> None:
    scop = scop_of(REVERSED)
    context = CompileContext(machine=Machine("wide", "avx512", vector_bytes=64), threads=2)
    module = ModuleOp([scop])
    AutoschedulePass().apply(context, module)
    assert scop.schedule is not None
    assert "vector" in scop.schedule.data
    x, expected, found = np.arange(n + 1.0), np.zeros((n, n + 1)), np.zeros((n, n + 1))
    run_scop(scop, [x, expected], parameters=(n, n + 1))
    run_kernel(lower_scop(scop), [n, n + 1, x, found, np.empty(n)])  # type: ignore[list-item]
    np.testing.assert_array_equal(found, expected)
