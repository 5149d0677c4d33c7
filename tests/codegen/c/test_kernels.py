"""Loops, branches, memory, masks, gathers and reductions: emitted C against the interpreter."""

from __future__ import annotations

import re
import shutil
import subprocess

import numpy as np
import pytest
from tilecast.codegen.c import check_emissible, emit_kernel, emit_unit
from tilecast.costmodel.hardware import Machine
from tilecast.dialects.errors import LoweringError
from tilecast.dialects.reference.loop_arithmetic import dtype_of
from tilecast.dialects.reference.loops import run_kernel
from tilecast.passes.context import CompileContext
from xdsl.parser import Parser

KERNELS = r"""
func.func @matmul(%a: memref<6x40xf32>, %b: memref<40x32xf32>, %c: memref<6x32xf32>)
    attributes {tilecast.roles = ["in", "weight", "out"]} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c6 = arith.constant 6 : index
  %c40 = arith.constant 40 : index
  %c32 = arith.constant 32 : index
  %w = arith.constant 16 : index
  %zero = arith.constant dense<0.0> : vector<16xf32>
  "scf.parallel"(%c0, %c6, %c2) <{operandSegmentSizes = array<i32: 1, 1, 1, 0>}> ({
  ^bb0(%i: index):
    scf.for %j = %c0 to %c32 step %w {
      %i1 = arith.addi %i, %c1 : index
      %acc:2 = scf.for %k = %c0 to %c40 step %c1
          iter_args(%s0 = %zero, %s1 = %zero) -> (vector<16xf32>, vector<16xf32>) {
        %bv = vector.load %b[%k, %j] : memref<40x32xf32>, vector<16xf32>
        %a0 = memref.load %a[%i, %k] : memref<6x40xf32>
        %a1 = memref.load %a[%i1, %k] : memref<6x40xf32>
        %av0 = vector.broadcast %a0 : f32 to vector<16xf32>
        %av1 = vector.broadcast %a1 : f32 to vector<16xf32>
        %t0 = math.fma %av0, %bv, %s0 : vector<16xf32>
        %t1 = math.fma %av1, %bv, %s1 : vector<16xf32>
        scf.yield %t0, %t1 : vector<16xf32>, vector<16xf32>
      }
      vector.store %acc#0, %c[%i, %j] : memref<6x32xf32>, vector<16xf32>
      vector.store %acc#1, %c[%i1, %j] : memref<6x32xf32>, vector<16xf32>
    }
    "scf.reduce"() : () -> ()
  }) : (index, index, index) -> ()
  func.return
}

func.func @nested_sum(%x: memref<7x9xf32>, %y: memref<1xf32>)
    attributes {tilecast.roles = ["in", "out"]} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c7 = arith.constant 7 : index
  %c9 = arith.constant 9 : index
  %z = arith.constant 0.0 : f32
  %s = scf.for %i = %c0 to %c7 step %c1 iter_args(%p = %z) -> (f32) {
    %r = scf.for %j = %c0 to %c9 step %c1 iter_args(%q = %p) -> (f32) {
      %v = memref.load %x[%i, %j] : memref<7x9xf32>
      %n = arith.addf %q, %v : f32
      scf.yield %n : f32
    }
    scf.yield %r : f32
  }
  memref.store %s, %y[%c0] : memref<1xf32>
  func.return
}

func.func @fibonacci(%y: memref<1xi64>) attributes {tilecast.roles = ["out"]} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c20 = arith.constant 20 : index
  %zero = arith.constant 0 : i64
  %one = arith.constant 1 : i64
  %r:2 = scf.for %i = %c0 to %c20 step %c1 iter_args(%a = %zero, %b = %one) -> (i64, i64) {
    %n = arith.addi %a, %b : i64
    scf.yield %b, %n : i64, i64
  }
  memref.store %r#0, %y[%c0] : memref<1xi64>
  func.return
}

func.func @swap_through_memory(%x: memref<8xf32>, %y: memref<8xf32>)
    attributes {tilecast.roles = ["in", "out"]} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %t = memref.alloca() : memref<2xf32>
  %a = memref.load %x[%c0] : memref<8xf32>
  memref.store %a, %t[%c0] : memref<2xf32>
  %old = memref.load %t[%c0] : memref<2xf32>
  %b = memref.load %x[%c1] : memref<8xf32>
  memref.store %b, %t[%c0] : memref<2xf32>
  %new = memref.load %t[%c0] : memref<2xf32>
  memref.store %old, %y[%c1] : memref<8xf32>
  memref.store %new, %y[%c0] : memref<8xf32>
  %c2 = arith.constant 2 : index
  %c8 = arith.constant 8 : index
  scf.for %i = %c2 to %c8 step %c1 {
    %v = memref.load %x[%i] : memref<8xf32>
    %back = arith.subi %c8, %i : index
    %zero = arith.constant 0.0 : f32
    %positive = arith.cmpf ogt, %v, %zero : f32
    %r = scf.if %positive -> (f32) {
      %w = memref.load %x[%back] : memref<8xf32>
      %p = arith.mulf %v, %w : f32
      scf.yield %p : f32
    } else {
      %n = arith.negf %v : f32
      scf.yield %n : f32
    }
    memref.store %r, %y[%i] : memref<8xf32>
  }
  func.return
}

func.func @no_roles(%x: memref<4xf32>, %unused: memref<4xf32>, %y: memref<4xf32>) {
  %c3 = arith.constant 3 : index
  %v = memref.load %x[%c3] : memref<4xf32>
  memref.store %v, %y[%c3] : memref<4xf32>
  func.return
}

func.func @blend(%x: memref<32xf32>, %m: memref<32xi1>, %y: memref<32xf32>, %o: memref<32xi1>)
    attributes {tilecast.roles = ["in", "in", "out", "out"]} {
  %c0 = arith.constant 0 : index
  %c32 = arith.constant 32 : index
  %c8 = arith.constant 8 : index
  %half = arith.constant dense<0.5> : vector<8xf32>
  %steps = arith.constant dense<[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]> : vector<8xf32>
  scf.for %i = %c0 to %c32 step %c8 {
    %v = vector.load %x[%i] : memref<32xf32>, vector<8xf32>
    %mask = vector.load %m[%i] : memref<32xi1>, vector<8xi1>
    %less = "vector.cmpf"(%v, %half) <{predicate = 4 : i64}>
        : (vector<8xf32>, vector<8xf32>) -> vector<8xi1>
    %both = arith.andi %mask, %less : vector<8xi1>
    %r = "vector.select"(%both, %v, %steps)
        : (vector<8xi1>, vector<8xf32>, vector<8xf32>) -> vector<8xf32>
    vector.store %r, %y[%i] : memref<32xf32>, vector<8xf32>
    vector.store %both, %o[%i] : memref<32xi1>, vector<8xi1>
  }
  func.return
}
"""


