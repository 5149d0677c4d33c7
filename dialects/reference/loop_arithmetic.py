"""Arithmetic of the loops interpreter: what each op on scalars and lanes computes, in its own type.

Elementary functions (exp, ...) are the float64 result rounded once.
"""

from __future__ import annotations

import math as scalar_math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
from xdsl.dialects import arith, math, vector
from xdsl.dialects.builtin import (
    AnyFloat,
    DenseIntOrFPElementsAttr,
    FloatAttr,
    IndexType,
    IntegerAttr,
    IntegerType,
)
from xdsl.ir import Attribute, Operation
from xdsl.utils.type import get_element_type_or_self

from .. import pairs, vector_arith
from ..errors import LoweringError
from ..logistic import DivisorOp
from ..quant.ops import (
    BLOCK,
    AddOddBytesOp,
    AddPairsOp,
    DotOp,
    FieldNumberOp,
    FieldOp,
    HalfOp,
    InterleaveOp,
    LookupBytesOp,
    LookupOp,
    PairDotOp,
)
from ..vector import FnmaOp
from .number_types import FLOATS, integer_dtype

Array = npt.NDArray[Any]
Meaning = Callable[..., Any]


def dtype_of(type: Attribute) -> np.dtype[Any]:
    """The numpy type of an element type, or of the elements of a shaped type."""
    element = get_element_type_or_self(type)
    if isinstance(element, AnyFloat) and element in FLOATS:
        return FLOATS[element]
    if isinstance(element, IndexType):
        return np.dtype(np.int64)
    if isinstance(element, IntegerType):
        return integer_dtype(element)
    raise LoweringError(f"no numpy type for {type}")


MEANINGS: dict[type[Operation], Meaning] = {}
"""Op class to a function of the op and the values of its operands."""


def means(*ops: type[Operation]) -> Callable[[Meaning], Meaning]:
    """Register what `ops` compute, from the op and the values of its operands."""

    def register(meaning: Meaning) -> Meaning:
        for op in ops:
            MEANINGS[op] = meaning
        return meaning

    return register


def _elementwise(op: type[Operation], meaning: Callable[..., Any]) -> None:
    MEANINGS[op] = lambda _, *values: meaning(*values)


def _unsigned(value: Any) -> Any:
    array = np.asarray(value)
    return array if array.dtype == np.bool_ else array.view(f"u{array.dtype.name}")


def _fma(a: Any, b: Any, c: Any) -> Any:
    """a * b + c with one rounding."""
    if np.asarray(a).dtype == np.float64:
        return np.vectorize(_fma_f64, otypes=[np.float64])(a, b, c)
    x, y, z = (np.asarray(v, np.float64) for v in (a, b, c))
    product = x * y  # exact: 48 bits
    total = np.asarray(product + z)
    # The error of the sum (Knuth) tells on which side the exact value lies; rounding to odd in
    # float64 makes the second rounding, to float32, correct (Boldo and Melquiond 2008).
    back = total - product
    error = (product - (total - back)) + (z - back)
    is_even = (total.view(np.int64) & 1) == 0
    inexact = np.isfinite(total) & (error != 0) & is_even
    odd = np.nextafter(total, np.where(error > 0, np.inf, -np.inf))
    return np.where(inexact, odd, total).astype(np.float32)


def _fma_f64(a: float, b: float, c: float) -> float:
    if not all(map(scalar_math.isfinite, (a, b, c))):
        return float(np.float64(a) * np.float64(b) + np.float64(c))
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    try:
        return float(exact) if exact else a * b + c
    except OverflowError:
        return scalar_math.copysign(scalar_math.inf, exact)


