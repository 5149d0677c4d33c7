"""Steps of tiles in stripes: one launch, the same bits whichever block is first, no race."""

from __future__ import annotations

import numpy as np
import pytest
from tilecast.codegen.cuda.tile.unit import emit_unit
from tilecast.compiler.cuda.emulated import EmulatedUnit, EmulationError
from tilecast.dialects.quant import IntegerElement, parse_format
from tilecast.dialects.reference.tile import dtype_of, run_program
from tilecast.dialects.tile.atoms import F16, F32, I8
from tilecast.dialects.tile.weight_pack import WeightPackAttr
from tilecast.passes.tile.lowbit_linear import linear_of
from tilecast.passes.tile.lowbit_packing import pack_part, pack_weight
from tilecast.passes.tile.matmul import MatmulConfig
from tilecast.passes.tile.quantized_linear import product_program
from tilecast.passes.tile.quantized_plan import LinearPlan, candidates, forms, operand_of
from tilecast.passes.tile.stripes import Stripes

from .test_lowbit_matmul import ALL, GROUPED, random_weight

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


@pytest.mark.slow
@pytest.mark.parametrize("activation", [F16, F32], ids=str)
@pytest.mark.parametrize("spelling", [*ALL, *GROUPED])
def test_every_format_in_stripes(spelling: str, activation) -> None:  # type: ignore[no-untyped-def]
    """M = 1, 16 and 64 under emulation; integers times small integers are exact."""
    n, k = 43, 330
    tensor = random_weight(spelling, n, k)
    form, format = forms(tensor.format, activation), tensor.format
    if form is None:
        pytest.skip("no tile program has this format")
    operand = operand_of(activation)
    config = next(
        c
        for c in candidates(format, 64, activation, form[0])
        if -(-k // (c.repeat[2] * 16)) >= 3 and c.repeat[0] == 1
    )
    linear = linear_of(format, (n, k), operand, config, *form)
    made = LinearPlan(linear, 2 * linear.tiles + 1)
    stored = [("codes", tensor.codes, I8), ("scales", tensor.scales, F32)]
    if tensor.zeros is not None:
        stored.append(("zeros", tensor.zeros, linear.zero_element))
    weight = [
        pack_part(
            array,
            WeightPackAttr.of(
                part, spelling, (n, k), operand, config.columns, config.repeat[1:], element
            ),
        )
        for part, array, element in stored
    ]
    if linear.has_table:
        weight.append(tensor.levels)
    programs = {m: product_program(f"rows{m}", made, m, activation, False) for m in (1, 16, 64)}
    unit = EmulatedUnit(emit_unit(list(programs.values()), spelling))
    dtype, numbers = dtype_of(activation), tensor.dequantize(np.float64)
    for m in programs:
        lhs = np.random.default_rng(m).integers(-2, 3, (m, k)).astype(dtype)
        stripes = made.stripes(m)
        assert stripes is not None
        semaphores, sums = np.zeros(stripes.tiles, np.int32), np.full((m, n), np.nan, np.float32)
        result = np.zeros((m, n), dtype)
        unit.run(f"rows{m}", lhs, *weight, result, sums, semaphores, resident=4, seed=m)
        assert not semaphores.any()
        exact = lhs.astype(np.float64) @ numbers.T
        if isinstance(format.element, IntegerElement) and activation == F32:
            np.testing.assert_array_equal(result, exact.astype(dtype))
        # k sums in f32 round independently, then the result once
        rounding = np.sqrt(k) * np.finfo(np.float32).eps + float(np.finfo(dtype).eps)
        bound = (np.abs(lhs.astype(float)) @ np.abs(numbers).T) * rounding
        assert (np.abs(result - exact) <= bound + 1e-6).all()
