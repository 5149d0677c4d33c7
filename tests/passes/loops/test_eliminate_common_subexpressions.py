"""eliminate-common-subexpressions: fewer ops, the same bits."""

from __future__ import annotations

import numpy as np
import pytest
from tilecast.dialects.reference.loops import run_kernel
from tilecast.passes.context import CompileContext
from tilecast.passes.loops.eliminate_common_subexpressions import EliminateCommonSubexpressionsPass
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.parser import Parser

HEAD = """
func.func @k(%x: memref<8xf32>, %n: memref<1xindex>, %y: memref<8xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %count = memref.load %n[%c0] : memref<1xindex>
"""
TAIL = "\n  func.return\n}"


def kernel(body: str) -> ModuleOp:
    module = Parser(CompileContext(), HEAD + body + TAIL).parse_module()
    module.verify()
    return module


def run(module: ModuleOp, count: int) -> bytes:
    (func,) = module.ops
    assert isinstance(func, FuncOp)
    y = np.full(8, np.nan, np.float32)
    run_kernel(func, [np.arange(1, 9, dtype=np.float32), np.array([count]), y])
    return y.tobytes()


def shared(body: str, name: str) -> int:
    """Ops called `name` after the pass, which must keep every bit."""
    before, after = kernel(body), kernel(body)
    EliminateCommonSubexpressionsPass().apply(CompileContext(), after)
    after.verify()
    for count in range(4):
        assert run(after, count) == run(before, count)
    return sum(op.name == name for op in after.walk())


def test_a_product_with_one_is_its_other_factor() -> None:
    body = """
      %one = arith.constant 1.0 : f32
      %two = arith.constant 2.0 : f32
      %a = memref.load %x[%c1] : memref<8xf32>
      %b = arith.mulf %a, %one : f32
      %c = arith.mulf %one, %b : f32
      %d = arith.mulf %c, %two : f32
      memref.store %d, %y[%c0] : memref<8xf32>"""
    assert shared(body, "arith.mulf") == 1


def test_equal_arithmetic_is_done_once() -> None:
    assert (
        shared(
            """
      %a = memref.load %x[%c1] : memref<8xf32>
      %b = arith.mulf %a, %a : f32
      %c = arith.mulf %a, %a : f32
      %d = arith.addf %b, %c : f32
      memref.store %d, %y[%c0] : memref<8xf32>""",
            "arith.mulf",
        )
        == 1
    )


def test_operands_in_another_order_are_another_value() -> None:
    assert (
        shared(
            """
      %a = memref.load %x[%c1] : memref<8xf32>
      %b = memref.load %x[%c2] : memref<8xf32>
      %c = arith.subf %a, %b : f32
      %d = arith.subf %b, %a : f32
      memref.store %c, %y[%c0] : memref<8xf32>
      memref.store %d, %y[%c1] : memref<8xf32>""",
            "arith.subf",
        )
        == 2
    )


def test_comparisons_differ_by_predicate() -> None:
    assert (
        shared(
            """
      %a = arith.cmpi slt, %count, %c1 : index
      %b = arith.cmpi sgt, %count, %c1 : index
      %u = arith.uitofp %a : i1 to f32
      %v = arith.uitofp %b : i1 to f32
      memref.store %u, %y[%c0] : memref<8xf32>
      memref.store %v, %y[%c1] : memref<8xf32>""",
            "arith.cmpi",
        )
        == 2
    )


def test_constants_differ_by_type() -> None:
    assert (
        shared(
            """
      %a = arith.constant 1 : i32
      %b = arith.constant 1 : i64
      %u = arith.sitofp %a : i32 to f32
      %v = arith.sitofp %b : i64 to f32
      memref.store %u, %y[%c0] : memref<8xf32>
      memref.store %v, %y[%c1] : memref<8xf32>""",
            "arith.sitofp",
        )
        == 2
    )


def test_zeros_differ_by_sign() -> None:
    assert (
        shared(
            """
      %a = arith.constant 0.0 : f32
      %b = arith.constant -0.0 : f32
      memref.store %a, %y[%c0] : memref<8xf32>
      memref.store %b, %y[%c1] : memref<8xf32>""",
            "memref.store",
        )
        == 2
    )


def test_loads_are_shared_until_a_store() -> None:
    assert (
        shared(
            """
      %a = memref.load %x[%c1] : memref<8xf32>
      memref.store %a, %y[%c1] : memref<8xf32>
      %b = memref.load %x[%c1] : memref<8xf32>
      %c = arith.addf %a, %b : f32
      memref.store %c, %y[%c0] : memref<8xf32>""",
            "memref.load",
        )
        == 1
    )
    assert (
        shared(
            """
      %a = memref.load %x[%c1] : memref<8xf32>
      %u = memref.load %x[%c2] : memref<8xf32>
      memref.store %u, %x[%count] : memref<8xf32>
      %b = memref.load %x[%c1] : memref<8xf32>
      memref.store %a, %y[%c0] : memref<8xf32>
      memref.store %b, %y[%c1] : memref<8xf32>
      memref.store %a, %x[%c1] : memref<8xf32>""",
            "memref.load",
        )
        == 4
    )


def test_a_store_of_a_vector_ends_sharing_too() -> None:
    assert (
        shared(
            """
      %a = memref.load %x[%c1] : memref<8xf32>
      %v = vector.load %x[%c2] : memref<8xf32>, vector<4xf32>
      vector.store %v, %x[%c0] : memref<8xf32>, vector<4xf32>
      %b = memref.load %x[%c1] : memref<8xf32>
      memref.store %a, %y[%c0] : memref<8xf32>
      memref.store %b, %y[%c1] : memref<8xf32>""",
            "memref.load",
        )
        == 2
    )


