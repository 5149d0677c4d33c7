"""Which numpy type stands for an element type when a program is evaluated."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import (
    AnyFloat,
    FloatAttr,
    IndexType,
    IntegerAttr,
    IntegerType,
    bf16,
    f16,
    f32,
    f64,
)
from xdsl.ir import Attribute

from ..errors import LoweringError
from ..integers import is_unsigned

FloatType = npt.DTypeLike | None
"""One type in which every float is computed; None for the type that each float has."""

FLOATS: dict[Attribute, np.dtype[Any]] = {
    f64: np.dtype(np.float64),
    f32: np.dtype(np.float32),
    f16: np.dtype(np.float16),
    bf16: np.dtype(ml_dtypes.bfloat16),
}
NARROW = (FLOATS[f16], FLOATS[bf16])
"""Types that values are stored in, and that nothing is computed in."""


def is_float_type(dtype: np.dtype[Any]) -> bool:
    """Whether `dtype` holds floating point numbers (numpy's kind of bfloat16 is "V")."""
    return dtype.kind == "f" or dtype in NARROW


def widened(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """`array` in the type it is computed in: float32 for narrow floats."""
    return array.astype(np.float32) if array.dtype in NARROW else array


def integer_dtype(element: IntegerType) -> np.dtype[Any]:
    """bool for i1, else the numpy integer of the same width and sign."""
    width = element.width.data
    if width == 1:
        return np.dtype(np.bool_)
    return np.dtype(f"{'uint' if is_unsigned(element) else 'int'}{width}")


def numpy_type(element: Attribute, float_type: FloatType) -> np.dtype[Any]:
    """bool for i1, int64 for index, the exact width for integers, `float_type` for floats."""
    if isinstance(element, AnyFloat):
        return FLOATS[element] if float_type is None else np.dtype(float_type)
    if isinstance(element, IndexType):
        return np.dtype(np.int64)
    if isinstance(element, IntegerType):
        return integer_dtype(element)
    raise LoweringError(f"no numpy type stands for {element}")


def number_of(attribute: Attribute, element: Attribute, float_type: FloatType) -> Any:
    """The numpy scalar that a FloatAttr or IntegerAttr holds."""
    assert isinstance(attribute, FloatAttr | IntegerAttr)
    return numpy_type(element, float_type).type(attribute.value.data)
