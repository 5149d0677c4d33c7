"""Steps of tiles in stripes: one launch, the same bits whichever block is first, no race."""

from __future__ import annotations

import numpy as np
import pytest
from tilecast.codegen.cuda.tile.unit import emit_unit
from tilecast.compiler.cuda.emulated import EmulatedUnit, EmulationError
from tilecast.dialects.quant import parse_format
from tilecast.dialects.reference.tile import run_program
from tilecast.dialects.tile.atoms import F16
from tilecast.passes.tile.lowbit_linear import linear_of
from tilecast.passes.tile.lowbit_packing import pack_weight
from tilecast.passes.tile.matmul import MatmulConfig
from tilecast.passes.tile.quantized_linear import product_program
from tilecast.passes.tile.quantized_plan import LinearPlan
from tilecast.passes.tile.stripes import Stripes

M, N, K = 19, 70, 450  # three tiles along N, two along M; 15 steps of 32
BLOCKS = 11
Arrays = list[np.ndarray]


@pytest.mark.parametrize(
    ("tiles", "steps", "most"), [(3, 4, 5), (1, 7, 4), (5, 3, 2), (6, 15, 7), (4, 4, 4), (2, 3, 6)]
)
def test_stripes_cover_every_step_once(tiles: int, steps: int, most: int) -> None:
    stripes = Stripes(tiles, steps, most)
    assert stripes.blocks <= most
    owner = [step // stripes.each for step in range(stripes.total)]
    assert max(owner) == stripes.blocks - 1
    for tile, parts in enumerate(stripes.parts):
        own = owner[tile * steps : (tile + 1) * steps]
        assert (own[0], own[-1]) == (stripes.first_of(tile), stripes.last_of(tile))
        assert parts == len(set(own))


def plan(blocks: int) -> LinearPlan:
    format, config = parse_format("u4:channel:sf32:znone"), MatmulConfig(1, 2, (1, 2, 2), 3)
    return LinearPlan(linear_of(format, (N, K), F16, config), blocks)


def arrays(plan: LinearPlan) -> tuple[Arrays, np.ndarray]:
    """Arguments of the program, and the exact result; sums of parts of it are not exact in f16."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 16, (N, K)).astype(np.uint8)
    scales = rng.uniform(0.5, 1.5, (plan.linear.tiles, plan.linear.warps.tile[1])).astype("f4")
    lhs = rng.normal(size=(M, K)).astype(np.float16)
    exact = lhs.astype(float) @ (codes.astype(float) * scales.reshape(-1)[:N, None]).T
    given = [lhs, pack_weight(codes, plan.linear), scales, np.zeros((M, N), np.float16)]
    semaphores = np.zeros(plan.linear.tiles * plan.row_tiles(M), np.int32)
    return [*given, np.full((M, N), np.nan, np.float32), semaphores], exact


RELEASE, LOCK = "tc_release(semaphores + tile, next_part", "tc_lock(semaphores + tile, part);"
CHANGES = {
    "right": ("", ""),
    "no_release": (RELEASE, f"// {RELEASE}"),
    "no_lock": (LOCK, ""),
    "too_early": (LOCK, LOCK.replace("part", "part - 1")),
}


@pytest.fixture(scope="module")
def unit() -> EmulatedUnit:
    """The program, and versions of it with planted errors under other names."""
    text = emit_unit([product_program("linear", plan(BLOCKS), M, F16, has_bias=False)], "test")
    head, start, kernel = text.partition("static __global__")
    for name, (old, new) in CHANGES.items():
        assert old in kernel
        head += start + kernel.replace(old, new).replace("linear", name)
    return EmulatedUnit(head)


def test_results_do_not_depend_on_who_is_first(unit: EmulatedUnit) -> None:
    made = plan(BLOCKS)
    stripes = made.stripes(M)
    assert stripes is not None
    assert set(stripes.parts) == {2, 3}
    wanted, exact = arrays(made)
    run_program(product_program("linear", made, M, F16, has_bias=False), wanted)
    assert (np.abs(wanted[3] - exact) <= 2e-3 * np.abs(exact) + 0.1).all()
    first = None
    for resident, seed in ((1, 0), (BLOCKS, 1), (4, 2)):
        given, _ = arrays(made)
        unit.run("right", *given, resident=resident, seed=seed)
        assert not given[5].any()  # ready for the next launch
        np.testing.assert_allclose(given[3], wanted[3], rtol=2e-3, atol=0.1)
        first = given[3] if first is None else first
        np.testing.assert_array_equal(given[3], first)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_release", "deadlock: block .* waits for a semaphore"),
        ("no_lock", "no semaphore orders them"),
        ("too_early", "deadlock|no semaphore orders them"),
    ],
)
def test_planted_errors_are_reported(unit: EmulatedUnit, name: str, message: str) -> None:
    with pytest.raises(EmulationError, match=message):
        unit.run(name, *arrays(plan(BLOCKS))[0], resident=BLOCKS, seed=1)
