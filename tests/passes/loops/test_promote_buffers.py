"""promote-buffers: buffers become values, results keep their bits."""

from __future__ import annotations

import numpy as np
import pytest
from tilecast.dialects.reference.loops import run_kernel
from tilecast.passes.context import CompileContext
from tilecast.passes.loops.promote_buffers import PromoteBuffersPass
from xdsl.dialects import memref
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.parser import Parser

HEAD = """
func.func @k(%x: memref<8xf32>, %n: memref<1xindex>, %y: memref<8xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c4 = arith.constant 4 : index
  %c5 = arith.constant 5 : index
  %zero = arith.constant 0.0 : f32
  %zeros = vector.broadcast %zero : f32 to vector<4xf32>
  %count = memref.load %n[%c0] : memref<1xindex>
  %t = memref.alloca() : memref<8xf32>
"""
TYPES = "memref<8xf32>, vector<4xi1>, vector<4xf32>"
TAIL = "\n  func.return\n}"


def kernel(body: str) -> ModuleOp:
    module = Parser(CompileContext(), HEAD + body.replace("MASKED", TYPES) + TAIL).parse_module()
    module.verify()
    return module


def allocas(module: ModuleOp) -> int:
    return sum(isinstance(op, memref.AllocaOp) for op in module.walk())


def run(module: ModuleOp, count: int) -> np.ndarray:
    (func,) = module.ops
    assert isinstance(func, FuncOp)
    y = np.full(8, np.nan, np.float32)
    run_kernel(func, [np.arange(1, 9, dtype=np.float32), np.array([count]), y])
    return y


def promoted(body: str) -> int:
    """Buffers left after the pass, which must not change results for any count."""
    before, after = kernel(body), kernel(body)
    PromoteBuffersPass().apply(CompileContext(), after)
    after.verify()
    for count in range(6):
        np.testing.assert_array_equal(run(after, count), run(before, count))
    return allocas(after)


def test_a_stored_value_is_used_directly() -> None:
    assert (
        promoted("""
      %a = memref.load %x[%c2] : memref<8xf32>
      memref.store %a, %t[%c1] : memref<8xf32>
      %b = memref.load %t[%c1] : memref<8xf32>
      memref.store %b, %y[%c0] : memref<8xf32>""")
        == 0
    )


def test_a_loop_carries_the_accumulator() -> None:
    assert (
        promoted("""
      memref.store %zero, %t[%c0] : memref<8xf32>
      scf.for %i = %c0 to %count step %c1 {
        %a = memref.load %t[%c0] : memref<8xf32>
        %b = memref.load %x[%i] : memref<8xf32>
        %s = arith.addf %a, %b : f32
        memref.store %s, %t[%c0] : memref<8xf32>
      }
      %r = memref.load %t[%c0] : memref<8xf32>
      memref.store %r, %y[%c0] : memref<8xf32>""")
        == 0
    )


def test_nested_loops_carry_it_through_both() -> None:
    assert (
        promoted("""
      memref.store %zero, %t[%c0] : memref<8xf32>
      memref.store %zero, %t[%c1] : memref<8xf32>
      scf.for %i = %c0 to %count step %c1 {
        scf.for %j = %c0 to %c2 step %c1 {
          %a = memref.load %t[%c0] : memref<8xf32>
          %b = memref.load %x[%j] : memref<8xf32>
          %s = arith.addf %a, %b : f32
          memref.store %s, %t[%c0] : memref<8xf32>
        }
        %a = memref.load %t[%c0] : memref<8xf32>
        %c = memref.load %t[%c1] : memref<8xf32>
        %s = arith.addf %a, %c : f32
        memref.store %s, %t[%c1] : memref<8xf32>
      }
      %r = memref.load %t[%c1] : memref<8xf32>
      memref.store %r, %y[%c0] : memref<8xf32>""")
        == 0
    )


def test_branches_return_what_they_store() -> None:
    assert (
        promoted("""
      memref.store %zero, %t[%c0] : memref<8xf32>
      %b = memref.load %x[%c1] : memref<8xf32>
      %large = arith.cmpi sgt, %count, %c2 : index
      scf.if %large {
        memref.store %b, %t[%c0] : memref<8xf32>
      }
      %r = memref.load %t[%c0] : memref<8xf32>
      memref.store %r, %y[%c0] : memref<8xf32>
      scf.if %large {
        %u = arith.addf %r, %r : f32
        memref.store %u, %t[%c0] : memref<8xf32>
      } else {
        memref.store %b, %t[%c0] : memref<8xf32>
      }
      %s = memref.load %t[%c0] : memref<8xf32>
      memref.store %s, %y[%c1] : memref<8xf32>""")
        == 0
    )