def _in_float64(meaning: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *values: meaning(*(np.asarray(v, np.float64) for v in values))


_erf = np.vectorize(scalar_math.erf, otypes=[np.float64])

_elementwise(arith.AddfOp, np.add)
_elementwise(arith.SubfOp, np.subtract)
_elementwise(arith.MulfOp, np.multiply)
_elementwise(arith.DivfOp, np.divide)
_elementwise(arith.NegfOp, np.negative)
_elementwise(arith.MaxnumfOp, lambda a, b: np.where(a > b, a, b))
_elementwise(arith.MinnumfOp, lambda a, b: np.where(a < b, a, b))
_elementwise(arith.MaximumfOp, np.maximum)
_elementwise(arith.MinimumfOp, np.minimum)
_elementwise(arith.AddiOp, lambda a, b: a ^ b if np.asarray(a).dtype == bool else a + b)
_elementwise(arith.SubiOp, lambda a, b: a ^ b if np.asarray(a).dtype == bool else a - b)
_elementwise(arith.MuliOp, np.multiply)
_elementwise(arith.AndIOp, np.bitwise_and)
_elementwise(arith.OrIOp, np.bitwise_or)
_elementwise(arith.XOrIOp, np.bitwise_xor)
_elementwise(arith.ShLIOp, np.left_shift)
_elementwise(arith.ShRSIOp, np.right_shift)
_elementwise(arith.ShRUIOp, lambda a, b: np.right_shift(_unsigned(a), _unsigned(b)))
_elementwise(arith.DivSIOp, lambda a, b: _truncating(a, b))
_elementwise(arith.RemSIOp, np.fmod)
_elementwise(arith.DivUIOp, lambda a, b: _unsigned(a) // _unsigned(b))
_elementwise(arith.RemUIOp, lambda a, b: _unsigned(a) % _unsigned(b))
_elementwise(arith.FloorDivSIOp, np.floor_divide)
# -(-a // b) is wrong for the least integer, which has no negative
_elementwise(arith.CeilDivSIOp, lambda a, b: np.floor_divide(a, b) + (np.remainder(a, b) != 0))
_elementwise(arith.MinSIOp, np.minimum)
_elementwise(arith.MaxSIOp, np.maximum)
_elementwise(arith.MinUIOp, lambda a, b: np.where(_unsigned(a) < _unsigned(b), a, b))
_elementwise(arith.MaxUIOp, lambda a, b: np.where(_unsigned(a) > _unsigned(b), a, b))
_elementwise(math.AbsFOp, np.abs)
_elementwise(math.AbsIOp, np.abs)
_elementwise(math.CopySignOp, np.copysign)
_elementwise(math.FloorOp, np.floor)
_elementwise(math.CeilOp, np.ceil)
_elementwise(math.TruncOp, np.trunc)
_elementwise(math.RoundEvenOp, np.rint)
_elementwise(math.RoundOp, lambda x: np.trunc(x) + np.sign(x) * (np.abs(x - np.trunc(x)) >= 0.5))
_elementwise(math.SqrtOp, np.sqrt)
_elementwise(math.RsqrtOp, lambda x: np.asarray(x).dtype.type(1) / np.sqrt(x))
_elementwise(math.FmaOp, _fma)
_elementwise(vector.FMAOp, _fma)
_elementwise(FnmaOp, lambda a, b, c: _fma(-a, b, c))
_elementwise(math.FPowIOp, lambda a, b: np.power(np.float64(a), np.float64(b)))

for _op, _function in (
    (math.AcosOp, np.arccos),
    (math.AcoshOp, np.arccosh),
    (math.AsinOp, np.arcsin),
    (math.AsinhOp, np.arcsinh),
    (math.Atan2Op, np.arctan2),
    (math.AtanOp, np.arctan),
    (math.AtanhOp, np.arctanh),
    (math.CbrtOp, np.cbrt),
    (math.CosOp, np.cos),
    (math.CoshOp, np.cosh),
    (math.ErfOp, _erf),
    (math.Exp2Op, np.exp2),
    (math.ExpM1Op, np.expm1),
    (math.ExpOp, np.exp),
    (math.Log10Op, np.log10),
    (math.Log1pOp, np.log1p),
    (math.Log2Op, np.log2),
    (math.LogOp, np.log),
    (math.PowFOp, np.power),
    (math.SinOp, np.sin),
    (math.SinhOp, np.sinh),
    (math.TanOp, np.tan),
    (math.TanhOp, np.tanh),
):
    _elementwise(_op, _in_float64(_function))


_elementwise(DivisorOp, _in_float64(lambda x: 1.0 + np.exp(-x)))


def _truncating(a: Any, b: Any) -> Any:
    floor = np.floor_divide(a, b)
    return floor + ((floor < 0) & (floor * b != a)).astype(np.asarray(a).dtype)


_FLOAT_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "false": lambda a, b: np.zeros_like(a, bool),
    "oeq": np.equal,
    "ogt": np.greater,
    "oge": np.greater_equal,
    "olt": np.less,
    "ole": np.less_equal,
    "one": lambda a, b: (a < b) | (a > b),
    "ord": lambda a, b: ~(np.isnan(a) | np.isnan(b)),
    "ueq": lambda a, b: ~((a < b) | (a > b)),
    "ugt": lambda a, b: ~(a <= b),
    "uge": lambda a, b: ~(a < b),
    "ult": lambda a, b: ~(a >= b),
    "ule": lambda a, b: ~(a > b),
    "une": np.not_equal,
    "uno": lambda a, b: np.isnan(a) | np.isnan(b),
    "true": lambda a, b: np.ones_like(a, bool),
}
_INTEGER_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}


