"""The short programs inside of elementary functions, as data: `programs.json`.

A program is a list of steps such as "fma t0 x 0.5": an operator, then the operands, which are the
inputs (x, y), results of earlier steps (t0, t1, ...) or constants. The last step is the result.
`benchmarks.mathlib.search` finds them: polynomials to start with, and what evolution makes of them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from xdsl.ir import SSAValue

if TYPE_CHECKING:
    from .formula import Formula

OPERATORS = {"fma": 3, "mul": 2, "add": 2, "sub": 2, "div": 2}
"""Arity of every operator; fma rounds once."""
STORE = Path(__file__).with_name("programs.json")


@dataclass(frozen=True)
class Program:
    """Straight-line arithmetic on floats."""

    steps: tuple[str, ...]

    def build(self, f: Formula, inputs: Sequence[SSAValue]) -> SSAValue:
        """The program as IR; the last value."""
        values = dict(zip("xy", inputs, strict=False))
        result: SSAValue | None = None
        for number, step in enumerate(self.steps):
            operator, *operands = step.split()
            if len(operands) != OPERATORS[operator]:
                raise ValueError(f"{operator} takes {OPERATORS[operator]} operands: {step!r}")
            read = [values[o] if o in values else f.number(float(o)) for o in operands]
            result = getattr(f, operator)(*read)
            result.name_hint = "p"
            values[f"t{number}"] = result
        if result is None:
            raise ValueError("a program needs a step")
        return result


def horner(coefficients: Sequence[float]) -> Program:
    """A polynomial in x, coefficients lowest first."""
    steps = [f"fma {coefficients[-1]!r} x {coefficients[-2]!r}"]
    steps += [f"fma t{n} x {c!r}" for n, c in enumerate(reversed(coefficients[:-2]))]
    return Program(tuple(steps))


@cache
def stored() -> dict[str, Program]:
    """Every stored program by "name.type.accuracy", as in "exp.f32.1"."""
    rows = json.loads(STORE.read_text())
    return {key: Program(tuple(row["steps"])) for key, row in rows.items()}


def find_program(name: str, element: str, accuracy: int) -> Program:
    """The stored program; where there is none for 4 ULP, that for 1 ULP."""
    programs = stored()
    found = programs.get(f"{name}.{element}.{accuracy}") or programs.get(f"{name}.{element}.1")
    if found is None:
        raise KeyError(f"no program {name} for {element} within {accuracy} ULP")
    return found
