"""The scalar functions of `graph.pointwise`: one row each, with arity, result rule and meaning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

ResultRule = Literal["same", "bool"]


@dataclass(frozen=True)
class ScalarFunction:
    """A function of scalars: `result` is the operand type ("same") or i1 ("bool").

    Operands have one element type, except `where`, whose first operand is i1.
    `meaning` works on numpy arrays and propagates NaN as torch does.
    """

    name: str
    arity: int
    result: ResultRule
    meaning: Callable[..., Any]


FUNCTIONS: dict[str, ScalarFunction] = {}


def _row(name: str, arity: int, meaning: Callable[..., Any], result: ResultRule = "same") -> None:
    if name in FUNCTIONS:
        raise ValueError(f"scalar function {name!r} is registered twice")
    FUNCTIONS[name] = ScalarFunction(name, arity, result, meaning)


def _special(name: str) -> Callable[..., Any]:
    def meaning(x: Any) -> Any:
        import torch

        return getattr(torch.special, name)(torch.as_tensor(np.asarray(x))).numpy()

    return meaning


_erf = _special("erf")


def _sigmoid(x: Any) -> Any:
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


def _sign(x: Any) -> Any:
    # NaN compares false both ways, so its sign is 0, as in torch
    return (np.greater(x, 0).astype(np.int8) - np.less(x, 0).astype(np.int8)).astype(x.dtype)


def _shift_left(x: Any, y: Any) -> Any:
    bits = 8 * np.asarray(x).dtype.itemsize
    is_inside = (y >= 0) & (y < bits)
    return np.where(is_inside, np.left_shift(x, np.where(is_inside, y, 0).astype(x.dtype)), 0)


def _shift_right(x: Any, y: Any) -> Any:
    bits = 8 * np.asarray(x).dtype.itemsize
    is_inside = (y >= 0) & (y < bits)
    emptied = bits - 1 if x.dtype.kind == "i" else 0
    shifted = np.right_shift(x, np.where(is_inside, y, emptied).astype(x.dtype))
    return np.where(is_inside | (x.dtype.kind == "i"), shifted, 0)


_row("add", 2, np.add)
_row("sub", 2, np.subtract)
_row("mul", 2, np.multiply)
_row("div", 2, np.divide)  # floating point only
_row("floor_div", 2, np.floor_divide)
_row("trunc_div", 2, lambda x, y: np.trunc(np.divide(x, y)).astype(np.asarray(x).dtype))
_row("remainder", 2, np.remainder)  # sign of the divisor
_row("fmod", 2, np.fmod)  # sign of the dividend
_row("pow", 2, np.power)
_row("maximum", 2, np.maximum)
_row("minimum", 2, np.minimum)
_row("atan2", 2, np.arctan2)
_row("eq", 2, np.equal, "bool")
_row("ne", 2, np.not_equal, "bool")
_row("lt", 2, np.less, "bool")
_row("le", 2, np.less_equal, "bool")
_row("gt", 2, np.greater, "bool")
_row("ge", 2, np.greater_equal, "bool")
_row("and", 2, np.bitwise_and)
_row("or", 2, np.bitwise_or)
_row("xor", 2, np.bitwise_xor)
_row("not", 1, np.invert)
_row("shift_left", 2, _shift_left)
_row("shift_right", 2, _shift_right)
_row("where", 3, np.where)
_row("neg", 1, np.negative)
_row("abs", 1, np.abs)
_row("sign", 1, _sign)
_row("reciprocal", 1, np.reciprocal)
_row("sqrt", 1, np.sqrt)
_row("rsqrt", 1, lambda x: 1 / np.sqrt(x))
_row("exp", 1, np.exp)
_row("exp2", 1, np.exp2)
_row("expm1", 1, np.expm1)
_row("log", 1, np.log)
_row("log2", 1, np.log2)
_row("log10", 1, np.log10)
_row("log1p", 1, np.log1p)
_row("sin", 1, np.sin)
_row("cos", 1, np.cos)
_row("tan", 1, np.tan)
_row("asin", 1, np.arcsin)
_row("acos", 1, np.arccos)
_row("atan", 1, np.arctan)
_row("sinh", 1, np.sinh)
_row("cosh", 1, np.cosh)
_row("tanh", 1, np.tanh)
_row("erf", 1, _erf)
_row("sigmoid", 1, _sigmoid)
_row("floor", 1, np.floor)
_row("ceil", 1, np.ceil)
_row("copysign", 2, np.copysign)
_row("round", 1, np.rint)  # half to even
_row("trunc", 1, np.trunc)
_row("isnan", 1, np.isnan, "bool")
_row("isinf", 1, np.isinf, "bool")
_row("relu", 1, lambda x: np.maximum(x, np.asarray(x).dtype.type(0)))
_row("silu", 1, lambda x: x * _sigmoid(x))
_row("gelu", 1, lambda x: 0.5 * x * (1 + _erf(x * np.sqrt(0.5))))
_row(
    "gelu_tanh",
    1,
    lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x * x * x))),
)


# Functions of torch.special by name; torch itself is their meaning.
SPECIAL = {
    "lgamma": "gammaln",
    "digamma": "digamma",
    "erfc": "erfc",
    "erfcx": "erfcx",
    "erfinv": "erfinv",
    "ndtri": "ndtri",
    "log_ndtr": "log_ndtr",
    "bessel_j0": "bessel_j0",
    "bessel_j1": "bessel_j1",
    "bessel_y0": "bessel_y0",
    "bessel_y1": "bessel_y1",
    "i0": "i0",
    "i1": "i1",
    "i0e": "i0e",
    "i1e": "i1e",
    "modified_bessel_k0": "modified_bessel_k0",
    "modified_bessel_k1": "modified_bessel_k1",
    "scaled_modified_bessel_k0": "scaled_modified_bessel_k0",
    "scaled_modified_bessel_k1": "scaled_modified_bessel_k1",
}


for _name, _torch_name in SPECIAL.items():
    _row(_name, 1, _special(_torch_name))
