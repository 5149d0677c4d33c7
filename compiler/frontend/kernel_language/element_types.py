"""Element types as a user writes them: `x: f64`, `A: f64["n", "m + 1"]`, `f32(x)`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from xdsl.dialects import builtin
from xdsl.dialects.builtin import AnyFloat, IntegerType


@dataclass(frozen=True)
class ArrayType:
    """An array of `element`; extents are numbers, or texts affine in the integer parameters."""

    element: ElementType
    extents: tuple[int | str, ...]


@dataclass(frozen=True)
class ElementType:
    """A number type of the kernel language."""

    name: str
    ir: AnyFloat | IntegerType
    dtype: np.dtype[Any]

    def __getitem__(self, extents: int | str | tuple[int | str, ...]) -> ArrayType:
        return ArrayType(self, extents if isinstance(extents, tuple) else (extents,))

    def __call__(self, value: Any) -> Any:
        """Convert a number, so that a kernel runs as plain Python too."""
        return self.dtype.type(value)

    def __str__(self) -> str:
        return self.name

    @property
    def is_float(self) -> bool:
        """Whether values are floats."""
        return isinstance(self.ir, AnyFloat)


f32 = ElementType("f32", builtin.f32, np.dtype(np.float32))
f64 = ElementType("f64", builtin.f64, np.dtype(np.float64))
i8 = ElementType("i8", builtin.i8, np.dtype(np.int8))
i32 = ElementType("i32", builtin.i32, np.dtype(np.int32))
i64 = ElementType("i64", builtin.i64, np.dtype(np.int64))
ELEMENT_TYPES = (f32, f64, i8, i32, i64)
