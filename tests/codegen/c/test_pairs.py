"""pair.dot and pair.join: emitted C against the interpreter, with and without AVX512-BF16."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from tilecast.codegen.c import emit_unit
from tilecast.costmodel.hardware import Machine
from tilecast.dialects.errors import LoweringError
from tilecast.dialects.reference.loops import run_kernel
from tilecast.passes.context import CompileContext
from xdsl.dialects.func import FuncOp
from xdsl.parser import Parser

N = 64
WIDTHS = (0, 4, 8, 16, 32)


def kernel(lanes: int, accumulates: bool) -> str:
    """out[i] = join(x, y)[i] . w[i], plus acc[i] where it accumulates."""

    def load(name: str, element: str) -> str:
        at = f"%{name}[%i] : memref<{N}x{element}>"
        if lanes:
            return f"%{name}v = vector.load {at}, {of(element)}"
        return f"%{name}v = memref.load {at}"

    def of(element: str) -> str:
        return f"vector<{lanes}x{element}>" if lanes else element

    tail = (", %av", f", {of('f32')}", "dot_add") if accumulates else ("", "", "dot")
    acc = f", %a: memref<{N}xf32>" if accumulates else ""
    store = f"%r, %out[%i] : memref<{N}xf32>"
    return f"""
func.func @k{lanes}_{int(accumulates)}(%x: memref<{N}xbf16>, %y: memref<{N}xbf16>,
    %w: memref<{N}xi32>{acc}, %out: memref<{N}xf32>)
    attributes {{tilecast.roles = [{'"in", ' * (4 if accumulates else 3)}"out"]}} {{
  %c0 = arith.constant 0 : index
  %n = arith.constant {N} : index
  %s = arith.constant {max(1, lanes)} : index
  scf.for %i = %c0 to %n step %s {{
    {load("x", "bf16")}
    {load("y", "bf16")}
    {load("w", "i32")}
    {load("a", "f32") if accumulates else ""}
    %p = "pair.join"(%xv, %yv) : ({of("bf16")}, {of("bf16")}) -> {of("i32")}
    %r = "pair.{tail[2]}"(%p, %wv{tail[0]}) : ({of("i32")}, {of("i32")}{tail[1]}) -> {of("f32")}
    {f"vector.store {store}, {of('f32')}" if lanes else f"memref.store {store}"}
  }}
  func.return
}}"""


ROUND = f"""
func.func @rounded(%x: memref<{N}xf32>, %out: memref<{N // 2}xi32>)
    attributes {{tilecast.roles = ["in", "out"]}} {{
  %c0 = arith.constant 0 : index
  %c16 = arith.constant 16 : index
  %c32 = arith.constant 32 : index
  %n = arith.constant {N // 2} : index
  scf.for %i = %c0 to %n step %c16 {{
    %j = arith.addi %i, %i : index
    %k = arith.addi %j, %c16 : index
    %a = vector.load %x[%j] : memref<{N}xf32>, vector<16xf32>
    %b = vector.load %x[%k] : memref<{N}xf32>, vector<16xf32>
    %p = "pair.round"(%a, %b) : (vector<16xf32>, vector<16xf32>) -> vector<16xi32>
    vector.store %p, %out[%i] : memref<{N // 2}xi32>, vector<16xi32>
  }}
  func.return
}}"""

NARROW = f"""
func.func @narrowed(%x: memref<{N}xf32>, %out: memref<{N}xbf16>)
    attributes {{tilecast.roles = ["in", "out"]}} {{
  %c0 = arith.constant 0 : index
  %c16 = arith.constant 16 : index
  %n = arith.constant {N} : index
  scf.for %i = %c0 to %n step %c16 {{
    %a = vector.load %x[%i] : memref<{N}xf32>, vector<16xf32>
    %b = "pair.narrow"(%a) : (vector<16xf32>) -> vector<16xbf16>
    vector.store %b, %out[%i] : memref<{N}xbf16>, vector<16xbf16>
  }}
  func.return
}}"""


def has_bf16() -> bool:
    """Whether this CPU has the instruction."""
    return "avx512_bf16" in Path("/proc/cpuinfo").read_text()


@pytest.mark.parametrize("native", [False, True])
def test_emitted_ops_match_the_interpreter(
    native: bool,
    machine: Machine,
    build: Callable[..., ctypes.CDLL],
    call: Callable[..., None],
) -> None:
    if native and (machine.isa != "avx512" or not has_bf16()):
        pytest.skip("needs AVX512-BF16")
    text = "".join(kernel(lanes, acc) for lanes in WIDTHS for acc in (False, True))
    text += ROUND + NARROW if machine.isa == "avx512" else ""
    module = Parser(CompileContext(), text).parse_module()
    module.verify()
    functions = list(module.ops)
    source = emit_unit(functions, machine)
    if native:
        assert "_dpbf16_ps" in source
        source += "/* with the instruction */\n"  # another library than without
    library = build(source, machine, *(["-mavx512bf16"] if native else []))
    rng = np.random.default_rng(0)
    # sums of small numbers are exact, however often they are rounded
    x, y = (rng.integers(-99, 99, N).astype(ml_dtypes.bfloat16) for _ in range(2))
    pairs = rng.integers(-99, 99, (N, 2)).astype(ml_dtypes.bfloat16)
    w, a = pairs.view(np.int32)[:, 0], rng.integers(-99, 99, N).astype(np.float32)
    w = np.ascontiguousarray(w)
    exact = x.astype(np.float32) * pairs[:, 0].astype(np.float32)
    exact += y.astype(np.float32) * pairs[:, 1].astype(np.float32)
    for function in functions:
        expected, actual = np.zeros(N, np.float32), np.ones(N, np.float32)
        name = function.sym_name.data
        if name in ("rounded", "narrowed"):
            check_rounding(function, lambda *arrays, name=name: call(library, name, *arrays))
            continue
        inputs = [x, y, w, a] if name.endswith("1") else [x, y, w]
        run_kernel(function, [*inputs, expected])
        call(library, name, *inputs, actual)
        np.testing.assert_array_equal(expected, exact + (a if name.endswith("1") else 0))
        np.testing.assert_array_equal(actual, expected)


def check_rounding(function: FuncOp, call: Callable[..., None]) -> None:
    """To nearest, ties to even, infinities too; no subnormal numbers, which may become zero."""
    x = np.random.default_rng(1).normal(size=N).astype(np.float32)
    x[:6] = [1 + 2.0**-8, 1 + 3 * 2.0**-8, -np.inf, 3.4e38, 0.0, -0.0]
    rounded = x.astype(ml_dtypes.bfloat16)
    if function.sym_name.data == "rounded":
        rounded = rounded.view(np.int32)
    expected, actual = np.zeros_like(rounded), np.ones_like(rounded)
    run_kernel(function, [x, expected])
    call(x, actual)
    np.testing.assert_array_equal(expected, rounded)
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("text", [ROUND, NARROW])
def test_whole_registers_of_avx512_are_rounded(text: str) -> None:
    module = Parser(CompileContext(), text).parse_module()
    with pytest.raises(LoweringError, match="512 bits"):
        emit_unit(list(module.ops), Machine("v3", "avx2", (), 32))


def test_sources_are_clean_under_clang(
    machine: Machine, check_with_clang: Callable[..., None]
) -> None:
    module = Parser(CompileContext(), "".join(kernel(w, True) for w in WIDTHS)).parse_module()
    check_with_clang(emit_unit(list(module.ops), machine), machine)
