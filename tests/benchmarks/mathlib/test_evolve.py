"""Programs as data: what evolution does to them keeps them programs."""

from __future__ import annotations

import random

import mpmath as mp
import pytest
from tilecast.codegen.mathlib.programs import OPERATORS, Program, horner, stored

from benchmarks.mathlib.evolve import changed, coefficients_of, crossed, paired, pruned
from benchmarks.mathlib.remez import Goal, fit

NUMBERS = [1.0, -0.5, 0.25, 2.0, -3.0, 0.125]


def evaluate(program: Program, x: float) -> float:
    values = {"x": x}
    result = 0.0
    for number, step in enumerate(program.steps):
        operator, *words = step.split()
        read = [values[w] if w in values else float(w) for w in words]
        if operator == "fma":
            result = read[0] * read[1] + read[2]
        else:
            result = {
                "add": lambda a, b: a + b,
                "sub": lambda a, b: a - b,
                "mul": lambda a, b: a * b,
                "div": lambda a, b: a / b,
            }[operator](*read)
        values[f"t{number}"] = result
    return result


@pytest.mark.parametrize("count", [2, 3, 4, 5, 6])
def test_both_orders_are_the_polynomial(count):
    numbers = NUMBERS[:count]
    for x in (-0.5, 0.25, 1.5):
        expected = sum(c * x**k for k, c in enumerate(numbers))
        assert evaluate(horner(numbers), x) == pytest.approx(expected)
        assert evaluate(paired(numbers), x) == pytest.approx(expected)
    assert coefficients_of(horner(numbers)) == numbers
    assert coefficients_of(paired(numbers)) in (None, numbers)


def test_steps_that_nothing_reads_vanish():
    steps = [["mul", "x", "x"], ["add", "x", "1.0"], ["mul", "t1", "t1"]]
    assert pruned(steps) == Program(("add x 1.0", "mul t0 t0"))
    assert pruned([["add", "1.0", "2.0"]]) is None


def test_changes_give_valid_programs():
    chance = random.Random(0)
    program = horner(NUMBERS)
    structures = set()
    for _ in range(300):
        child = changed(program, chance)
        if child is None:
            continue
        for number, step in enumerate(child.steps):
            operator, *words = step.split()
            assert len(words) == OPERATORS[operator]
            assert all(int(w[1:]) < number for w in words if w.startswith("t"))
        structures.add(tuple(s.split()[0] for s in child.steps))
    assert len(structures) > 3


def test_crossing_needs_one_structure():
    chance = random.Random(0)
    a, b = horner([1.0, 2.0, 3.0]), horner([4.0, 5.0, 6.0])
    child = crossed(a, b, chance)
    assert child is not None
    numbers = coefficients_of(child)
    assert numbers is not None
    assert all(c in (k, k + 3) for k, c in enumerate(numbers, start=1))
    assert crossed(a, horner([1.0, 2.0]), chance) is None


def test_remez_reaches_the_minimax_error():
    # The best line for e^x on [0, 1] is off by 0.10593 (a textbook case).
    numbers, error = fit(Goal(mp.exp, lambda x: mp.mpf(1), 0.0, 1.0), 1, "f64")
    assert error == pytest.approx(0.10593, rel=1e-3)
    assert numbers[1] == pytest.approx(mp.e - 1, rel=1e-3)


def test_every_stored_program_is_well_formed():
    for key, program in stored().items():
        assert pruned([step.split() for step in program.steps]) == program, key