def test_a_store_in_a_loop_ends_sharing_before_the_loop() -> None:
    assert (
        shared(
            """
      %a = memref.load %x[%c0] : memref<8xf32>
      scf.for %i = %c0 to %count step %c1 {
        %b = memref.load %x[%c0] : memref<8xf32>
        %c = arith.addf %a, %b : f32
        memref.store %c, %y[%i] : memref<8xf32>
        memref.store %c, %x[%c0] : memref<8xf32>
      }
      %d = memref.load %x[%c0] : memref<8xf32>
      %e = arith.addf %d, %a : f32
      %seven = arith.constant 7 : index
      memref.store %e, %y[%seven] : memref<8xf32>""",
            "memref.load",
        )
        == 4
    )


def test_values_from_outside_of_a_loop_are_used_inside() -> None:
    assert (
        shared(
            """
      %a = memref.load %x[%c1] : memref<8xf32>
      %b = arith.mulf %a, %a : f32
      memref.store %b, %y[%c0] : memref<8xf32>
      scf.for %i = %c0 to %count step %c1 {
        %d = memref.load %x[%c1] : memref<8xf32>
        %c = arith.mulf %d, %d : f32
        memref.store %c, %y[%i] : memref<8xf32>
      }""",
            "arith.mulf",
        )
        == 1
    )


def test_values_of_one_branch_do_not_reach_the_other() -> None:
    assert (
        shared(
            """
      %a = memref.load %x[%c1] : memref<8xf32>
      %large = arith.cmpi sgt, %count, %c1 : index
      scf.if %large {
        %b = arith.mulf %a, %a : f32
        memref.store %b, %y[%c0] : memref<8xf32>
      } else {
        %c = arith.mulf %a, %a : f32
        memref.store %c, %y[%c1] : memref<8xf32>
      }
      %d = arith.mulf %a, %a : f32
      memref.store %d, %y[%c2] : memref<8xf32>""",
            "arith.mulf",
        )
        == 3
    )


def test_unused_values_disappear_with_what_they_needed() -> None:
    assert (
        shared(
            """
      %a = memref.load %x[%c1] : memref<8xf32>
      %b = arith.mulf %a, %a : f32
      memref.store %a, %y[%c0] : memref<8xf32>
      %c = memref.load %x[%c2] : memref<8xf32>
      %d = arith.addf %b, %c : f32""",
            "arith.mulf",
        )
        == 0
    )


def test_two_buffers_are_not_one() -> None:
    assert (
        shared(
            """
      %s = memref.alloca() : memref<1xf32>
      %t = memref.alloca() : memref<1xf32>
      %a = memref.load %x[%c1] : memref<8xf32>
      %b = memref.load %x[%c2] : memref<8xf32>
      memref.store %a, %s[%c0] : memref<1xf32>
      memref.store %b, %t[%c0] : memref<1xf32>
      %u = memref.load %s[%c0] : memref<1xf32>
      %v = memref.load %t[%c0] : memref<1xf32>
      memref.store %u, %y[%c0] : memref<8xf32>
      memref.store %v, %y[%c1] : memref<8xf32>""",
            "memref.alloca",
        )
        == 2
    )


def test_a_kernel_without_repetition_stays() -> None:
    body = """
      %a = memref.load %x[%c1] : memref<8xf32>
      %b = arith.mulf %a, %a : f32
      %d = arith.index_cast %count : index to i64
      %e = arith.sitofp %d : i64 to f32
      memref.store %b, %y[%c0] : memref<8xf32>
      memref.store %e, %y[%c2] : memref<8xf32>"""
    before, after = kernel(body), kernel(body)
    EliminateCommonSubexpressionsPass().apply(CompileContext(), after)
    assert str(after) == str(before)


STORE_Z = "\n memref.store %z, %y[%c2] : memref<8xf32>"
TWO_STORES = """
      %a = memref.load %x[%c1] : memref<8xf32>
      memref.store %a, %y[%c0] : memref<8xf32>
      {between}
      %b = arith.mulf %a, %a : f32
      memref.store %b, %y[%c0] : memref<8xf32>"""


@pytest.mark.parametrize(
    ("between", "stores"),
    [
        ("%z = memref.load %x[%c2] : memref<8xf32>", 1),
        ("%z = memref.load %y[%c0] : memref<8xf32>", 1),  # takes the value that was stored
        ("%z = memref.load %y[%count] : memref<8xf32>" + STORE_Z, 3),
        ("memref.store %a, %y[%count] : memref<8xf32>", 2),
        ("scf.for %i = %c0 to %count step %c1 { memref.store %a, %y[%i] : memref<8xf32> }", 3),
    ],
)
def test_a_store_that_nothing_reads_goes(between: str, stores: int) -> None:
    assert shared(TWO_STORES.replace("{between}", between), "memref.store") == stores


def test_a_load_takes_the_value_that_was_stored() -> None:
    body = """
      %a = memref.load %x[%c1] : memref<8xf32>
      memref.store %a, %y[%c0] : memref<8xf32>
      %b = memref.load %y[%c0] : memref<8xf32>
      memref.store %b, %y[%c1] : memref<8xf32>"""
    assert shared(body, "memref.load") == 1
