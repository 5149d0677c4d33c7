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


def function(update: str) -> FuncOp:
    module = Parser(CompileContext(), SUMS.replace("UPDATE", update)).parse_module()
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
    (loop,) = (op for op in function(update).walk() if isinstance(op, ForOp))
    assert has_short_steps(loop, resolve_target(target)) is expected


def test_the_pragma_stands_before_the_loop_for_gcc_alone():
    text = emit_kernel(function(FMA), resolve_target("x86-64-v3"))
    before, _, after = text.partition("#pragma GCC unroll 4\n#endif\n")
    assert before.endswith("#if defined(__GNUC__) && !defined(__clang__)\n")
    assert after.lstrip().startswith("for (")
