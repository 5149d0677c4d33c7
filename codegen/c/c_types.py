"""C types and literals of scalar IR types.

An i1 is `bool` in a register and one byte (0 or 1) in memory; an index is `int64_t`, but see
`index_width.py`. f16 and bf16 are their bits in memory and in registers; nothing but conversions
computes with them.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import ml_dtypes
import numpy as np
from xdsl.dialects.builtin import (
    BFloat16Type,
    Float16Type,
    Float32Type,
    Float64Type,
    IndexType,
    IntegerType,
    MemRefType,
    NoneAttr,
)
from xdsl.ir import Attribute

from ...dialects.errors import LoweringError
from .expression import ATOM, UNARY, Expr, cast, integer

C_TYPES = {
    "f32": "float",
    "f64": "double",
    "f16": "uint16_t",
    "bf16": "uint16_t",
    "i1": "bool",
    "i8": "int8_t",
    "ui8": "uint8_t",
    "i16": "int16_t",
    "i32": "int32_t",
    "i64": "int64_t",
    "index": "int64_t",
}
BYTES = {
    "f32": 4,
    "f64": 8,
    "f16": 2,
    "bf16": 2,
    "i1": 1,
    "i8": 1,
    "ui8": 1,
    "i16": 2,
    "i32": 4,
    "i64": 8,
    "index": 8,
}
NARROW_FLOATS = {"f16", "bf16"}
_FLOAT_NAMES: dict[type[Attribute], str] = {
    Float32Type: "f32",
    Float64Type: "f64",
    Float16Type: "f16",
    BFloat16Type: "bf16",
}


@lru_cache(maxsize=64)  # xDSL prints types slowly
def element_name(type: Attribute) -> str:
    """f32, i8, index, ...: the key of the tables above; LoweringError for any other type."""
    if type.__class__ in _FLOAT_NAMES:
        return _FLOAT_NAMES[type.__class__]
    if isinstance(type, IndexType):
        return "index"
    if isinstance(type, IntegerType) and str(type) in C_TYPES:
        return str(type)
    raise LoweringError(f"no C type for {type}; expected one of {', '.join(C_TYPES)}")


def scalar_type(type: Attribute) -> str:
    """The C type of a scalar in a register."""
    return C_TYPES[element_name(type)]


def storage_type(type: Attribute) -> str:
    """The C type of a scalar in memory."""
    name = element_name(type)
    return "unsigned char" if name == "i1" else C_TYPES[name]


def unsigned_type(name: str) -> str:
    """The unsigned C type as wide as integer element `name`."""
    return "uint64_t" if name == "index" else f"uint{8 * BYTES[name]}_t"


def row_major_strides(type: MemRefType[Any]) -> list[int]:
    """Element strides of a row-major memref whose strides are static; LoweringError for others."""
    shape = type.get_shape()
    if not isinstance(type.layout, NoneAttr) or any(n < 0 for n in shape[1:]):
        raise LoweringError(f"expected a static row-major memref, got {type}")
    return [math.prod(shape[d + 1 :]) for d in range(len(shape))]


def float_literal(value: float, name: str) -> Expr:
    """The shortest decimal literal that reads back as the same number."""
    if math.isnan(value):
        return Expr("NAN") if name == "f32" else cast("double", Expr("NAN"))
    if math.isinf(value):
        text = "INFINITY" if name == "f32" else "(double)INFINITY"
        return Expr(text) if value > 0 else Expr(f"-{text}", UNARY)
    text = str(np.float32(value)) if name == "f32" else repr(float(value))
    if "e" not in text and "." not in text:
        text += ".0"
    suffix = "f" if name == "f32" else ""
    return Expr(text + suffix, UNARY if text.startswith("-") else ATOM)


def narrow_float_bits(value: float, name: str) -> int:
    """The bits of the f16 or bf16 nearest to `value`."""
    narrow = np.float16 if name == "f16" else ml_dtypes.bfloat16
    with np.errstate(over="ignore"):
        return int(np.array(value, np.float32).astype(narrow).view(np.uint16))


def scalar_literal(value: float | int, type: Attribute) -> Expr:
    """A literal of `type`; those of less than 32 bits are of type int as in C."""
    name = element_name(type)
    if name in ("f32", "f64"):
        return float_literal(float(value), name)
    if name in NARROW_FLOATS:
        return integer(narrow_float_bits(float(value), name))
    if name == "i1":
        return Expr("true" if value else "false")
    number = int(value)
    if name == "ui8":
        return integer(number % 256)
    if name != "index":
        width = int(name[1:])
        number = (number + (1 << (width - 1))) % (1 << width) - (1 << (width - 1))
    if name == "i32" and number == -(1 << 31):
        return Expr("INT32_MIN")
    if name == "i64" and -(1 << 31) < number < (1 << 31):
        return Expr(f"INT64_C({number})", value=number)
    return integer(number)