def _tail(element: str, lanes: int) -> str:
    """A masked copy of 13 elements past a multiple of lanes, with gather and scatter."""
    n = 3 * lanes + 13
    vec, mask = f"vector<{lanes}x{element}>", f"vector<{lanes}xi1>"
    index = f"vector<{lanes}xindex>"
    zero = {"f32": "0.0", "f64": "0.0", "i1": "false"}.get(element, "0")
    one = {"f32": "1.5", "f64": "1.5", "i1": "true"}.get(element, "3")
    m = f"memref<{n}x{element}>"
    return f"""
func.func @tail_{element}_{lanes}(%x: {m}, %y: {m}, %g: {m}, %s: {m})
    attributes {{tilecast.roles = ["in", "out", "out", "out"]}} {{
  %c0 = arith.constant 0 : index
  %n = arith.constant {n} : index
  %w = arith.constant {lanes} : index
  %zero = arith.constant dense<{zero}> : {vec}
  %one = arith.constant dense<{one}> : {vec}
  %step = "vector.step"() : () -> {index}
  %two = arith.constant dense<2> : {index}
  scf.for %i = %c0 to %n step %w {{
    %left = arith.subi %n, %i : index
    %m = vector.create_mask %left : {mask}
    %v = vector.maskedload %x[%i], %m, %zero : {m}, {mask}, {vec} into {vec}
    vector.maskedstore %y[%i], %m, %v : {m}, {mask}, {vec}
    %u = vector.maskedload %x[%i], %m, %one : {m}, {mask}, {vec} into {vec}
    %half = arith.floordivsi %left, %c2 : index
    %mh = vector.create_mask %half : {mask}
    %at = arith.muli %step, %two : {index}
    %gathered = "vector.gather"(%x, %i, %at, %mh, %u)
        : ({m}, index, {index}, {mask}, {vec}) -> {vec}
    vector.maskedstore %g[%i], %m, %gathered : {m}, {mask}, {vec}
    "vector.scatter"(%s, %i, %at, %mh, %v) : ({m}, index, {index}, {mask}, {vec}) -> ()
  }}
  func.return
}}""".replace("%n = arith", "%c2 = arith.constant 2 : index\n  %n = arith", 1)


