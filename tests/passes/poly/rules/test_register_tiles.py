"""Shapes of register tiles: what fits the registers, and how often the wide operand is read."""

from __future__ import annotations

import pytest
from tilecast.compiler.target import resolve_target
from tilecast.passes.poly.rules.register_tiles import RegisterTile, register_tile

TARGETS = ["x86-64-v3", "x86-64-v4", "aarch64"]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("rows", range(2, 200, 9))
@pytest.mark.parametrize("columns", [5, 24, 4096])
def test_accumulators_a_row_and_a_broadcast_fit_the_registers(target, rows, columns):
    machine = resolve_target(target)
    tile = register_tile(machine, machine.lanes(4), rows, columns)
    assert tile.rows * tile.vectors + tile.vectors + 1 <= machine.vector_registers


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("rows", range(1, 7))
def test_few_rows_are_one_tile(target, rows):
    machine = resolve_target(target)
    assert register_tile(machine, machine.lanes(4), rows, 4096).rows == rows


def test_tiles_of_many_rows():
    avx2, avx512 = resolve_target("x86-64-v3"), resolve_target("x86-64-v4")
    assert register_tile(avx2, 8, 66, 4096) == RegisterTile(6, 2)
    assert register_tile(avx512, 16, 70, 4096) == RegisterTile(14, 2)
