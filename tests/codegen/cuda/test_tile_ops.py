"""Tile programs besides matmul, under emulation: softmax, transposition, narrow copies."""

from __future__ import annotations

import numpy as np
import pytest
from tilecast.codegen.cuda.tile.unit import emit_unit
from tilecast.compiler.cuda.emulated import EmulatedUnit
from tilecast.dialects.reference.tile import run_program
from tilecast.dialects.tile import ops
from tilecast.dialects.tile.atoms import F16, F32
from tilecast.dialects.tile.layout_text import parse_layout
from tilecast.dialects.tile.types import PointerType
from tilecast.passes.tile.builder import ProgramBuilder
from tilecast.passes.tile.matmul import MatmulConfig, grid_map, matmul_program
from xdsl.dialects.builtin import IndexType


def softmax_program(columns: int) -> ops.ProgramOp:
    """softmax of rows of f16, a row per warp."""
    layout = parse_layout(f"spatial(4,1).local(1,{columns // 128}).spatial(1,32).local(1,4)")
    arguments = [("x", PointerType(F16)), ("y", PointerType(F16)), ("m", IndexType())]
    b = ProgramBuilder("softmax", 128, grid_map(4, 1, 1), arguments)
    m, row = b.argument("m"), b.times(b.block_index(1, "row"), 4)
    x, y = (b.view_global(name, (-1, columns), [m]) for name in "xy")
    values = b.cast(b.load(x, (row, 0), layout, "values"), F32, "wide")

    def over_row(function: str, tile):  # type: ignore[no-untyped-def]
        reduced = b.add(ops.ReduceOp(function, tile, 1), function)
        return b.broadcast(reduced, layout, 1, columns, f"row_{function}")

    shifted = b.binary("sub", values, over_row("max", values), "shifted")
    powers = b.add(ops.UnaryOp("exp", shifted), "powers")
    result = b.binary("div", powers, over_row("add", powers), "result")
    b.store(b.cast(result, F16, "rounded"), y, (row, 0))
    return b.program


def transpose_program(rows: int, columns: int) -> ops.ProgramOp:
    """Through shared memory, 32 x 32 at a time."""
    arguments = [("x", PointerType(F32)), ("y", PointerType(F32)), ("m", IndexType())]
    b = ProgramBuilder("transpose", 128, grid_map(32, -(-columns // 32), 1), arguments)
    i, j = (b.times(b.block_index(a, n), 32) for a, n in ((1, "row"), (0, "column")))
    x, y = b.view_global("x", (rows, columns), []), b.view_global("y", (columns, rows), [])
    shared = b.alloc_shared("shared", (32, 33), F32)
    layout = parse_layout("local(8,1).spatial(4,32)")
    b.store(b.load(x, (i, j), layout, "rows"), shared, (0, 0))
    b.do(ops.SyncOp())
    turned = b.load(shared, (0, 0), layout.permute((1, 0)), "columns")
    b.store(b.add(ops.TransposeOp(turned), "turned"), y, (j, i))
    return b.program


def test_softmax_of_rows() -> None:
    program = softmax_program(256)
    unit = EmulatedUnit(emit_unit([program], "test"))
    x = np.random.default_rng(0).normal(size=(7, 256)).astype(np.float16)
    found, wanted = np.zeros_like(x), np.zeros_like(x)
    unit.run("softmax", x, found, 7)
    run_program(program, [x, wanted, 7])
    np.testing.assert_allclose(found.astype(float), wanted.astype(float), rtol=2e-3, atol=1e-7)
    np.testing.assert_allclose(found.astype(float).sum(1), 1, atol=2e-3)


def test_transposition_through_shared_memory() -> None:
    program = transpose_program(50, 37)
    unit = EmulatedUnit(emit_unit([program], "test"))
    x = np.arange(50 * 37, dtype=np.float32).reshape(50, 37)
    found, wanted = np.zeros((37, 50), np.float32), np.zeros((37, 50), np.float32)
    unit.run("transpose", x, found, 50)
    run_program(program, [x, wanted, 50])
    np.testing.assert_array_equal(found, x.T)
    np.testing.assert_array_equal(wanted, x.T)


@pytest.mark.parametrize(
    ("columns", "width"),
    [(34, 4), *(pytest.param(*c, marks=pytest.mark.slow) for c in ((72, 16), (36, 8), (33, 0)))],
)
def test_copies_are_as_wide_as_rows_allow(columns: int, width: int) -> None:
    program = matmul_program("matmul", F16, (9, columns), MatmulConfig(1, 2, (1, 1, 1), 3))
    text = emit_unit([program], "test")
    kernel = text.partition("__global__")[2]
    assert (f"tc_copy_async<{width}>" in kernel) == (width > 0)
    assert ("tc_store_narrow<2>" in kernel) >= (width == 0)
    rng = np.random.default_rng(0)
    lhs, rhs = (rng.integers(-3, 4, (n, columns)).astype(np.float16) for n in (5, 9))
    result = np.zeros((5, 9), np.float16)
    unused = np.zeros(64, np.float32), np.zeros(8, np.int32)
    EmulatedUnit(text).run("matmul", lhs, rhs, result, *unused, 5)
    np.testing.assert_array_equal(result.astype(float), lhs.astype(float) @ rhs.T.astype(float))