def _booleans(element: str, lanes: int) -> str:
    """A mask is read as bytes, and another one is written."""
    vec, mask = f"vector<{lanes}x{element}>", f"vector<{lanes}xi1>"
    m, b = f"memref<{lanes}x{element}>", f"memref<{lanes}xi1>"
    compare = '"vector.cmpf"({}) <{{predicate = 4 : i64}}>'
    if element.startswith("i"):
        compare = '"vector.cmpi"({}) <{{predicate = 2 : i64}}>'
    return f"""
func.func @booleans_{element}_{lanes}(%x: {m}, %y: {m}, %m: {b}, %r: {m}, %o: {b})
    attributes {{tilecast.roles = ["in", "in", "in", "out", "out"]}} {{
  %c0 = arith.constant 0 : index
  %v = vector.load %x[%c0] : {m}, {vec}
  %u = vector.load %y[%c0] : {m}, {vec}
  %mask = vector.load %m[%c0] : {b}, {mask}
  %s = "vector.select"(%mask, %v, %u) : ({mask}, {vec}, {vec}) -> {vec}
  vector.store %s, %r[%c0] : {m}, {vec}
  %less = {compare.format("%v, %u")} : ({vec}, {vec}) -> {mask}
  vector.store %less, %o[%c0] : {b}, {mask}
  func.return
}}"""


def _reduction(kind: str, element: str, lanes: int) -> str:
    vec = f"vector<{lanes}x{element}>"
    return f"""
func.func @reduce_{kind}_{element}_{lanes}(%x: memref<{lanes}x{element}>, %y: memref<2x{element}>)
    attributes {{tilecast.roles = ["in", "out"]}} {{
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %v = vector.load %x[%c0] : memref<{lanes}x{element}>, {vec}
  %a = memref.load %x[%c1] : memref<{lanes}x{element}>
  %r = vector.reduction <{kind}>, %v : {vec} into {element}
  %s = vector.reduction <{kind}>, %v, %a : {vec} into {element}
  memref.store %r, %y[%c0] : memref<2x{element}>
  memref.store %s, %y[%c1] : memref<2x{element}>
  func.return
}}"""


def _all_kernels() -> str:
    text = KERNELS
    for element, widths in {"f32": (4, 8, 16, 32), "f64": (2, 4, 8), "i1": (8, 16, 32), "i8": (16,),
                            "i32": (4, 8, 16), "i64": (4, 8)}.items():  # fmt: skip
        text += "".join(_tail(element, lanes) for lanes in widths)
    for element, widths in {"f64": (2, 4, 8), "f32": (4, 8, 16), "i16": (16,),
                            "i8": (32, 64)}.items():  # fmt: skip
        text += "".join(_booleans(element, lanes) for lanes in widths)
    for element, widths in {"f32": (4, 8, 16, 32), "f64": (2, 4, 8)}.items():
        for kind in ("add", "mul", "maxnumf", "minnumf", "maximumf", "minimumf"):
            text += "".join(_reduction(kind, element, lanes) for lanes in widths)
    for element, widths in {"i8": (16,), "i32": (4, 8, 16), "i64": (2, 4, 8)}.items():
        for kind in ("add", "mul", "maxsi", "minsi", "maxui", "minui", "and", "or", "xor"):
            text += "".join(_reduction(kind, element, lanes) for lanes in widths)
    for kind in ("and", "or", "xor"):
        text += "".join(_reduction(kind, "i1", lanes) for lanes in (8, 16))
    return text


@pytest.fixture(scope="module")
def functions():
    module = Parser(CompileContext(), _all_kernels()).parse_module()
    module.verify()
    check_emissible(module)
    return {op.sym_name.data: op for op in module.body.block.ops}


@pytest.fixture(scope="module")
def library(functions, machine, build):
    return build(emit_unit(list(functions.values()), machine), machine)


