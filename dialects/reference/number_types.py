"""Which numpy type stands for an element type when a program is evaluated."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import AnyFloat, FloatAttr, IndexType, IntegerAttr, IntegerType
from xdsl.ir import Attribute

from ..errors import LoweringError

FloatType = npt.DTypeLike


def numpy_type(element: Attribute, float_type: FloatType) -> np.dtype[Any]:
    """bool for i1, int64 for index, the exact width for integers, `float_type` for every float."""
    if isinstance(element, AnyFloat):
        return np.dtype(float_type)
    if isinstance(element, IndexType):
        return np.dtype(np.int64)
    if isinstance(element, IntegerType):
        width = element.width.data
        return np.dtype(np.bool_) if width == 1 else np.dtype(f"i{width // 8}")
    raise LoweringError(f"no numpy type stands for {element}")


def number_of(attribute: Attribute, element: Attribute, float_type: FloatType) -> Any:
    """The numpy scalar that a FloatAttr or IntegerAttr holds."""
    assert isinstance(attribute, FloatAttr | IntegerAttr)
    return numpy_type(element, float_type).type(attribute.value.data)
