"""Element types of quantized weights: what number each code of 1 to 8 bits stands for.

One class per family. Integers are an affine function of the code, so kernels need no table for
them; floats and codebooks are given by the list of their values, `levels`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Variant = Literal["finite", "fn", "ieee"]


@dataclass(frozen=True)
class IntegerElement:
    """`step * code + offset`: unsigned, signed (in offset binary), bipolar and ternary numbers.

    `codes` is the number of codes in use; `is_symmetric` leaves out the most negative number.
    """

    name: str
    width: int
    codes: int
    step: int
    offset: int
    is_symmetric: bool = False

    @property
    def levels(self) -> Floats:
        """The value of every code of `width` bits."""
        return (self.step * np.arange(2**self.width) + self.offset).astype(np.float32)

    @property
    def zero_code(self) -> float:
        """The code, not always a whole one, that stands for zero."""
        return -self.offset / self.step

    @property
    def usable(self) -> Floats:
        """The values that a quantizer may choose from, ascending."""
        values = self.levels[: self.codes]
        return values[1:] if self.is_symmetric and values.size > 1 else values


@dataclass(frozen=True)
class FloatElement:
    """Sign, `exponent` and `mantissa` bits, with subnormals, bias 2^(exponent-1) - 1.

    `variant` as in ml_dtypes: "finite" has numbers only, "fn" a NaN where all bits are set and no
    infinity, "ieee" infinities and NaN in the largest exponent.
    """

    name: str
    exponent: int
    mantissa: int
    variant: Variant

    @property
    def width(self) -> int:
        """Bits of a code."""
        return 1 + self.exponent + self.mantissa

    @property
    def bias(self) -> int:
        """What is subtracted from the exponent field."""
        return (1 << self.exponent - 1) - 1

    def as_finite(self) -> FloatElement:
        """The same type, codes of infinities and NaN being further numbers."""
        return FloatElement(
            f"e{self.exponent}m{self.mantissa}finite", self.exponent, self.mantissa, "finite"
        )

    @property
    def first_special(self) -> int:
        """The smallest magnitude (code without sign) that is an infinity or NaN."""
        top = 1 << self.exponent + self.mantissa
        return {"finite": top, "fn": top - 1, "ieee": top - (1 << self.mantissa)}[self.variant]

    @property
    def levels(self) -> Floats:
        """The value of every code; the upper half has the sign set."""
        magnitude = np.arange(2 ** (self.width - 1))
        field, fraction = magnitude >> self.mantissa, magnitude & (2**self.mantissa - 1)
        hidden = np.where(field > 0, 2**self.mantissa, 0)
        exponent = np.maximum(field, 1) - self.bias - self.mantissa
        values = np.ldexp((hidden + fraction).astype(np.float64), exponent)
        if self.variant == "ieee":
            values[self.first_special] = np.inf
        is_nan = magnitude >= self.first_special + (self.variant == "ieee")
        values = np.where(is_nan, np.nan, values)
        return np.concatenate([values, -values]).astype(np.float32)

    @property
    def usable(self) -> Floats:
        """The finite values, ascending, zero once."""
        levels = self.levels
        return np.unique(levels[np.isfinite(levels)] + np.float32(0))


@dataclass(frozen=True)
class CodebookElement:
    """A list of values, ascending; `values` is empty where it is fitted to each tensor."""

    name: str
    width: int
    values: tuple[float, ...] = ()

    @property
    def is_fitted(self) -> bool:
        """Whether every tensor has values of its own."""
        return not self.values

    @property
    def levels(self) -> Floats:
        """The value of every code."""
        return np.array(self.values, np.float32)

    @property
    def usable(self) -> Floats:
        """The values that a quantizer may choose from."""
        return self.levels


Element = IntegerElement | FloatElement | CodebookElement
