"""The functions that a kernel may call, by the Python object that is called."""

from __future__ import annotations

import builtins
import math as python_math
from typing import Any

import numpy as np
from xdsl.dialects import arith, math
from xdsl.ir import Operation

UNARY: dict[Any, type[Operation]] = {
    python_math.sqrt: math.SqrtOp,
    python_math.exp: math.ExpOp,
    python_math.log: math.LogOp,
    python_math.sin: math.SinOp,
    python_math.cos: math.CosOp,
    python_math.tan: math.TanOp,
    python_math.tanh: math.TanhOp,
    python_math.erf: math.ErfOp,
    python_math.fabs: math.AbsFOp,
    np.sqrt: math.SqrtOp,
    np.exp: math.ExpOp,
    np.log: math.LogOp,
    np.sin: math.SinOp,
    np.cos: math.CosOp,
    np.tan: math.TanOp,
    np.tanh: math.TanhOp,
    np.abs: math.AbsFOp,
    builtins.abs: math.AbsFOp,
}
"""Functions of one float (abs of an integer too)."""

POWERS: tuple[Any, ...] = (python_math.pow, np.power, builtins.pow)
"""Functions of a base and an exponent."""

FLOAT_EXTREMA: dict[Any, type[Operation]] = {
    builtins.max: arith.MaximumfOp,
    np.maximum: arith.MaximumfOp,
    builtins.min: arith.MinimumfOp,
    np.minimum: arith.MinimumfOp,
}
INTEGER_EXTREMA: dict[Any, type[Operation]] = {
    builtins.max: arith.MaxSIOp,
    np.maximum: arith.MaxSIOp,
    builtins.min: arith.MinSIOp,
    np.minimum: arith.MinSIOp,
}
EMPTY: tuple[Any, ...] = (np.empty, np.zeros)
"""Functions that make a local array."""


def function_names() -> str:
    """The names of all functions, for error messages."""
    names = {f.__name__ for f in (*UNARY, *POWERS, *FLOAT_EXTREMA)}
    return ", ".join(sorted(names))


def lookup(table: dict[Any, type[Operation]], function: Any) -> type[Operation] | None:
    """The entry of `function`; None where it is no key (or not hashable)."""
    return next((op for key, op in table.items() if key is function), None)
