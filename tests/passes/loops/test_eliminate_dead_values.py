"""Dead values go, whatever reaches memory stays."""

from __future__ import annotations

import numpy as np
from tilecast.compiler.opt import run_opt
from tilecast.dialects.reference.loops import run_kernel
from tilecast.passes.context import CompileContext
from xdsl.dialects.func import FuncOp
from xdsl.parser import Parser

CARRIED = """
func.func @carried(%x: memref<4xf64>, %y: memref<4xf64>) {
  %0 = arith.constant 0 : index
  %4 = arith.constant 4 : index
  %1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : f64
  %unused = memref.load %x[%1] : memref<4xf64>
  %last, %sum, %twin = scf.for %i = %0 to %4 step %1
      iter_args(%a = %zero, %s = %zero, %t = %zero) -> (f64, f64, f64) {
    %v = memref.load %x[%i] : memref<4xf64>
    %next = arith.addf %s, %v : f64
    %odd = arith.addf %t, %v : f64
    memref.store %next, %y[%i] : memref<4xf64>
    scf.yield %v, %next, %odd : f64, f64, f64
  }
  %positive = arith.cmpf ogt, %sum, %zero : f64
  %p, %q = scf.if %positive -> (f64, f64) {
    %w = arith.negf %sum : f64
    scf.yield %w, %twin : f64, f64
  } else {
    scf.yield %sum, %zero : f64, f64
  }
  memref.store %p, %x[%0] : memref<4xf64>
  func.return
}"""


def run(text: str) -> list[np.ndarray]:
    func = Parser(CompileContext(), text).parse_module().body.block.first_op
    while not isinstance(func, FuncOp):
        func = func.regions[0].block.first_op  # type: ignore[union-attr]
    arrays = [np.array([1.0, 2.0, 3.0, 4.0]), np.zeros(4)]
    run_kernel(func, arrays)
    return arrays


def test_what_is_carried_for_nobody_goes() -> None:
    after = run_opt(CARRIED, "eliminate-dead-values")
    assert after.count("iter_args(%s = %zero)") == 1
    assert "%twin" not in after
    assert "%odd" not in after
    assert "%unused" not in after
    assert "-> (f64, f64)" not in after
    for one, other in zip(run(CARRIED), run(after), strict=True):
        np.testing.assert_array_equal(one, other)


def test_live_values_stay() -> None:
    """What feeds another carried value that reaches memory is live."""
    text = CARRIED.replace("%next = arith.addf %s, %v", "%next = arith.addf %s, %a")
    after = run_opt(text, "eliminate-dead-values")
    assert "iter_args(%a = %zero, %s = %zero)" in after
    for one, other in zip(run(text), run(after), strict=True):
        np.testing.assert_array_equal(one, other)


def test_does_nothing_where_all_is_used() -> None:
    once = run_opt(CARRIED, "eliminate-dead-values")
    assert run_opt(once, "eliminate-dead-values") == once
