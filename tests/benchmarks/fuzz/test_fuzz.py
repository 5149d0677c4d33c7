"""A few random models and programs are right; what the fuzzer calls wrong is wrong."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[3]))

from tilecast.compiler.frontend.coverage import decompose_missing

from benchmarks.fuzz.check_models import run_choices, whole
from benchmarks.fuzz.minimize import minimized
from benchmarks.fuzz.near_ties import is_among
from benchmarks.fuzz.program_cases import ProgramCase, difference, run_cases
from benchmarks.fuzz.quick_decompositions import quick_decompositions
from benchmarks.fuzz.random_model import draw_graph
from benchmarks.fuzz.random_program import RandomProgram

FINE = {"pass", "refused", "near tie"}


def test_some_random_models_are_right() -> None:
    outcomes = run_choices([whole(seed) for seed in range(8)], "native")
    assert [o for o in outcomes if o.status not in FINE] == []
    assert Counter(o.status for o in outcomes)["pass"] >= 6


def test_remembered_decompositions_are_those_of_torch() -> None:
    """In place, and a composite operator of which torch has a decomposition."""

    class Model(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.special.xlog1py(x.clone().add_(1.0), x).relu_()

    program = torch.export.export(Model(), (torch.rand(3),))
    plain = str(decompose_missing(program).graph)
    for _ in range(2):  # the second time the operators' kernels come from memory
        with quick_decompositions():
            assert str(decompose_missing(program).graph) == plain
    assert str(decompose_missing(program).graph) == plain
    assert "add_" not in plain


def test_some_random_programs_are_right() -> None:
    outcomes = run_cases([ProgramCase(seed) for seed in range(3)])
    assert [o for o in outcomes if o.status not in FINE] == []
    assert sum(o.ran for o in outcomes) >= 10


@pytest.mark.slow
@pytest.mark.parametrize("target", ["native", "x86-64-v3", "c99"])
def test_many_random_models_are_right(target: str) -> None:
    outcomes = run_choices([whole(seed) for seed in range(100, 300)], target)
    assert [o for o in outcomes if o.status not in FINE] == []


@pytest.mark.slow
@pytest.mark.parametrize("first", range(100, 228, 16))
def test_many_random_programs_are_right(first: int) -> None:
    outcomes = run_cases([ProgramCase(seed) for seed in range(first, first + 16)])
    assert [o for o in outcomes if o.status not in FINE] == []


def test_a_seed_gives_the_same_model_and_the_same_program() -> None:
    one, other = (draw_graph(11).model(draw_graph(11).numbers) for _ in range(2))
    assert str(one[0]) == str(other[0])
    for left, right in zip(one[0](*one[1]), other[0](*other[1]), strict=True):
        torch.testing.assert_close(left, right, rtol=0, atol=0, equal_nan=True)
    assert RandomProgram(11).text() == RandomProgram(11).text()


@pytest.mark.parametrize("seed", range(20))
def test_any_steps_of_a_graph_are_a_model(seed: int) -> None:
    drawn = draw_graph(seed)
    kept = drawn.numbers[seed % 2 :: 2]
    model, inputs = drawn.model(kept)
    for k, result in zip(model.results, model(*inputs), strict=True):
        torch.testing.assert_close(result, drawn.values[k], equal_nan=True)


@pytest.mark.parametrize("seed", range(20))
def test_any_nodes_of_a_program_are_a_program(seed: int) -> None:
    program = RandomProgram(seed)
    compile(program.text(), "whole", "exec")
    compile(program.text(program.numbers()[::2]), "half", "exec")
    compile(program.text([]), "nothing", "exec")


def test_minimizing_keeps_what_fails_together() -> None:
    def fail(candidates: list[list[int]]) -> list[bool]:
        return [{3, 7} <= set(candidate) for candidate in candidates]

    assert minimized(range(20), fail) == [3, 7]
    assert minimized([3, 7], fail) == [3, 7]


def test_one_other_bit_is_a_difference() -> None:
    right = np.ones(4)
    wrong = right.copy()
    wrong[2] = np.nextafter(1.0, 2.0)
    assert difference(wrong, right, [right], exact=True) == "other bits"
    assert difference(wrong, right, [right], exact=False) == ""
    wrong[2] = 1.001
    assert "times what is allowed" in difference(wrong, right, [right], exact=False)


def test_what_rounding_explains_is_among_the_possible_results() -> None:
    reference = np.array([0.0, 1.0, 1.0])
    flipped = np.array([1.0, 1.0, 1.0])
    single = np.float32
    eager = reference.astype(single)
    assert is_among(flipped.astype(single), reference, eager, [reference, flipped], 1)
    assert not is_among(flipped.astype(single), reference, eager, [reference], 1)
    assert not is_among(np.array([2]), np.array([0]), np.array([0]), [np.array([1])], 1)
    assert is_among(np.array([2]), np.array([0]), np.array([2]), [np.array([1])], 1)