@means(arith.CmpfOp, vector_arith.CmpfOp)
def _compare_floats(op: arith.CmpfOp, a: Any, b: Any) -> Any:
    predicate = arith.CMPF_COMPARISON_OPERATIONS[op.predicate.value.data]
    return _FLOAT_COMPARE[predicate](a, b)


@means(arith.CmpiOp, vector_arith.CmpiOp)
def _compare_integers(op: arith.CmpiOp, a: Any, b: Any) -> Any:
    predicate = arith.CMPI_COMPARISON_OPERATIONS[op.predicate.value.data]
    if predicate.startswith("u"):
        a, b = _unsigned(a), _unsigned(b)
    elif np.asarray(a).dtype == bool:
        a, b = -np.asarray(a, np.int8), -np.asarray(b, np.int8)
    return _INTEGER_COMPARE[predicate[-2:]](a, b)


@means(arith.SelectOp, vector_arith.SelectOp)
def _select(op: Operation, condition: Any, a: Any, b: Any) -> Any:
    return np.where(condition, a, b)


@means(
    arith.IndexCastOp, arith.ExtSIOp, arith.SIToFPOp,
    vector_arith.IndexCastOp, vector_arith.ExtSIOp, vector_arith.SIToFPOp,
)  # fmt: skip
def _convert_signed(op: Operation, value: Any) -> Any:
    if np.asarray(value).dtype == bool:
        value = -np.asarray(value, np.int8)
    return np.asarray(value).astype(dtype_of(op.results[0].type))


@means(arith.ExtUIOp, arith.UIToFPOp, vector_arith.ExtUIOp, vector_arith.UIToFPOp)
def _convert_unsigned(op: Operation, value: Any) -> Any:
    return _unsigned(value).astype(dtype_of(op.results[0].type))


@means(arith.TruncIOp, vector_arith.TruncIOp)
def _truncate(op: Operation, value: Any) -> Any:
    dtype = dtype_of(op.results[0].type)
    return (np.asarray(value) & 1) != 0 if dtype.kind == "b" else np.asarray(value).astype(dtype)


@means(arith.FPToSIOp, vector_arith.FPToSIOp)
def _to_integer(op: Operation, value: Any) -> Any:
    dtype = dtype_of(op.results[0].type)
    if dtype.itemsize >= 4:
        return np.asarray(value).astype(dtype)
    whole = np.asarray(value).astype(np.int32)
    return (whole & 1) != 0 if dtype.kind == "b" else whole.astype(dtype)


