"""Swizzles are permutations, and the checker finds conflicts where there are some."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tilecast.codegen.cuda.tile.conflicts import bank_conflicts
from tilecast.dialects.quant import parse_format
from tilecast.dialects.tile.atoms import E4M3, F16, F32, I8
from tilecast.dialects.tile.bank_conflicts import (
    choose_swizzle,
    conflict_degree,
    copy_conflicts,
    ldmatrix_conflicts,
)
from tilecast.dialects.tile.register_layout import LayoutError, local, spatial
from tilecast.dialects.tile.shared_layout import PLAIN, SharedLayout, Swizzle
from tilecast.dialects.tile.types import bits_of
from tilecast.passes.tile.builder import ProgramBuilder, fixed_grid
from tilecast.passes.tile.contraction_plan import FMA_TILES, MMA_TILES
from tilecast.passes.tile.fma_threads import FmaThreads
from tilecast.passes.tile.lowbit_linear import linear_of
from tilecast.passes.tile.matmul import fits, matmul_space
from tilecast.passes.tile.pipeline import Warps
from tilecast.passes.tile.quantized_linear import product_program
from tilecast.passes.tile.quantized_plan import LinearPlan, candidates, forms, operand_of

SHAPES = [(r, c) for r in (8, 16, 64, 128) for c in (16, 32, 64, 96, 128, 256)]


@pytest.mark.parametrize("shape", SHAPES)
def test_chosen_swizzles_have_no_conflicts(shape: tuple[int, int]) -> None:
    layout = SharedLayout(shape, 2, choose_swizzle(shape, 2))
    assert ldmatrix_conflicts(layout) == 1
    assert copy_conflicts(layout, 16) == 1
    index = np.indices(shape).reshape(2, -1)
    assert np.unique(layout.addresses(*index)).tolist() == list(range(0, layout.nbytes, 2))


def test_rows_of_128_bytes_conflict_without_swizzle() -> None:
    assert ldmatrix_conflicts(SharedLayout((64, 64), 2, PLAIN)) == 8
    assert ldmatrix_conflicts(SharedLayout((64, 32), 2, PLAIN)) == 4
    assert ldmatrix_conflicts(SharedLayout((64, 64), 2, Swizzle(3, 3))) == 1


def test_degrees_by_hand() -> None:
    warp = np.arange(32)
    assert conflict_degree(warp * 4, 4) == 1
    assert conflict_degree(warp * 8, 4) == 2
    assert conflict_degree(warp * 128, 4) == 32
    assert conflict_degree(warp * 0, 4) == 1  # all read one word
    assert conflict_degree(warp * 16, 16) == 1
    assert conflict_degree(warp * 32, 16) == 2
    assert conflict_degree(warp // 2 * 4, 2) == 1


def test_swizzles_that_would_leave_a_row_are_refused() -> None:
    with pytest.raises(LayoutError, match="no multiple"):
        SharedLayout((8, 16), 2, Swizzle(2, 3))
    with pytest.raises(LayoutError, match="shift >= 1"):
        Swizzle(3, 0)


@pytest.mark.parametrize("shift", range(1, 5))
def test_no_two_chunks_meet(shift: int) -> None:
    chunks = np.arange(1 << 8)
    assert sorted(Swizzle(3, shift)(chunks).tolist()) == chunks.tolist()


@pytest.mark.parametrize(
    "activation",
    [F32, E4M3, *(pytest.param(a, marks=pytest.mark.slow) for a in (F16, I8))],
    ids=str,
)
def test_quantized_products_have_no_conflicts(activation: Any) -> None:
    """Every access to shared memory, as it is emitted, for every tile of the space."""
    format = parse_format("u4:g128")
    found = forms(format, activation)
    assert found is not None
    for config in candidates(format, 64, activation, found[0]):
        linear = linear_of(format, (128, 512), operand_of(activation), config, *found)
        result = activation if activation in (F16, F32) else F32
        program = product_program("p", LinearPlan(linear), 64, result, False)
        assert {degree for _, _, degree in bank_conflicts(program)} == {1}, config


def test_planted_conflicts_are_counted() -> None:
    b = ProgramBuilder("p", 32, fixed_grid(1, 1, 1), [])
    plain = b.alloc_shared("plain", (16, 32), F32)
    b.load(plain, (0, 0), local(2, 1).spatial(8, 4).local(1, 2), "pairs")
    b.load(b.alloc_shared("wide", (32, 32), F32), (0, 0), spatial(32, 1) * local(1, 32), "rows")
    assert list(bank_conflicts(b.program)) == [
        ("plain", "tile.load_shared", 4),
        ("wide", "tile.load_shared", 8),
    ]


def test_programs_have_no_conflicts() -> None:
    """The rings of every configuration of the matmul space that fits."""
    kinds = set()
    for element in (F16, F32, I8):
        for config in matmul_space():
            if not fits(element, config):
                continue
            warps = Warps(element, config.rows, config.columns, config.repeat)
            kinds.add((element, warps.tile[2], max(warps.tile[:2])))
    for element, k, most in kinds:
        size = bits_of(element) // 8
        swizzle = choose_swizzle((most, k), size)
        for rows in (16, 64):
            layout = SharedLayout((rows, k), size, swizzle)
            assert ldmatrix_conflicts(layout) == copy_conflicts(layout, 16) == 1


@pytest.mark.parametrize("tile", MMA_TILES, ids=str)
def test_contractions_on_tensor_cores_have_no_conflicts(tile: tuple[int, int, Any]) -> None:
    """The operands of every tile of models' contractions, along K and transposed."""
    m, n, k = Warps(F16, *tile).tile
    for size in (m, n):
        for shape in ((size, k), (k, size)):
            layout = SharedLayout(shape, 2, choose_swizzle(shape, 2))
            assert ldmatrix_conflicts(layout) == copy_conflicts(layout, 16) == 1


@pytest.mark.parametrize("along", [False, True])
@pytest.mark.parametrize("tile", FMA_TILES, ids=str)
def test_contractions_in_f32_have_no_conflicts(tile: tuple[int, ...], along: bool) -> None:
    """What the threads of each warp load at once, as vectors of the neighbours that they have."""
    threads, depth = FmaThreads(*tile[:4], along, along), tile[4]
    for size, layout in zip(threads.tile, (threads.lhs, threads.rhs), strict=True):
        shape = (depth, size) if along else (size, depth)
        shared = SharedLayout(shape, 4, PLAIN if along else choose_swizzle(shape, 4))
        assert copy_conflicts(shared, 16) == 1
        table = layout.table()
        near = min(4, table.shape[1])
        while (table[:, near - 1, -1] - table[:, 0, -1] != near - 1).any():
            near //= 2
        for warp in range(0, layout.threads, 32):
            for k in range(0, layout.locals, near):
                places = table[warp : warp + 32, k]
                assert conflict_degree(shared.addresses(*places.T), 4 * near) == 1