def test_a_branch_inside_of_a_loop() -> None:
    assert (
        promoted("""
      memref.store %zero, %t[%c0] : memref<8xf32>
      scf.for %i = %c0 to %count step %c1 {
        %even = arith.cmpi slt, %i, %c2 : index
        scf.if %even {
          %a = memref.load %t[%c0] : memref<8xf32>
          %b = memref.load %x[%i] : memref<8xf32>
          %s = arith.addf %a, %b : f32
          memref.store %s, %t[%c0] : memref<8xf32>
        }
      }
      %r = memref.load %t[%c0] : memref<8xf32>
      memref.store %r, %y[%c0] : memref<8xf32>""")
        == 0
    )


def test_loops_and_branches_that_return_values_keep_them() -> None:
    assert (
        promoted("""
      memref.store %zero, %t[%c0] : memref<8xf32>
      %sum = scf.for %i = %c0 to %count step %c1 iter_args(%acc = %zero) -> (f32) {
        %b = memref.load %x[%i] : memref<8xf32>
        memref.store %acc, %t[%c0] : memref<8xf32>
        %s = arith.addf %acc, %b : f32
        scf.yield %s : f32
      }
      %r = memref.load %t[%c0] : memref<8xf32>
      memref.store %sum, %y[%c0] : memref<8xf32>
      memref.store %r, %y[%c1] : memref<8xf32>
      %large = arith.cmpi sgt, %count, %c2 : index
      %v = scf.if %large -> (f32) {
        memref.store %sum, %t[%c0] : memref<8xf32>
        scf.yield %r : f32
      } else {
        scf.yield %zero : f32
      }
      %w = memref.load %t[%c0] : memref<8xf32>
      memref.store %v, %y[%c2] : memref<8xf32>
      memref.store %w, %y[%c4] : memref<8xf32>""")
        == 0
    )


def test_vectors_with_one_mask() -> None:
    assert (
        promoted("""
      %m = "vector.constant_mask"() <{count = #builtin.int<3>}> : () -> vector<4xi1>
      %a = vector.maskedload %x[%c0], %m, %zeros : MASKED into vector<4xf32>
      vector.maskedstore %t[%c0], %m, %a : MASKED
      %b = vector.maskedload %t[%c0], %m, %zeros : MASKED into vector<4xf32>
      vector.maskedstore %y[%c0], %m, %b : MASKED""")
        == 0
    )


def test_a_masked_store_keeps_the_other_lanes() -> None:
    assert (
        promoted("""
      %m = "vector.create_mask"(%count) : (index) -> vector<4xi1>
      %a = vector.load %x[%c0] : memref<8xf32>, vector<4xf32>
      %b = vector.load %x[%c4] : memref<8xf32>, vector<4xf32>
      vector.store %a, %t[%c0] : memref<8xf32>, vector<4xf32>
      vector.maskedstore %t[%c0], %m, %b : MASKED
      %r = vector.load %t[%c0] : memref<8xf32>, vector<4xf32>
      vector.store %r, %y[%c0] : memref<8xf32>, vector<4xf32>""")
        == 0
    )


def test_a_masked_load_takes_its_default() -> None:
    assert (
        promoted("""
      %m = "vector.create_mask"(%count) : (index) -> vector<4xi1>
      %a = vector.load %x[%c0] : memref<8xf32>, vector<4xf32>
      %b = vector.load %x[%c4] : memref<8xf32>, vector<4xf32>
      vector.store %a, %t[%c0] : memref<8xf32>, vector<4xf32>
      %r = vector.maskedload %t[%c0], %m, %b : MASKED into vector<4xf32>
      vector.store %r, %y[%c0] : memref<8xf32>, vector<4xf32>""")
        == 0
    )


def test_a_masked_load_under_the_mask_of_the_store_takes_its_default() -> None:
    assert (
        promoted("""
      %m = "vector.create_mask"(%count) : (index) -> vector<4xi1>
      %a = vector.load %x[%c0] : memref<8xf32>, vector<4xf32>
      %b = vector.load %x[%c4] : memref<8xf32>, vector<4xf32>
      vector.maskedstore %t[%c0], %m, %a : MASKED
      %r = vector.maskedload %t[%c0], %m, %b : MASKED into vector<4xf32>
      vector.store %r, %y[%c0] : memref<8xf32>, vector<4xf32>""")
        == 0
    )


