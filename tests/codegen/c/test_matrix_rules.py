"""matrix.matmul: the emitted function against the interpreter, with and without AMX."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from tilecast.codegen.c import emit_unit
from tilecast.compiler.target import may_use_tiles
from tilecast.costmodel.hardware import Machine
from tilecast.dialects.errors import LoweringError
from tilecast.dialects.reference.loops import run_kernel
from tilecast.passes.context import CompileContext
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.parser import Parser
from xdsl.utils.exceptions import VerifyException

V4 = Machine("x86-64-v4", "avx512", vector_bytes=64, vector_registers=32)
AMX = replace(V4, features=("amx_bf16", "amx_tile"))
FLAGS = ("-mamx-tile", "-mamx-bf16")
# rows, vectors of columns, steps, fresh: one tile of each operand to two, all numbers of vectors
SHAPES = [
    (16, 1, 16, 1),
    (5, 4, 32, 0),
    (32, 2, 48, 1),
    (29, 1, 16, 0),
    (17, 2, 32, 1),
    (11, 3, 16, 0),
]
GAP = 3  # words between the end of a row and the next one


def kernel(rows: int, vectors: int, steps: int, fresh: int) -> str:
    """out = (out +) the product of rows of `a` from its word 1 on and of `b` from its word 2 on."""
    row, step, columns = steps + GAP, 16 * vectors + GAP, 16 * vectors
    a, b = f"memref<{1 + rows * row}xi32>", f"memref<{2 + steps * step}xi32>"
    sums = f"memref<{rows}x{columns}xf32>"
    properties = f"steps = {steps} : i64, row_stride = {row} : i64, step_stride = {step} : i64"
    properties += ", operandSegmentSizes = array<i32: 1, 1, 1, 1, 1>" + ", fresh" * fresh
    return f"""
func.func @k{rows}_{vectors}(%a: {a}, %b: {b}, %out: {sums})
    attributes {{tilecast.roles = ["in", "in", "inout"]}} {{
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  "matrix.matmul"(%a, %c1, %b, %c2, %out) <{{{properties}}}>
      : ({a}, index, {b}, index, {sums}) -> ()
  func.return
}}"""


def parsed(text: str) -> ModuleOp:
    module = Parser(CompileContext(), text).parse_module()
    module.verify()
    return module


def pairs(rng: np.random.Generator, size: int) -> np.ndarray:
    """Words of two bf16 whose sums of products are exact, however often they are rounded."""
    numbers = rng.integers(-9, 10, 2 * size).astype(ml_dtypes.bfloat16)
    return np.ascontiguousarray(numbers.view(np.int32))


@pytest.mark.isa("avx512")
@pytest.mark.parametrize("native", [False, True])
def test_products_match_the_interpreter_and_numpy(
    native: bool, build: Callable[..., ctypes.CDLL], call: Callable[..., None]
) -> None:
    if native and not ("amx_bf16" in Path("/proc/cpuinfo").read_text() and may_use_tiles()):
        pytest.skip("needs AMX")
    functions = list(parsed("".join(kernel(*shape) for shape in SHAPES)).ops)
    source = emit_unit(functions, AMX) + f"/* with AMX: {native} */\n"
    library = build(source, V4, *(FLAGS if native else ()))
    rng = np.random.default_rng(0)
    for function, (rows, vectors, steps, fresh) in zip(functions, SHAPES, strict=True):
        assert isinstance(function, FuncOp)
        row, step, columns = steps + GAP, 16 * vectors + GAP, 16 * vectors
        a, b = pairs(rng, 1 + rows * row), pairs(rng, 2 + steps * step)
        before = rng.integers(-99, 99, (rows, columns)).astype(np.float32)
        expected, actual = before.copy(), before.copy()
        run_kernel(function, [a, b, expected])
        call(library, function.sym_name.data, a, b, actual)
        left = a[1:].reshape(rows, row)[:, :steps].copy().view(ml_dtypes.bfloat16)
        right = b[2:].reshape(steps, step)[:, :columns].copy().view(ml_dtypes.bfloat16)
        right = right.reshape(steps, columns, 2).swapaxes(1, 2).reshape(2 * steps, columns)
        exact = left.astype(np.float32) @ right.astype(np.float32) + (0 if fresh else before)
        np.testing.assert_array_equal(expected, exact)
        np.testing.assert_array_equal(actual, exact)


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_the_loop_over_steps_loads_tiles_and_multiplies(compiler: str, tmp_path: Path) -> None:
    """For 32 x 32 sums: four loads and four products per 16 steps, nothing else on tiles."""
    if shutil.which(compiler) is None or shutil.which("objdump") is None:
        pytest.skip(f"{compiler} or objdump is not installed")
    source, made = tmp_path / "k.c", tmp_path / "k.o"
    source.write_text(emit_unit(list(parsed(kernel(32, 2, 1600, 1)).ops), AMX))
    strict = ("-std=c11", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Werror")
    command = [compiler, *strict, "-march=x86-64-v4", *FLAGS, "-c", str(source), "-o", str(made)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "amx" in done.stderr and "unrecognized" in done.stderr + done.stdout:
        pytest.skip(f"{compiler} does not know AMX")
    assert done.returncode == 0, done.stderr
    text = subprocess.run(["objdump", "-d", str(made)], capture_output=True, text=True, check=True)
    (loop,) = re.findall(r"tilezero.*?%tmm3\n(.*?)tilestored", text.stdout, re.DOTALL)
    steps = loop.count("tdpbf16ps") // 4  # clang unrolls
    assert (loop.count("tileloadd"), loop.count("tdpbf16ps")) == (4 * steps, 4 * steps)
    assert steps >= 1
    assert "mm" not in re.sub(r"%tmm\d", "", loop)  # no vector register is touched


@pytest.mark.parametrize(
    ("shape", "message"), [((33, 2, 16, 1), "at most 32 rows"), ((16, 2, 24, 1), "16 steps")]
)
def test_other_sizes_are_refused(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(LoweringError, match=message):
        emit_unit(list(parsed(kernel(*shape)).ops), AMX)


def test_the_op_says_what_is_wrong_with_it() -> None:
    good = kernel(4, 1, 16, 1)
    for old, new, message in (
        ("xi32>", "xf32>", "words of i32"),
        ("memref<4x16xf32>", "memref<64xf32>", "a matrix of f32 or i32"),
        ("steps = 16", "steps = 0", "at least one step"),
    ):
        with pytest.raises(VerifyException, match=message):
            parsed(good.replace(old, new))
