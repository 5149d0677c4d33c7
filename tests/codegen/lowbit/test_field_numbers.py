"""quant.field_number: emitted C against the bits themselves, scalars and vectors."""

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
FIELDS = [(4, 0, 0.0), (4, 0, 8.0), (1, 22, 0.0), (3, 18, 917504.0), (8, 8, 0.5), (2, 5, 48.0)]


def field_number(width: int, shift: int, center: float) -> str:
    """The op without its type."""
    properties = f"width = #builtin.int<{width}>, shift = #builtin.int<{shift}>"
    return f'"quant.field_number"(%word) <{{{properties}, center = {center} : f32}}>'


def kernel(number: int, lanes: int) -> str:
    """out[i] = the field of word[i] less its center."""
    width, shift, center = FIELDS[number]
    word, value = ("i32", "f32") if not lanes else (f"vector<{lanes}xi32>", f"vector<{lanes}xf32>")
    endings = [f", {type}" if lanes else "" for type in (word, value)]
    dialect = "vector" if lanes else "memref"
    operation = field_number(width, shift, center)
    return f"""
func.func @field{number}_{lanes}(%words: memref<{N}xi32>, %out: memref<{N}xf32>)
    attributes {{tilecast.roles = ["in", "out"]}} {{
  %c0 = arith.constant 0 : index
  %n = arith.constant {N} : index
  %s = arith.constant {max(1, lanes)} : index
  scf.for %i = %c0 to %n step %s {{
    %word = {dialect}.load %words[%i] : memref<{N}xi32>{endings[0]}
    %r = {operation} : ({word}) -> {value}
    {dialect}.store %r, %out[%i] : memref<{N}xf32>{endings[1]}
  }}
  func.return
}}"""


def test_fields_become_numbers(
    machine: Machine, build: Callable[..., ctypes.CDLL], call: Callable[..., None]
) -> None:
    text = "".join(kernel(number, lanes) for number in range(len(FIELDS)) for lanes in LANES)
    module = Parser(CompileContext(), text).parse_module()
    module.verify()
    functions = [op for op in module.ops if isinstance(op, FuncOp)]
    library = build(emit_unit(functions, machine, prefix=""), machine)
    words = np.random.default_rng(0).integers(-(2**31), 2**31, N, np.int32)
    words[:2] = 0, -1
    for function in functions:
        width, shift, center = FIELDS[int(function.sym_name.data[5])]
        expected = ((words >> shift & (1 << width) - 1) * 2.0**shift - center).astype(np.float32)
        meant, found = np.zeros(N, np.float32), np.zeros(N, np.float32)
        run_kernel(function, [words, meant])
        call(library, function.sym_name.data, words, found)
        np.testing.assert_array_equal(meant, expected)
        np.testing.assert_array_equal(found, expected, err_msg=function.sym_name.data)


def test_fields_that_floats_do_not_count_are_refused() -> None:
    op = field_number(4, 20, 0.0)
    text = f"func.func @f(%word: i32) {{\n  %r = {op} : (i32) -> f32\n  func.return\n}}"
    with pytest.raises(Exception, match="4 bits from bit 20 on do not lie in bits 0"):
        Parser(CompileContext(), text).parse_module().verify()
