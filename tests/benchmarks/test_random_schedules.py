"""Random schedules of the PolyBench kernels: legal ones keep the result, refused ones are wrong."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tilecast.dialects.errors import BrokenDependenceError
from tilecast.dialects.schedule import STEPS, Rewrite, parse_step
from tilecast.passes.poly.primitives import apply_steps, original_tree

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.polybench import load_all
from benchmarks.polybench.check_schedules import Tally, check_kernel, check_kernels, scop_of
from benchmarks.polybench.refusal_proofs import check_refusal, value_of

BENCHMARKS = load_all()
SOME = ("gemm", "trmm", "lu", "jacobi-2d", "fdtd-2d", "durbin", "nussinov", "gramschmidt")
TREE_STEPS = {name for name, step in STEPS.items() if not issubclass(step, Rewrite)}


def check(tally: Tally, legal: int, refused: int) -> None:
    assert tally.failures == []
    assert tally.legal == legal
    assert tally.exact > legal // 2
    assert tally.refused == refused
    assert tally.proven > 0.9 * refused


def test_random_schedules_of_some_kernels() -> None:
    tally = Tally()
    for name in SOME:
        tally.add(check_kernel(name, 8, 8, 0))
    check(tally, 64, 64)


@pytest.mark.slow
def test_two_thousand_legal_and_two_thousand_refused_schedules() -> None:
    tally = check_kernels(sorted(BENCHMARKS), 2000, 2000)
    check(tally, 2000, 2000)
    assert set(tally.steps) >= TREE_STEPS
    assert set(tally.reasons) >= {"reverses", "a sequence reverses", "carries a dependence"}
    assert set(tally.reasons) >= {"carries a reduction", "have the same place"}


@pytest.mark.parametrize(
    ("source", "sink", "axis", "reason"),
    [
        (("S0", (0, 1, 1)), ("S0", (0, 1, 2)), "S0.i1", "they differ in 'S0.i2'"),
        (("S0", (0, 1, 1)), ("S0", (0, 1, 2)), "S0.i2", "runs before"),
        (("S0", (0, 1, 1)), ("S0", (0, 5, 5)), "S0.i1", "nothing in common"),
        (("S0", (0, 1, 2)), ("S0", (0, 1, 1)), "S0.i2", "not in original order"),
        (("S0", (0, 0, 1)), ("S0", (0, 1, 1)), "S0.i1", "is no instance"),
    ],
)
def test_a_wrong_refusal_is_seen(
    source: tuple[str, tuple[int, ...]],
    sink: tuple[str, tuple[int, ...]],
    axis: str,
    reason: str,
) -> None:
    scop = scop_of(BENCHMARKS["seidel-2d"])
    error = BrokenDependenceError("", source, sink, axis)
    with pytest.raises(AssertionError, match=reason):
        check_refusal(scop, original_tree(scop), error)


def test_a_right_refusal_is_accepted() -> None:
    scop = scop_of(BENCHMARKS["seidel-2d"])
    error = BrokenDependenceError("", ("S0", (0, 1, 1)), ("S0", (0, 1, 2)), "S0.i2")
    tree = apply_steps(original_tree(scop), [parse_step("reverse(S0.i2)")])
    check_refusal(scop, tree, error)


def test_loop_values_are_evaluated_as_written() -> None:
    assert value_of("(i0) - 4*floor((i0)/4)", (-5,)) == 3
    assert value_of("2*i1 mod 3", (0, 4)) == 2
    with pytest.raises(AssertionError):
        value_of("i0/2", (3,))
