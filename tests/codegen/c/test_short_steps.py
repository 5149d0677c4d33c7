"""Which sums are unrolled where they are printed, so that counting costs less."""

from __future__ import annotations

import pytest
from tilecast.codegen.c.short_steps import has_short_steps
from tilecast.codegen.c.unit import emit_kernel
from tilecast.compiler.target import resolve_target
from tilecast.passes.context import CompileContext
from xdsl.dialects.func import FuncOp
from xdsl.dialects.scf import ForOp
from xdsl.parser import Parser

SUMS = """
func.func @f(%x: memref<64x8xf32>, %y: memref<8xf32>) {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %n = arith.constant 64 : index
  %v = vector.load %y[%zero] : memref<8xf32>, vector<8xf32>
  %r, %s = scf.for %i = %zero to %n step %one iter_args(%a = %v, %b = %v)
      -> (vector<8xf32>, vector<8xf32>) {
    %w = vector.load %x[%i, %zero] : memref<64x8xf32>, vector<8xf32>
    %c = vector.fma %w, %w, %a : vector<8xf32>
    %d = UPDATE
    scf.yield %c, %d : vector<8xf32>, vector<8xf32>
  }
  %t = arith.addf %r, %s : vector<8xf32>
  vector.store %t, %y[%zero] : memref<8xf32>, vector<8xf32>
  func.return
}
"""
FMA = "vector.fma %w, %v, %b : vector<8xf32>"

# 7 iterations around TRIPS, of which each reads the elements FIRST and SECOND
WINDOWS = """
func.func @f(%x: memref<9x9x8xf32>, %y: memref<8xf32>) {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %columns = arith.constant 7 : index
  %n = arith.constant TRIPS : index
  %v = vector.load %y[%zero] : memref<8xf32>, vector<8xf32>
  %r, %s = scf.for %q = %zero to %columns step %one iter_args(%e = %v, %f = %v)
      -> (vector<8xf32>, vector<8xf32>) {
    %next = arith.addi %q, %one : index
    %g, %h = scf.for %i = %zero to %n step %one iter_args(%a = %e, %b = %f)
        -> (vector<8xf32>, vector<8xf32>) {
      %p = memref.load %x[FIRST, %i] : memref<9x9x8xf32>
      %o = memref.load %x[SECOND, %i] : memref<9x9x8xf32>
      %pv = vector.broadcast %p : f32 to vector<8xf32>
      %ov = vector.broadcast %o : f32 to vector<8xf32>
      %c = vector.fma %pv, %v, %a : vector<8xf32>
      %d = vector.fma %ov, %v, %b : vector<8xf32>
      scf.yield %c, %d : vector<8xf32>, vector<8xf32>
    }
    scf.yield %g, %h : vector<8xf32>, vector<8xf32>
  }
  %t = arith.addf %r, %s : vector<8xf32>
  vector.store %t, %y[%zero] : memref<8xf32>, vector<8xf32>
  func.return
}
"""
APART = {"FIRST": "%q, %zero", "SECOND": "%q, %one"}  # two columns of the row that moves on
OVERLAP = {"FIRST": "%zero, %q", "SECOND": "%zero, %next"}  # the second one is the first one later


def function(text: str, **parts: object) -> FuncOp:
    for name, part in parts.items():
        text = text.replace(name, str(part))
    module = Parser(CompileContext(), text).parse_module()
    (func,) = (op for op in module.walk() if isinstance(op, FuncOp))
    return func


@pytest.mark.parametrize(
    ("update", "target", "expected"),
    [
        (FMA, "x86-64-v3", True),
        (FMA, "x86-64-v4", False),
        (FMA, "c99", False),
        ("arith.maximumf %w, %b : vector<8xf32>", "x86-64-v3", False),
    ],
)
def test_sums_of_products_are_unrolled_where_registers_are_few(update, target, expected):
    (loop,) = (op for op in function(SUMS, UPDATE=update).walk() if isinstance(op, ForOp))
    assert has_short_steps(loop, resolve_target(target)) is expected


def test_the_pragma_stands_before_the_loop_for_gcc_alone():
    text = emit_kernel(function(SUMS, UPDATE=FMA), resolve_target("x86-64-v3"))
    before, _, after = text.partition("#pragma GCC unroll 4\n#endif\n")
    assert before.endswith("#if defined(__GNUC__) && __GNUC__ >= 8 && !defined(__clang__)\n")
    assert after.lstrip().startswith("for (")


@pytest.mark.parametrize(
    ("places", "trips", "steps"),
    [(APART, 3, 3), (APART, 8, 8), (APART, 9, 4), (OVERLAP, 3, 1), (OVERLAP, 8, 4)],
)
def test_short_loops_are_straight_line_code_unless_the_loop_around_reads_again(
    places, trips, steps
):
    text = emit_kernel(function(WINDOWS, TRIPS=trips, **places), resolve_target("x86-64-v3"))
    assert text.count("#pragma GCC unroll") == 1
    assert f"#pragma GCC unroll {steps}\n" in text