@means(arith.FPToUIOp)
def _to_unsigned(op: Operation, value: Any) -> Any:
    dtype = dtype_of(op.results[0].type)
    return np.asarray(value).astype(f"u{dtype.name}").view(dtype)


@means(arith.ExtFOp, arith.TruncFOp)
def _convert_float(op: Operation, value: Any) -> Any:
    return np.asarray(value).astype(dtype_of(op.results[0].type))


@means(arith.BitcastOp, vector.BitcastOp)
def _bitcast(op: Operation, value: Any) -> Any:
    return np.asarray(value).view(dtype_of(op.results[0].type))


@means(arith.ConstantOp)
def _constant(op: arith.ConstantOp) -> Any:
    if isinstance(op.value, (FloatAttr, IntegerAttr)):
        return _wrapped(op.value.value.data, dtype_of(op.result.type))
    assert isinstance(op.value, DenseIntOrFPElementsAttr)
    dtype = dtype_of(op.result.type)
    return np.array([_wrapped(v, dtype) for v in op.value.get_values()])


def _wrapped(value: Any, dtype: np.dtype[Any]) -> Any:
    """A literal in `dtype`; integers above the signed range are bit patterns."""
    if dtype.kind == "i" and value >= 1 << (8 * dtype.itemsize - 1):
        value -= 1 << (8 * dtype.itemsize)
    return dtype.type(value)


_COMBINE: dict[str, type[Operation]] = {
    "minui": arith.MinUIOp,
    "minsi": arith.MinSIOp,
    "minnumf": arith.MinnumfOp,
    "maxui": arith.MaxUIOp,
    "maxsi": arith.MaxSIOp,
    "maxnumf": arith.MaxnumfOp,
    "and": arith.AndIOp,
    "or": arith.OrIOp,
    "xor": arith.XOrIOp,
    "maximumf": arith.MaximumfOp,
    "minimumf": arith.MinimumfOp,
}


@means(vector.ReductionOp)
def _reduce(op: vector.ReductionOp, value: Array, *acc: Any) -> Any:
    kind = str(op.kind.data)
    is_float = value.dtype.kind == "f"
    combined = _COMBINE.get(kind)
    if combined is None:
        pair = (arith.AddfOp, arith.AddiOp) if kind == "add" else (arith.MulfOp, arith.MuliOp)
        combined = pair[0] if is_float else pair[1]
    combine = MEANINGS[combined]
    while value.size > 1:
        half = value.size // 2
        value = np.asarray(combine(op, value[:half], value[half:]))
    return combine(op, acc[0], value[0]) if acc else value[0]


@means(FieldOp)
def _field(op: FieldOp, word: Any) -> Any:
    return np.bitwise_and(word, np.int32(op.mask)).astype(np.float32) + np.float32(2.0**23)


@means(FieldNumberOp)
def _field_number(op: FieldNumberOp, word: Any) -> Any:
    center = np.float32(op.center.value.data)
    return np.bitwise_and(word, np.int32(op.mask)).astype(np.float32) - center


@means(LookupOp)
def _lookup(op: LookupOp, codes: Any, *tables: Any) -> Any:
    table = np.concatenate(tables)
    return table[np.asarray(codes) % table.size]


@means(LookupBytesOp)
def _lookup_bytes(op: LookupBytesOp, codes: Any, table: Any) -> Any:
    places = _blocks(codes, np.uint8) % (4 * BLOCK)
    blocks = np.broadcast_to(_blocks(table, np.uint8), places.shape)
    found = np.take_along_axis(blocks, places, axis=1)
    return found.view(np.int32).reshape(-1)


@means(InterleaveOp)
def _interleave(op: InterleaveOp, first: Any, second: Any) -> Any:
    parts = [_blocks(value, np.dtype(f"u{op.bits.data // 8}")) for value in (first, second)]
    half = np.split(np.stack(parts, axis=-1), 2, axis=1)[op.half.data]
    return np.ascontiguousarray(half).reshape(-1).view(np.int32)


