"""Parallel loops: the body in a function of its own, teams of threads, and the same bits."""

from __future__ import annotations

import numpy as np
import pytest
from tilecast.codegen.c import emit_unit
from tilecast.costmodel.hardware import Machine
from tilecast.dialects.reference.loops import run_kernel
from tilecast.passes.context import CompileContext
from xdsl.dialects.func import FuncOp
from xdsl.parser import Parser

SCALAR = Machine("scalar", "scalar")
PARALLEL = '"scf.parallel"({}) <{{operandSegmentSizes = array<i32: 1, 1, 1, 0>}}> ({{'
WAVEFRONTS = f"""
func.func @wave(%x: memref<9x9xf32>) attributes {{tilecast.roles = ["inout"]}} {{
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  %c9 = arith.constant 9 : index
  %c17 = arith.constant 17 : index
  scf.for %w = %c0 to %c17 step %c1 {{
    %a = arith.subi %w, %c8 : index
    %lo = arith.maxsi %a, %c0 : index
    %b = arith.addi %w, %c1 : index
    %hi = arith.minsi %b, %c9 : index
    {PARALLEL.format("%lo, %hi, %c1")}
    ^bb0(%i: index):
      %j = arith.subi %w, %i : index
      %top = arith.cmpi sgt, %i, %c0 : index
      scf.if %top {{
        %i0 = arith.subi %i, %c1 : index
        %p = memref.load %x[%i0, %j] : memref<9x9xf32>
        %q = memref.load %x[%i, %j] : memref<9x9xf32>
        %s = arith.addf %p, %q : f32
        memref.store %s, %x[%i, %j] : memref<9x9xf32>
        scf.yield
      }}
      "scf.reduce"() : () -> ()
    }}) : (index, index, index) -> ()
  }}
  func.return
}}"""
LOCAL = f"""
func.func @local(%x: memref<6xf32>, %y: memref<6xf32>)
    attributes {{tilecast.roles = ["in", "out"]}} {{
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c6 = arith.constant 6 : index
  %t = memref.alloca() : memref<6xf32>
  {PARALLEL.format("%c0, %c6, %c1")}
  ^bb0(%i: index):
    %v = memref.load %x[%i] : memref<6xf32>
    memref.store %v, %t[%i] : memref<6xf32>
    "scf.reduce"() : () -> ()
  }}) : (index, index, index) -> ()
  {PARALLEL.format("%c0, %c6, %c1")}
  ^bb1(%k: index):
    %m = arith.subi %c6, %k : index
    %l = arith.subi %m, %c1 : index
    %u = memref.load %t[%l] : memref<6xf32>
    memref.store %u, %y[%k] : memref<6xf32>
    "scf.reduce"() : () -> ()
  }}) {{tilecast.schedule = "dynamic"}} : (index, index, index) -> ()
  func.return
}}"""

MOVED = f"""
func.func @moved(%x: memref<9x6xf32>, %y: memref<4x6xf32>)
    attributes {{tilecast.roles = ["in", "out"]}} {{
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %c6 = arith.constant 6 : index
  scf.for %r = %c0 to %c4 step %c1 {{
    %below = arith.addi %r, %c4 : index
    {PARALLEL.format("%c0, %c6, %c1")}
    ^bb0(%i: index):
      %v = memref.load %x[%below, %i] : memref<9x6xf32>
      memref.store %v, %y[%r, %i] : memref<4x6xf32>
      "scf.reduce"() : () -> ()
    }}) : (index, index, index) -> ()
  }}
  func.return
}}"""  # the body takes r + 4, which is no sum of its own there


def parse(text: str) -> FuncOp:
    module = Parser(CompileContext(), text).parse_module()
    module.verify()
    func = module.body.block.first_op
    assert isinstance(func, FuncOp)
    return func


def test_the_body_is_a_function_with_restrict_parameters() -> None:
    text = emit_unit([parse(LOCAL)], SCALAR)
    assert "static void local_parallel_0(int64_t i, const float *restrict x, float *" in text
    assert "local_parallel_1(k, t, y);" in text
    assert "#pragma omp parallel for schedule(dynamic)" in text


def test_one_team_runs_all_wavefronts() -> None:
    text = emit_unit([parse(WAVEFRONTS)], SCALAR)
    assert text.count("#pragma omp parallel\n") == 1
    assert text.count("#pragma omp for schedule(static)\n") == 1
    assert text.index("#pragma omp parallel\n") < text.index("for (int64_t w")


def test_a_loop_that_stores_besides_is_no_team_of_its_own() -> None:
    store = "%z = arith.constant 0.0 : f32\n memref.store %z, %x[%c0, %c0] : memref<9x9xf32>\n"
    text = WAVEFRONTS.replace("%a = arith.subi", store + "%a = arith.subi")
    assert "#pragma omp parallel for" in emit_unit([parse(text)], SCALAR)


@pytest.mark.parametrize("flags", [(), ("-fopenmp",)])
@pytest.mark.parametrize("source", [WAVEFRONTS, LOCAL, MOVED], ids=["wave", "local", "moved"])
def test_threads_compute_what_the_interpreter_does(build, call, machine, source, flags) -> None:
    func = parse(source)
    rng = np.random.default_rng(1)
    arrays = [rng.normal(size=a.type.get_shape()).astype(np.float32) for a in func.args]
    expected = [a.copy() for a in arrays]
    run_kernel(func, expected)
    text = emit_unit([func], machine) + f"/* {flags} */\n"  # libraries are known by their text
    call(build(text, machine, *flags), func.sym_name.data, *arrays)
    for got, want in zip(arrays, expected, strict=True):
        np.testing.assert_array_equal(got, want)
