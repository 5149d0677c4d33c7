"""The elementary functions by name and element type, built as IR on request."""

from __future__ import annotations

from collections.abc import Callable

from xdsl.dialects.func import FuncOp
from xdsl.ir import SSAValue

from . import exponentials, logarithms
from .error_function import erf
from .formula import Formula, define

FUNCTIONS: dict[str, Callable[[Formula, SSAValue], SSAValue]] = {
    "erf": erf,
    "exp": exponentials.exp,
    "exp2": exponentials.exp2,
    "expm1": exponentials.expm1,
    "log": logarithms.log,
    "log10": logarithms.log10,
    "log1p": logarithms.log1p,
    "log2": logarithms.log2,
    "tanh": exponentials.tanh,
}
"""f32 functions of one argument, by the name of their `math` op."""

MAX_ULP = {
    "erf": 1.0,
    "exp": 1.1,
    "exp2": 1.0,
    "expm1": 1.6,
    "log": 1.0,
    "log10": 1.0,
    "log1p": 1.5,
    "log2": 1.0,
    "tanh": 2.6,
}
"""Bounds on the error in units in the last place, checked over all 2^32 inputs by a slow test."""


def build_function(name: str, element: str, lanes: int) -> FuncOp | None:
    """`func.func @tc_exp_f32_v16` (`@tc_exp_f32` for one lane); None where mathlib has none.

    The scalar and every vector variant compute the same numbers.
    """
    formula = FUNCTIONS.get(name)
    if formula is None or element != "f32":
        return None
    return define(name, lanes, formula)