def _blocks(words: Any, dtype: Any) -> Any:
    """The parts of each block of lanes that are a `dtype`, a row per block."""
    return np.ascontiguousarray(words, np.int32).view(dtype).reshape(len(words) // BLOCK, -1)


@means(DotOp)
def _dot(op: DotOp, acc: Any, codes: Any, values: Any) -> Any:
    return byte_dot(acc, codes, values)


def byte_dot(acc: Any, codes: Any, values: Any) -> Any:
    """`acc` and the products of unsigned bytes of `codes` and signed ones of `values`, words that
    broadcast."""
    parts = _bytes(codes, np.uint8).astype(np.int32) * _bytes(values, np.int8).astype(np.int32)
    return acc + parts.sum(axis=-1, dtype=np.int32)


@means(PairDotOp)
def _byte_pair_dot(op: PairDotOp, codes: Any, values: Any, acc: Any = 0) -> Any:
    products = _bytes(codes, np.uint8).astype(np.int16) * _bytes(values, np.int8).astype(np.int16)
    sums = _bytes(acc, np.int16) + products[..., ::2] + products[..., 1::2]
    return np.ascontiguousarray(sums, np.int16).view(np.int32)[..., 0]


@means(AddPairsOp)
def _add_pairs(op: AddPairsOp, pairs: Any, acc: Any = 0) -> Any:
    sums = _bytes(pairs, np.int16).astype(np.int32).sum(axis=-1, dtype=np.int32)
    return acc + np.int32(op.factor.data) * sums


@means(AddOddBytesOp)
def _add_odd_bytes(op: AddOddBytesOp, bytes: Any, acc: Any) -> Any:
    sums = _bytes(acc, np.uint16) + _bytes(bytes, np.uint8)[..., 1::2]
    return np.ascontiguousarray(sums, np.uint16).view(np.int32)[..., 0]


def _bytes(words: Any, dtype: Any) -> Any:
    """The parts of each word that are a `dtype`, along a new last axis."""
    array = np.asarray(words, np.int32)
    return np.ascontiguousarray(array[..., None]).view(dtype)


@means(HalfOp)
def _half(op: HalfOp, bits: Any) -> Any:
    return np.asarray(bits, np.int16).view(np.float16).astype(np.float32)


@means(pairs.JoinOp)
def _join(op: pairs.JoinOp, low: Any, high: Any) -> Any:
    first, second = (np.asarray(x).view(np.uint16).astype(np.uint32) for x in (low, high))
    return np.asarray(first | second << np.uint32(16)).view(np.int32)[()]


@means(pairs.RoundOp)
def _round_pairs(op: pairs.RoundOp, first: Any, second: Any) -> Any:
    return np.concatenate([first, second]).astype(ml_dtypes.bfloat16).view(np.int32)


@means(pairs.NarrowOp)
def _narrow(op: pairs.NarrowOp, source: Any) -> Any:
    return np.asarray(source).astype(ml_dtypes.bfloat16)


@means(pairs.DotOp, pairs.DotAddOp)
def _pair_dot(op: Operation, a: Any, b: Any, *acc: Any) -> Any:
    return pair_dot(a, b, *acc)


def pair_dot(a: Any, b: Any, *acc: Any) -> Any:
    """a.low * b.low + a.high * b.high of words that broadcast, added to `acc` where it is given."""
    words = (np.asarray(x, np.int32).view(np.uint32) for x in (a, b))
    (a_low, a_high), (b_low, b_high) = map(_halves, words)
    if acc:
        return _fma(a_high, b_high, _fma(a_low, b_low, acc[0]))
    return _fma(a_high, b_high, a_low * b_low)


def _halves(words: Any) -> tuple[Any, Any]:
    """The lower and the upper bf16 of each word, as f32."""
    low = (words << np.uint32(16)).view(np.float32)
    return low, (words & np.uint32(0xFFFF0000)).view(np.float32)
