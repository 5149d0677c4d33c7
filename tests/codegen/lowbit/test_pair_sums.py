"""quant.pair_dot and quant.add_pairs: emitted C against the interpreter, scalars and vectors."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import numpy as np
import pytest
from tilecast.codegen.c import emit_unit
from tilecast.costmodel.hardware import Machine
from tilecast.dialects.reference.loops import run_kernel
from tilecast.passes.context import CompileContext
from xdsl.dialects.func import FuncOp
from xdsl.parser import Parser

N = 64
LANES = (0, 4, 8, 16)
OPS = {
    "first": '"quant.pair_dot"(%a, %b) <{bits = #builtin.int<7>}> : ({t}, {t}) -> {t}',
    "next": '"quant.pair_dot"(%a, %b, %c) <{bits = #builtin.int<4>}> : ({t}, {t}, {t}) -> {t}',
    "joined": '"quant.add_pairs"(%b) <{factor = #builtin.int<256>}> : ({t}) -> {t}',
    "added": '"quant.add_pairs"(%b, %c) <{factor = #builtin.int<1>}> : ({t}, {t}) -> {t}',
}


def kernel(name: str, lanes: int) -> str:
    """out[i] = the op on a[i], b[i] and c[i]."""
    type = f"vector<{lanes}xi32>" if lanes else "i32"
    ending = f", {type}" if lanes else ""
    dialect = "vector" if lanes else "memref"
    loads = "".join(
        f"%{x} = {dialect}.load %{x}s[%i] : memref<{N}xi32>{ending}\n    " for x in "abc"
    )
    return f"""
func.func @{name}_{lanes}(%as: memref<{N}xi32>, %bs: memref<{N}xi32>, %cs: memref<{N}xi32>,
    %out: memref<{N}xi32>) attributes {{tilecast.roles = ["in", "in", "in", "out"]}} {{
  %c0 = arith.constant 0 : index
  %n = arith.constant {N} : index
  %s = arith.constant {max(1, lanes)} : index
  scf.for %i = %c0 to %n step %s {{
    {loads}%r = {OPS[name].replace("{t}", type)}
    {dialect}.store %r, %out[%i] : memref<{N}xi32>{ending}
  }}
  func.return
}}"""


def test_emitted_sums_match_the_interpreter(
    machine: Machine, build: Callable[..., ctypes.CDLL], call: Callable[..., None]
) -> None:
    text = "".join(kernel(name, lanes) for name in OPS for lanes in LANES)
    module = Parser(CompileContext(), text).parse_module()
    module.verify()
    functions = [op for op in module.ops if isinstance(op, FuncOp)]
    flags = ["-Wno-unused-parameter"]  # kernels of one operand have three
    library = build(emit_unit(functions, machine, prefix=""), machine, *flags)
    rng = np.random.default_rng(0)
    bytes = rng.integers(0, 128, (N, 4), np.uint8)
    values = rng.integers(-128, 128, (N, 4), np.int8)
    bytes[:2], values[:2] = 127, [[-128], [127]]
    before = rng.integers(-(2**15), 2**15, (N, 2), np.int16)
    for function in functions:
        codes = bytes & 15 if "next" in function.sym_name.data else bytes
        arrays = [x.copy().view(np.int32)[:, 0] for x in (codes, values, before)]
        expected, found = np.zeros(N, np.int32), np.zeros(N, np.int32)
        run_kernel(function, [*arrays, expected])
        call(library, function.sym_name.data, *arrays, found)
        np.testing.assert_array_equal(found, expected, err_msg=function.sym_name.data)


def test_sums_are_what_they_say() -> None:
    """By hand: 1 * 2 + 3 * 4 and 5 * 6 + 7 * -8 on top of 100 and -100."""
    text = "".join(kernel(name, 0) for name in OPS)
    module = Parser(CompileContext(), text).parse_module()
    by_name = {op.sym_name.data: op for op in module.ops if isinstance(op, FuncOp)}
    a = np.tile(np.array([1, 3, 5, 7], np.int8), N).view(np.int32)
    b = np.tile(np.array([2, 4, 6, -8], np.int8), N).view(np.int32)
    c = np.tile(np.array([100, -100], np.int16), N).view(np.int32)
    out = np.zeros(N, np.int32)
    run_kernel(by_name["next_0"], [a, b, c, out])
    assert out[:1].view(np.int16).tolist() == [114, -126]
    run_kernel(by_name["joined_0"], [a, c, c, out])
    assert out[0] == 0
    run_kernel(by_name["joined_0"], [a, np.full(N, 3, np.int32), c, out])
    assert out[0] == 768


@pytest.mark.parametrize(
    ("op", "message"),
    [
        ('"quant.pair_dot"(%a, %a) <{bits = #builtin.int<8>}> : (i32, i32) -> i32', "1 to 7 bits"),
        ('"quant.add_pairs"(%a) <{factor = #builtin.int<0>}> : (i32) -> i32', "not positive"),
    ],
)
def test_sums_that_do_not_fit_are_refused(op: str, message: str) -> None:
    text = f"func.func @f(%a: i32) {{\n  %r = {op}\n  func.return\n}}"
    with pytest.raises(Exception, match=message):
        Parser(CompileContext(), text).parse_module().verify()