def test_a_mask_that_differs_between_iterations_keeps_lanes() -> None:
    assert (
        promoted("""
      vector.store %zeros, %y[%c0] : memref<8xf32>, vector<4xf32>
      scf.for %i = %c0 to %count step %c1 {
        %left = arith.subi %c4, %i : index
        %odd = arith.andi %i, %c1 : index
        %twice = arith.muli %odd, %left : index
        %width = arith.subi %c4, %twice : index
        %m = "vector.create_mask"(%width) : (index) -> vector<4xi1>
        %b = vector.maskedload %y[%c0], %m, %zeros : MASKED into vector<4xf32>
        %first = arith.cmpi eq, %i, %c0 : index
        %a = vector.load %x[%i] : memref<8xf32>, vector<4xf32>
        scf.if %first {
          vector.maskedstore %t[%c0], %m, %a : MASKED
        } else {
          %o = vector.maskedload %t[%c0], %m, %zeros : MASKED into vector<4xf32>
          vector.maskedstore %y[%c0], %m, %o : MASKED
          vector.maskedstore %t[%c0], %m, %a : MASKED
        }
      }""")
        == 0
    )


@pytest.mark.parametrize("case", ["variable_index", "overlap", "two_types", "parallel", "escapes"])
def test_what_is_no_set_of_slots_stays_in_memory(case: str) -> None:
    a = "%a = memref.load %x[%c2] : memref<8xf32>\n"
    bodies = {
        "variable_index": a
        + """memref.store %a, %t[%count] : memref<8xf32>
             %b = memref.load %t[%count] : memref<8xf32>
             memref.store %b, %y[%c0] : memref<8xf32>""",
        "overlap": """%v = vector.load %x[%c0] : memref<8xf32>, vector<4xf32>
             vector.store %v, %t[%c0] : memref<8xf32>, vector<4xf32>
             vector.store %v, %t[%c2] : memref<8xf32>, vector<4xf32>
             %w = vector.load %t[%c0] : memref<8xf32>, vector<4xf32>
             vector.store %w, %y[%c0] : memref<8xf32>, vector<4xf32>""",
        "two_types": a
        + """memref.store %a, %t[%c0] : memref<8xf32>
             memref.store %a, %t[%c1] : memref<8xf32>
             memref.store %a, %t[%c2] : memref<8xf32>
             %three = arith.constant 3 : index
             memref.store %a, %t[%three] : memref<8xf32>
             %w = vector.load %t[%c0] : memref<8xf32>, vector<4xf32>
             vector.store %w, %y[%c0] : memref<8xf32>, vector<4xf32>""",
        "parallel": a
        + """memref.store %a, %t[%c0] : memref<8xf32>
             "scf.parallel"(%c0, %c4, %c1) <{operandSegmentSizes = array<i32: 1, 1, 1, 0>}> ({
             ^bb0(%i: index):
               %b = memref.load %t[%c0] : memref<8xf32>
               memref.store %b, %y[%i] : memref<8xf32>
               scf.reduce
             }) : (index, index, index) -> ()""",
        "escapes": a
        + """memref.store %a, %t[%c0] : memref<8xf32>
             %u = "memref.cast"(%t) : (memref<8xf32>) -> memref<8xf32>
             %b = memref.load %u[%c0] : memref<8xf32>
             memref.store %b, %y[%c0] : memref<8xf32>""",
    }
    assert promoted(bodies[case]) == 1


def test_a_buffer_inside_of_a_parallel_loop_is_promoted() -> None:
    assert (
        promoted("""
      "scf.parallel"(%c0, %c4, %c1) <{operandSegmentSizes = array<i32: 1, 1, 1, 0>}> ({
      ^bb0(%i: index):
        %u = memref.alloca() : memref<1xf32>
        %a = memref.load %x[%i] : memref<8xf32>
        memref.store %a, %u[%c0] : memref<1xf32>
        %b = memref.load %u[%c0] : memref<1xf32>
        memref.store %b, %y[%i] : memref<8xf32>
        scf.reduce
      }) : (index, index, index) -> ()""")
        == 0
    )
