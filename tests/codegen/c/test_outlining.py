"""Where functions of mathlib are inlined, and where not."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import numpy as np
import pytest
from tilecast.codegen.c import emit_unit
from tilecast.costmodel.hardware import Machine
from tilecast.passes.context import CompileContext
from xdsl.dialects.func import FuncOp
from xdsl.parser import Parser


def in_a_row(op: str, result: str, count: int) -> str:
    """C of a kernel with so many operations on vectors of f32 in a row."""
    source, target = f"memref<{16 * count}xf32>", f"memref<{16 * count}x{result}>"
    lines = []
    for k in range(count):
        lines += [
            f"%c{k} = arith.constant {16 * k} : index",
            f"%x{k} = vector.load %x[%c{k}] : {source}, vector<16xf32>",
            f"%y{k} = {op.format(f'%x{k}')}",
            f"vector.store %y{k}, %y[%c{k}] : {target}, vector<16x{result}>",
        ]
    text = f"""
func.func @f(%x: {source}, %y: {target}) attributes {{tilecast.roles = ["in", "out"]}} {{
  {" ".join(lines)}
  func.return
}}
"""
    func = Parser(CompileContext(), text).parse_module().body.block.first_op
    assert isinstance(func, FuncOp)
    return emit_unit([func], Machine("x86-64-v4", "avx512"))


@pytest.mark.parametrize("count", [2, 28])
@pytest.mark.parametrize(
    ("op", "result", "name"),
    [
        ("math.exp {} : vector<16xf32>", "f32", "tc_exp_f32_v16"),
        ("arith.truncf {} : vector<16xf32> to vector<16xbf16>", "bf16", "tc_f32x16_to_bf16"),
    ],
)
def test_functions_of_whole_tiles_are_called(op: str, result: str, name: str, count: int) -> None:
    text = in_a_row(op, result, count)
    is_outlined = "static TC_OPAQUE " in text
    assert is_outlined == (count == 28)
    assert text.count(name + ("_outlined(" if is_outlined else "(")) == count + 1


@pytest.mark.parametrize("called", [True, False])
def test_the_body_of_a_loop_can_be_a_function_of_its_own(called: bool) -> None:
    text = f"""
func.func @f(%x: memref<8xf32>, %y: memref<8xf32>) attributes {{tilecast.roles = ["in", "out"]}} {{
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  %first = memref.load %x[%c0] : memref<8xf32>
  scf.for %i = %c0 to %c8 step %c1 {{
    %v = memref.load %x[%i] : memref<8xf32>
    %w = arith.mulf %v, %first : f32
    memref.store %w, %y[%i] : memref<8xf32>
  }} {"{tilecast.called}" if called else ""}
  func.return
}}
"""
    func = Parser(CompileContext(), text).parse_module().body.block.first_op
    assert isinstance(func, FuncOp)
    emitted = emit_unit([func], Machine("c99", "scalar"))
    assert ("__attribute__((noinline)) void f_part_0(" in emitted) == called
    assert ("f_part_0(i, " in emitted) == called


def sums_of_products(count: int, lanes: int, function: str) -> str:
    """A kernel of so many sums over 16 products of vectors, and a function of each."""
    sums, vector, total = range(count), f"vector<{lanes}xf32>", lanes * count
    names, types = ", ".join(f"%s{k}" for k in sums), ", ".join(vector for _ in sums)
    update = [
        f"%w{k} = vector.load %w[%i, %c{k}] : memref<16x{total}xf32>, {vector}\n"
        f"%n{k} = vector.fma %v, %w{k}, %a{k} : {vector}"
        for k in sums
    ]
    store = [
        f"%f{k} = {function} %s{k} : {vector}\n"
        f"vector.store %f{k}, %y[%c{k}] : memref<{total}xf32>, {vector}"
        for k in sums
    ]
    return f"""
func.func @f(%x: memref<16xf32>, %w: memref<16x{total}xf32>, %y: memref<{total}xf32>)
    attributes {{tilecast.roles = ["in", "in", "out"]}} {{
  {" ".join(f"%c{k} = arith.constant {lanes * k} : index" for k in sums)}
  %end = arith.constant 16 : index
  %one = arith.constant 1 : index
  %zero = arith.constant dense<0.0> : {vector}
  {names} = scf.for %i = %c0 to %end step %one
      iter_args({", ".join(f"%a{k} = %zero" for k in sums)}) -> ({types}) {{
    %e = memref.load %x[%i] : memref<16xf32>
    %v = vector.broadcast %e : f32 to {vector}
    {" ".join(update)}
    scf.yield {", ".join(f"%n{k}" for k in sums)} : {types}
  }}
  {" ".join(store)}
  func.return
}}
"""


@pytest.mark.parametrize(
    ("count", "function", "stored"),
    [(12, "math.exp", 12), (3, "math.exp", 0), (12, "math.sqrt", 0)],
)
def test_sums_that_wait_for_calls_are_stored_first(
    machine: Machine,
    build: Callable[..., ctypes.CDLL],
    call: Callable[..., None],
    count: int,
    function: str,
    stored: int,
) -> None:
    lanes = max(machine.vector_bytes // 4, 4)
    text = sums_of_products(count, lanes, function)
    func = Parser(CompileContext(), text).parse_module().body.block.first_op
    assert isinstance(func, FuncOp)
    source = emit_unit([func], machine)
    is_native = machine.isa in ("avx2", "avx512")
    assert source.count("const volatile __m") == (stored if is_native else 0)
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 0.1, 16).astype(np.float32)
    w = rng.uniform(0, 0.1, (16, lanes * count)).astype(np.float32)
    y = np.zeros(lanes * count, np.float32)
    call(build(source, machine), "f", x, w, y)
    expected = {"math.exp": np.exp, "math.sqrt": np.sqrt}[function](x @ w)
    np.testing.assert_allclose(y, expected, rtol=1e-5)
