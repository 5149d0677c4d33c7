"""What follows the sums of all tiles is read from memory there, where they leave few registers."""

from __future__ import annotations

import re

import pytest
from tilecast.codegen.c import emit_unit
from tilecast.compiler.target import resolve_target
from tilecast.passes.context import CompileContext
from xdsl.dialects.func import FuncOp
from xdsl.parser import Parser

# 4 tiles of two sums over 64 steps, at most NUMBER
TILES = """
func.func @f(%x: memref<64x8xf32>, %y: memref<4x8xf32>) {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %tiles = arith.constant 4 : index
  %n = arith.constant 64 : index
  %number = arith.constant NUMBER : f32
  scf.for %t = %zero to %tiles step %one {
    %v = vector.load %x[%t, %zero] : memref<64x8xf32>, vector<8xf32>
    SUMS
    %most = vector.broadcast %number : f32 to vector<8xf32>
    %p = arith.minimumf %r, %most : vector<8xf32>
    %q = arith.minimumf %s, %most : vector<8xf32>
    %same = vector.load %x[%zero, %zero] : memref<64x8xf32>, vector<8xf32>
    %other = vector.load %x[%t, %zero] : memref<64x8xf32>, vector<8xf32>
    %sum = arith.addf %p, %q : vector<8xf32>
    %more = arith.addf %sum, %same : vector<8xf32>
    %most_of_all = arith.addf %more, %other : vector<8xf32>
    vector.store %most_of_all, %y[%t, %zero] : memref<4x8xf32>, vector<8xf32>
  }
  func.return
}
"""
SUMS = """
    %r, %s = scf.for %i = %zero to %n step %one iter_args(%a = %v, %b = %v)
        -> (vector<8xf32>, vector<8xf32>) {
      %w = vector.load %x[%i, %zero] : memref<64x8xf32>, vector<8xf32>
      %c = vector.fma %w, %w, %a : vector<8xf32>
      %d = vector.fma %w, %v, %b : vector<8xf32>
      scf.yield %c, %d : vector<8xf32>, vector<8xf32>
    }
"""
NESTED = f"""
    %r, %s = scf.for %o = %zero to %tiles step %one iter_args(%e = %v, %f = %v)
        -> (vector<8xf32>, vector<8xf32>) {{
      {SUMS.replace("%r, %s", "%g, %h").replace("%a = %v, %b = %v", "%a = %e, %b = %f")}
      scf.yield %g, %h : vector<8xf32>, vector<8xf32>
    }}
"""


def many_sums(count: int) -> str:
    """As SUMS, with so many of them, of which two are used."""
    names = [f"%r{k}" for k in range(count - 2)]
    results, vectors = ", ".join(["%r", "%s", *names]), ", ".join(["vector<8xf32>"] * count)
    start = ", ".join(f"%a{k} = %v" for k in range(count))
    fmas = " ".join(f"%c{k} = vector.fma %w, %v, %a{k} : vector<8xf32>\n" for k in range(count))
    return f"""
    {results} = scf.for %i = %zero to %n step %one iter_args({start}) -> ({vectors}) {{
      %w = vector.load %x[%i, %zero] : memref<64x8xf32>, vector<8xf32>
      {fmas}
      scf.yield {", ".join(f"%c{k}" for k in range(count))} : {vectors}
    }}
"""


NO_SUMS = """
    %r = arith.mulf %v, %v : vector<8xf32>
    %s = arith.addf %v, %v : vector<8xf32>
"""


def emitted(sums: str, target: str, number: str = "6.0") -> str:
    text = TILES.replace("SUMS", sums).replace("NUMBER", number)
    func = Parser(CompileContext(), text).parse_module().body.block.first_op
    assert isinstance(func, FuncOp)
    return emit_unit([func], resolve_target(target))


CASES = pytest.mark.parametrize(
    ("sums", "target", "is_late"),
    [
        (SUMS, "x86-64-v3", True),
        (NESTED, "x86-64-v3", True),
        (NO_SUMS, "x86-64-v3", False),
        (SUMS, "x86-64-v4", False),
        (many_sums(20), "x86-64-v4", False),
        (many_sums(28), "x86-64-v4", True),
        (SUMS, "c99", False),
    ],
    ids=["sums", "nested", "none", "many registers", "enough left", "few left", "scalar"],
)


@CASES
def test_a_constant_after_sums_is_read_where_registers_are_few(
    sums: str, target: str, is_late: bool
) -> None:
    text = emitted(sums, target)
    assert ("static const volatile float tc_f32_40c00000 = 6.0f;" in text) == is_late
    # Once per tile, after the sums.
    read = re.search(r"const __m256 (\w+) = _mm256_set1_ps\(tc_f32_40c00000\);", text)
    assert (read is not None) == is_late
    if read is not None:
        after = text[read.end() :]
        assert "fmadd" not in after
        assert after.count(f"_ps({read[1]}, ") == 2


def test_zero_needs_no_memory() -> None:
    text = emitted(SUMS, "x86-64-v3", "0.0")
    assert "volatile float" not in text
    assert "_mm256_setzero_ps()" in text


@CASES
def test_a_vector_that_all_tiles_use_is_read_after_their_sums(
    sums: str, target: str, is_late: bool
) -> None:
    """Another vector for each tile leaves the compiler nothing to move."""
    text = emitted(sums, target)
    read = re.findall(r"\*\(const volatile tc_late_f32x8 \*\)(&?\w+)", text)
    assert read == (["x"] if is_late else [])
    assert text.count("__attribute__((aligned(4)))") == is_late
    if is_late:
        assert "fmadd" not in text[text.index("*(const volatile") :]
