"""The elementary functions by name, built as IR on request for a type, accuracy and width."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from xdsl.dialects.func import FuncOp
from xdsl.ir import SSAValue

from . import exponentials, inverse_trigonometric, logarithms, piecewise, powers, trigonometric
from .formula import LARGEST_TABLE, Accuracy, Element, Formula, define
from .programs import Program


@dataclass(frozen=True)
class Function:
    """How a function is written, and the types it exists for."""

    body: Callable[..., SSAValue]
    arity: int = 1
    elements: tuple[str, ...] = ("f32", "f64")


FUNCTIONS: dict[str, Function] = {
    "acos": Function(inverse_trigonometric.acos),
    "asin": Function(inverse_trigonometric.asin),
    "atan": Function(inverse_trigonometric.atan),
    "atan2": Function(inverse_trigonometric.atan2, 2),
    "cos": Function(trigonometric.cos),
    "cosh": Function(exponentials.cosh),
    "erf": Function(piecewise.erf, elements=("f32",)),
    "exp": Function(exponentials.exp),
    "exp2": Function(exponentials.exp2),
    "expm1": Function(exponentials.expm1),
    "log": Function(logarithms.log),
    "log10": Function(logarithms.log10),
    "log1p": Function(logarithms.log1p),
    "log2": Function(logarithms.log2),
    "logistic_divisor": Function(exponentials.logistic_divisor),
    "powf": Function(powers.power, 2, ("f32",)),
    "sigmoid": Function(exponentials.sigmoid),
    "sin": Function(trigonometric.sin),
    "sinh": Function(exponentials.sinh),
    "tan": Function(trigonometric.tan),
    "tanh": Function(piecewise.tanh, elements=("f32",)),
}
"""By the name of their `math` op, where there is one."""


def build_function(
    name: str,
    element: str,
    lanes: int,
    accuracy: Accuracy = 1,
    programs: Mapping[str, Program] | None = None,
    table_size: int = LARGEST_TABLE,
) -> FuncOp | None:
    """`func.func @tc_exp_f32_v16` (`@tc_exp_f32` for one lane); None where mathlib has none.

    The scalar and every vector variant compute the same numbers, for one `table_size` (8 or 16).
    `programs` replaces stored ones.
    """
    function = FUNCTIONS.get(name)
    if function is None or element not in function.elements:
        return None
    typed: Element = "f32" if element == "f32" else "f64"
    formula = Formula(lanes, typed, accuracy, programs, table_size)
    return define(name, formula, function.body, function.arity)
