"""matrix-products: register tiles of pairs become matrix.matmul, and their sums stay."""

from __future__ import annotations

from dataclasses import replace

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tilecast.costmodel.hardware import Machine
from tilecast.dialects.matrix import MatmulOp
from tilecast.dialects.pairs import DotAddOp
from tilecast.dialects.reference.loops import run_kernel
from tilecast.passes.context import CompileContext
from tilecast.passes.loops.matrix_products import MatrixProductsPass
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.parser import Parser

V4 = Machine("x86-64-v4", "avx512", vector_bytes=64, vector_registers=32)
AMX = replace(V4, features=("amx_bf16", "amx_tile"))


def tile(
    rows: int, vectors: int, steps: int, zero: bool = True, distance: int = 1, gap: int = 16
) -> ModuleOp:
    """A register tile over rows 2, 2 + distance, ... of `x`, and columns `gap` apart of `w`."""
    height, width = 3 + distance * rows, gap * vectors
    sums = [(r, v) for r in range(rows) for v in range(vectors)]
    names = [f"{r}_{v}" for r, v in sums]
    of_sums = ", ".join(["vector<16xf32>"] * len(sums))
    head = "".join(
        f"%r{r} = arith.constant {distance * r} : index\n%at{r} = arith.addi %c2, %r{r} : index\n"
        f"%x{r} = memref.load %x[%at{r}, %k] : memref<{height}x{steps}xi32>\n"
        f"%b{r} = vector.broadcast %x{r} : i32 to vector<16xi32>\n"
        for r in range(rows)
    ) + "".join(
        f"%v{v} = arith.constant {gap * v} : index\n"
        f"%w{v} = vector.load %w[%k, %v{v}] : memref<{steps}x{width}xi32>, vector<16xi32>\n"
        for v in range(vectors)
    )
    dots = "".join(
        f'%s{r}_{v} = "pair.dot_add"(%b{r}, %w{v}, %a{r}_{v})'
        ": (vector<16xi32>, vector<16xi32>, vector<16xf32>) -> vector<16xf32>\n"
        for r, v in sums
    )
    starts = "".join(
        f"%o{name} = arith.constant {16 * k} : index\n"
        f"%i{name} = "
        + (
            "vector.broadcast %z : f32 to vector<16xf32>\n"
            if zero
            else f"vector.load %out[%o{name}] : memref<{16 * len(sums)}xf32>, vector<16xf32>\n"
        )
        for k, name in enumerate(names)
    )
    ends = "".join(
        f"vector.store %t{name}, %out[%o{name}] : memref<{16 * len(sums)}xf32>, vector<16xf32>\n"
        for name in names
    )
    carried = ", ".join(f"%a{name} = %i{name}" for name in names)
    text = f"""
func.func @k(%x: memref<{height}x{steps}xi32>, %w: memref<{steps}x{width}xi32>,
             %out: memref<{16 * len(sums)}xf32>) {{
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %n = arith.constant {steps} : index
  %z = arith.constant 0.0 : f32
  {starts}
  {", ".join(f"%t{name}" for name in names)} = scf.for %k = %c0 to %n step %c1
      iter_args({carried}) -> ({of_sums}) {{
    {head}
    {dots}
    scf.yield {", ".join(f"%s{name}" for name in names)} : {of_sums}
  }}
  {ends}
  func.return
}}"""
    module = Parser(CompileContext(), text).parse_module()
    module.verify()
    return module


def applied(module: ModuleOp, machine: Machine = AMX) -> tuple[int, int]:
    """(matrix products, products of vectors) after the pass."""
    MatrixProductsPass().apply(CompileContext(machine=machine), module)
    module.verify()
    kinds = [type(op) for op in module.walk()]
    return kinds.count(MatmulOp), kinds.count(DotAddOp)


def run(module: ModuleOp) -> bytes:
    """The sums for small numbers, which no order of sums rounds."""
    (func,) = module.ops
    assert isinstance(func, FuncOp)
    rng = np.random.default_rng(0)
    arrays = []
    for argument in func.body.block.args[:2]:
        shape = argument.type.get_shape()
        numbers = rng.integers(-9, 10, (*shape, 2)).astype(ml_dtypes.bfloat16)
        arrays.append(np.ascontiguousarray(numbers.view(np.int32).reshape(shape)))
    (size,) = func.body.block.args[2].type.get_shape()
    out = rng.integers(-99, 99, size).astype(np.float32)
    run_kernel(func, [*arrays, out])
    return out.tobytes()


@settings(max_examples=12)
@given(
    st.sampled_from([(4, 4), (7, 1), (16, 3), (20, 2), (32, 2)]),
    st.sampled_from([16, 17, 40, 48]),
    st.booleans(),
    st.integers(1, 3),
)
def test_sums_are_the_same(shape: tuple[int, int], steps: int, zero: bool, distance: int) -> None:
    rows, vectors = shape
    before, after = (tile(rows, vectors, steps, zero, distance) for _ in range(2))
    left = rows * vectors if steps % 16 else 0  # the loop over steps that fill no tile
    assert applied(after) == (1, left)
    assert run(before) == run(after)


@pytest.mark.parametrize(
    "arguments",
    [
        {"rows": 3, "vectors": 2},  # loading the other operand takes longer
        {"rows": 20, "vectors": 3},  # six tiles of sums
        {"rows": 8, "vectors": 2, "steps": 15},
        {"rows": 8, "vectors": 2, "gap": 20},  # columns that lie apart
    ],
)
def test_other_tiles_stay(arguments: dict[str, int]) -> None:
    module = tile(**{"steps": 16, **arguments})
    text = str(module)
    applied(module)
    assert str(module) == text


def test_machines_without_the_unit_keep_their_loops() -> None:
    module = tile(8, 2, 16)
    text = str(module)
    applied(module, V4)
    assert str(module) == text


def test_rows_at_different_distances_stay() -> None:
    text = str(tile(8, 2, 16)).replace("arith.constant 7 :", "arith.constant 8 :")
    module = Parser(CompileContext(), text).parse_module()
    assert applied(module) == (0, 16)
