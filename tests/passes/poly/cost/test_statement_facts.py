"""Facts of statements: how long their results wait for what they read."""

from __future__ import annotations

from tilecast.dialects.poly import ScopOp
from tilecast.passes.context import CompileContext
from tilecast.passes.poly.cost.statement_facts import facts_of
from tilecast.passes.registry import load_pass
from xdsl.parser import Parser

SWEEP = """
func.func @sweep(%p: memref<64xf64>, %a: memref<64xf64>, %b: memref<64xf64>) {
  affine.for %i = 1 to 64 {
    %before = affine.load %p[%i - 1] : memref<64xf64>
    %x = affine.load %a[%i] : memref<64xf64>
    %y = affine.load %b[%i] : memref<64xf64>
    %m = arith.mulf %before, %x : f64
    %s = arith.addf %m, %x : f64
    %d = arith.divf %y, %s : f64
    %r = arith.mulf %d, %x : f64
    affine.store %r, %p[%i] : memref<64xf64>
  }
  func.return
}
"""


def test_paths_are_the_longest_from_each_read_to_the_result() -> None:
    context = CompileContext()
    module = Parser(context, SWEEP).parse_module()
    load_pass("extract-affine")().apply(context, module)
    [scop] = [op for op in module.ops if isinstance(op, ScopOp)]
    [facts] = facts_of(scop).values()
    found = dict(zip([a.array for a in facts.accesses[1:]], facts.paths, strict=True))
    # a multiply-add, a division and a product; the division and the product
    assert found == {0: 4.0 + 13.0 + 4.0, 1: 4.0 + 13.0 + 4.0, 2: 13.0 + 4.0}