def _arrays(func, rng) -> list[np.ndarray]:
    arrays = []
    for argument in func.body.block.args:
        shape, dtype = argument.type.get_shape(), dtype_of(argument.type)
        if dtype.kind == "f":
            arrays.append(rng.standard_normal(shape).astype(dtype))
        elif dtype.kind == "b":
            arrays.append(rng.integers(0, 2, shape).astype(dtype))
        else:
            arrays.append(rng.integers(-100, 100, shape).astype(dtype))
    return arrays


def test_kernels_match_the_interpreter_bit_by_bit(functions, library, call):
    rng = np.random.default_rng(3)
    wrong = []
    for name, func in functions.items():
        expected = _arrays(func, rng)
        actual = [a.copy() for a in expected]
        run_kernel(func, expected)
        call(library, name, *actual)
        if not all(np.array_equal(a, b) for a, b in zip(expected, actual, strict=True)):
            wrong.append(name)
    assert not wrong


def test_reductions_propagate_nan(functions, library, call):
    for name in ("reduce_maximumf_f32_16", "reduce_minimumf_f32_8", "reduce_add_f64_4"):
        lanes = int(name.rsplit("_", 1)[1])
        for lane in range(lanes):
            x = np.ones(lanes, np.float64 if "f64" in name else np.float32)
            x[lane] = np.nan
            y = np.zeros(2, x.dtype)
            call(library, name, x, y)
            assert np.isnan(y).all(), (name, lane)


def test_parallel_loop_gives_the_same_bits_with_openmp(functions, machine, build, call):
    func = functions["matmul"]
    arrays = _arrays(func, np.random.default_rng(4))
    expected = [a.copy() for a in arrays]
    run_kernel(func, expected)
    call(build(emit_unit([func], machine), machine, "-fopenmp"), "matmul", *arrays)
    assert np.array_equal(expected[2], arrays[2])


def test_sources_are_clean_under_clang(functions, machine, check_with_clang):
    check_with_clang(emit_unit(list(functions.values()), machine), machine)


def test_fused_multiply_add_is_one_instruction(functions, machine, build, tmp_path):
    if machine.isa in ("scalar", "neon") or shutil.which("objdump") is None:
        pytest.skip("needs objdump and a vector ISA")
    library = build(emit_unit([functions["matmul"]], machine), machine)
    text = subprocess.run(["objdump", "-d", "--no-show-raw-insn", library._name],
                          capture_output=True, text=True, check=True).stdout  # fmt: skip
    # The body of the parallel loop is a function of its own, which may be inlined.
    body = "".join(re.findall(r"<matmul(?:_parallel_0)?>:\n(.*?)\n\n", text, re.S))
    assert "vfmadd" in body
    assert not re.search(r"call.*fma", body)


def test_indices_and_accumulators_read_well(functions):
    machine = Machine("x86-64-v4", "avx512", vector_bytes=64)
    text = emit_kernel(functions["matmul"], machine)
    assert "const float *restrict a, const float *restrict b, float *restrict c" in text
    assert "_mm512_loadu_ps(&b[k * 32 + j])" in text
    assert "s0 = _mm512_fmadd_ps(" in text
    assert "#ifdef _OPENMP\n#pragma omp parallel for schedule(static)\n#endif\n" in text


def test_inner_loop_continues_the_outer_accumulator(functions):
    text = emit_kernel(functions["nested_sum"], Machine("scalar", "scalar"))
    assert text.count("float ") == 3  # two parameters, one accumulator
    assert "p = p + x[i * 9 + j];" in text


def test_all_ops_without_a_rule_are_named_at_once():
    text = """
func.func @f(%x: memref<4xi8>) {
  %p = "memref.extract_aligned_pointer_as_index"(%x) : (memref<4xi8>) -> index
  "vector.print"(%p) : (index) -> ()
  func.return
}"""
    module = Parser(CompileContext(), text).parse_module()
    with pytest.raises(LoweringError, match=r"extract_aligned.*\(1\), vector.print \(1\)"):
        check_emissible(module)


def test_unknown_element_type_is_refused():
    text = "func.func @h(%x: memref<4xf128>) { func.return }"
    func = Parser(CompileContext(), text).parse_module().body.block.first_op
    with pytest.raises(LoweringError, match="no C type for f128"):
        emit_kernel(func, Machine("scalar", "scalar"))
