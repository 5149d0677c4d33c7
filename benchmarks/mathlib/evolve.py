"""Random changes of programs: constants, operands, operators, steps, and the order of a polynomial.

A program is edited as a list of steps, each a list of words; what nothing reads is removed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np
from tilecast.codegen.mathlib.programs import OPERATORS, Program

Steps = list[list[str]]
UNARY_PATHS = ("add", "mul", "sub")


def steps_of(program: Program) -> Steps:
    """The steps as words."""
    return [step.split() for step in program.steps]


def is_constant(word: str) -> bool:
    """Whether an operand is a number."""
    return not (word in "xy" or word.startswith("t"))


def pruned(steps: Steps) -> Program | None:
    """Without steps that the last one does not need; None if the input is not read at all."""
    needed: set[int] = set()
    pending = [len(steps) - 1]
    while pending:
        at = pending.pop()
        if at in needed or at < 0:
            continue
        needed.add(at)
        pending += [int(word[1:]) for word in steps[at][1:] if word.startswith("t")]
    order = sorted(needed)
    names = {f"t{old}": f"t{new}" for new, old in enumerate(order)}
    kept = [" ".join(names.get(word, word) for word in steps[at]) for at in order]
    if not any(word == "x" for step in kept for word in step.split()):
        return None
    return Program(tuple(kept))


def coefficients_of(program: Program) -> list[float] | None:
    """Lowest first, if the program is Horner's rule."""
    numbers: list[float] = []
    for at, step in enumerate(steps_of(program)):
        operator, first, x, last = step if len(step) == 4 else ["", "", "", ""]
        fits = operator == "fma" and x == "x" and is_constant(last)
        if not fits or (first != f"t{at - 1}" if at else not is_constant(first)):
            return None
        numbers += [float(first)] if at == 0 else []
        numbers.append(float(last))
    return numbers[::-1]


def paired(coefficients: Sequence[float]) -> Program:
    """Estrin's first level: Horner's rule in x^2 over pairs c0 + c1 x, of half the latency."""
    steps: Steps = [["mul", "x", "x"]]
    rows = [coefficients[k : k + 2] for k in range(0, len(coefficients), 2)]
    value = ""
    for row in reversed(rows):
        term = repr(row[0])
        if len(row) == 2:
            steps.append(["fma", repr(row[1]), "x", term])
            term = f"t{len(steps) - 1}"
        if value:
            steps.append(["fma", value, "t0", term])
            term = f"t{len(steps) - 1}"
        value = term
    program = pruned(steps)
    assert program is not None
    return program


def nudge(steps: Steps, chance: random.Random) -> Steps:
    """One constant moves by a few units in the last place."""
    places = [
        (a, b) for a, step in enumerate(steps) for b, w in enumerate(step) if b and is_constant(w)
    ]
    if places:
        a, b = chance.choice(places)
        number = np.float32(float(steps[a][b]))
        direction = np.float32(chance.choice([-np.inf, np.inf]))
        for _ in range(1 << chance.randrange(6)):
            number = np.nextafter(number, direction)
        steps[a][b] = repr(float(number))
    return steps


def rewire(steps: Steps, chance: random.Random) -> Steps:
    """One operand becomes another value."""
    a = chance.randrange(len(steps))
    b = chance.randrange(1, len(steps[a]))
    steps[a][b] = chance.choice(["x", *(f"t{k}" for k in range(a))])
    return steps


def replace(steps: Steps, chance: random.Random) -> Steps:
    """One fma becomes a sum or a product of two of its operands."""
    a = chance.randrange(len(steps))
    operator, *operands = steps[a]
    if OPERATORS[operator] == 3:
        steps[a] = [chance.choice(UNARY_PATHS), *chance.sample(operands, 2)]
    return steps


def skip(steps: Steps, chance: random.Random) -> Steps:
    """One step vanishes: its readers read one of its operands."""
    if len(steps) < 2:
        return steps
    a = chance.randrange(len(steps) - 1)
    stand_in = chance.choice(steps[a][1:])
    for step in steps[a + 1 :]:
        step[1:] = [stand_in if word == f"t{a}" else word for word in step[1:]]
    return steps


CHANGES: tuple[tuple[Callable[[Steps, random.Random], Steps], int], ...] = (
    (nudge, 12),
    (rewire, 1),
    (replace, 2),
    (skip, 2),
)
"""Every change and its weight: constants need many trials, structures few."""


def changed(program: Program, chance: random.Random) -> Program | None:
    """A program with one to three random changes."""
    steps = steps_of(program)
    changes, weights = zip(*CHANGES, strict=True)
    for change in chance.choices(changes, weights, k=chance.randint(1, 3)):
        steps = change(steps, chance)
    return pruned(steps)


def crossed(a: Program, b: Program, chance: random.Random) -> Program | None:
    """Constants of either parent, where both have one structure."""
    left, right = steps_of(a), steps_of(b)
    if [len(s) for s in left] != [len(s) for s in right]:
        return None
    for mine, other in zip(left, right, strict=True):
        for k, (word, theirs) in enumerate(zip(mine, other, strict=True)):
            if word != theirs and not (is_constant(word) and is_constant(theirs)):
                return None
            mine[k] = chance.choice([word, theirs])
    return pruned(left)
