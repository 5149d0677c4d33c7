"""The numpy meaning of the arith and math ops in the bodies of linalg.generic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from xdsl.dialects import arith, math
from xdsl.ir import Operation

from ..scalar import FUNCTIONS

Array = npt.NDArray[Any]


def _truncating_divide(a: Array, b: Array) -> Array:
    quotient = np.floor_divide(a, b)
    inexact = np.not_equal(quotient * b, a)
    return np.where(inexact & ((a < 0) != (b < 0)), quotient + 1, quotient).astype(a.dtype)


def _float_to_integer(x: Array, width: type[np.generic]) -> Array:
    return np.trunc(x).astype(width)


def _split(x: Array) -> tuple[Array, Array]:
    """Veltkamp: x as a sum of two halves whose products are exact."""
    big = x * 134217729.0  # 2 ** 27 + 1
    high = big - (big - x)
    return high, x - high


def _fused_multiply_add(a: Array, b: Array, c: Array) -> Array:
    """a * b + c with the error of the product and of the sum carried along (Dekker, Knuth)."""
    if a.dtype != np.float64:
        return np.asarray(a.astype(np.float64) * b + c).astype(a.dtype)
    with np.errstate(all="ignore"):
        return _error_carrying_fma(a, b, c)


def _error_carrying_fma(a: Array, b: Array, c: Array) -> Array:
    product = a * b
    (a1, a2), (b1, b2) = _split(a), _split(b)
    product_error = ((a1 * b1 - product) + a1 * b2 + a2 * b1) + a2 * b2
    total = product + c
    back = total - product
    total_error = (product - (total - back)) + (c - back)
    exact = total + (total_error + product_error)
    return np.where(np.isfinite(exact), exact, total)


SAME_TYPE: dict[type[Operation], Callable[..., Any]] = {
    arith.AddfOp: np.add,
    arith.SubfOp: np.subtract,
    arith.MulfOp: np.multiply,
    arith.DivfOp: np.divide,
    arith.NegfOp: np.negative,
    arith.MaximumfOp: np.maximum,
    arith.MinimumfOp: np.minimum,
    arith.MaxnumfOp: np.fmax,
    arith.MinnumfOp: np.fmin,
    arith.AddiOp: np.add,
    arith.SubiOp: np.subtract,
    arith.MuliOp: np.multiply,
    arith.DivSIOp: _truncating_divide,
    arith.FloorDivSIOp: np.floor_divide,
    arith.RemSIOp: np.fmod,
    arith.MaxSIOp: np.maximum,
    arith.MinSIOp: np.minimum,
    arith.AndIOp: np.bitwise_and,
    arith.OrIOp: np.bitwise_or,
    arith.XOrIOp: np.bitwise_xor,
    arith.ShLIOp: np.left_shift,
    arith.ShRSIOp: np.right_shift,
    arith.SelectOp: np.where,
    math.AbsFOp: np.abs,
    math.SqrtOp: np.sqrt,
    math.RsqrtOp: lambda x: 1 / np.sqrt(x),
    math.ExpOp: np.exp,
    math.Exp2Op: np.exp2,
    math.ExpM1Op: np.expm1,
    math.LogOp: np.log,
    math.Log2Op: np.log2,
    math.Log10Op: np.log10,
    math.Log1pOp: np.log1p,
    math.SinOp: np.sin,
    math.CosOp: np.cos,
    math.TanOp: np.tan,
    math.AsinOp: np.arcsin,
    math.AcosOp: np.arccos,
    math.AtanOp: np.arctan,
    math.Atan2Op: np.arctan2,
    math.SinhOp: np.sinh,
    math.CoshOp: np.cosh,
    math.TanhOp: np.tanh,
    math.ErfOp: lambda x: FUNCTIONS["erf"].meaning(np.array(x)),
    math.PowFOp: np.power,
    math.IPowIOp: np.power,
    math.FloorOp: np.floor,
    math.CeilOp: np.ceil,
    math.RoundEvenOp: np.rint,
    math.TruncOp: np.trunc,
    math.FmaOp: _fused_multiply_add,
    math.CopySignOp: np.copysign,
}
"""Ops whose result has the type of their last operand."""

CONVERSIONS: dict[type[Operation], Callable[[Array, Any], Any]] = {
    arith.SIToFPOp: lambda x, dtype: x.astype(dtype),
    arith.UIToFPOp: lambda x, dtype: x.astype(dtype),
    arith.ExtFOp: lambda x, dtype: x.astype(dtype),
    arith.TruncFOp: lambda x, dtype: x.astype(dtype),
    arith.FPToSIOp: _float_to_integer,
    arith.ExtSIOp: lambda x, dtype: x.astype(dtype),
    arith.ExtUIOp: lambda x, dtype: x.astype(dtype),
    arith.TruncIOp: lambda x, dtype: x.astype(dtype),
    arith.IndexCastOp: lambda x, dtype: x.astype(dtype),
}
"""Ops that take a value to the numpy type of their result."""

REDUCTIONS: dict[type[Operation], np.ufunc] = {
    arith.AddfOp: np.add,
    arith.MulfOp: np.multiply,
    arith.MaximumfOp: np.maximum,
    arith.MinimumfOp: np.minimum,
    arith.AddiOp: np.add,
    arith.MuliOp: np.multiply,
    arith.MaxSIOp: np.maximum,
    arith.MinSIOp: np.minimum,
    arith.AndIOp: np.bitwise_and,
    arith.OrIOp: np.bitwise_or,
}
"""Associative ops that may be applied along an axis at once."""

_SIGNED: dict[int, Callable[..., Any]] = {
    0: np.equal,
    1: np.not_equal,
    2: np.less,
    3: np.less_equal,
    4: np.greater,
    5: np.greater_equal,
}


def compare_integers(predicate: int, a: Array, b: Array) -> Any:
    """arith.cmpi: predicates 0..5 are signed, 6..9 the unsigned lt, le, gt, ge."""
    if predicate <= 5:
        return _SIGNED[predicate](a, b)
    if a.dtype == np.bool_:
        return _SIGNED[predicate - 4](a, b)
    unsigned = np.dtype(f"u{a.dtype.itemsize}")
    return _SIGNED[predicate - 4](a.astype(unsigned), b.astype(unsigned))


_ORDERED: dict[int, Callable[..., Any]] = {
    1: np.equal,
    2: np.greater,
    3: np.greater_equal,
    4: np.less,
    5: np.less_equal,
    6: np.not_equal,
}


def compare_floats(predicate: int, a: Array, b: Array) -> Any:
    """arith.cmpf: 1..6 oeq ogt oge olt ole one, 7 ord, 8..13 their unordered forms, 14 uno."""
    unordered = np.isnan(a) | np.isnan(b)
    if predicate in (0, 15):
        return np.full(unordered.shape, predicate == 15)
    if predicate in (7, 14):
        return unordered if predicate == 14 else ~unordered
    if predicate < 7:
        return _ORDERED[predicate](a, b) & ~unordered
    return _ORDERED[predicate - 7](a, b) | unordered
