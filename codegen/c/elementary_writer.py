"""How C writes the steps of elementary functions: on scalars, and on the registers of a shape."""

from __future__ import annotations

from dataclasses import dataclass

from .c_types import C_TYPES
from .prelude import Prelude
from .vector_types import VectorShape


@dataclass(frozen=True)
class FloatLayout:
    """The bits of a type: stored bits of the significand, its exponent bias, smallest normal."""

    mantissa: int
    bias: int
    smallest: str

    @property
    def rounder(self) -> int:
        """Bits of 2^mantissa, in which a small whole number is the low bits."""
        return (self.mantissa + self.bias) << self.mantissa

    @property
    def three_quarters(self) -> int:
        """Bits of 0.75."""
        return ((self.bias - 1) << self.mantissa) + (1 << (self.mantissa - 1))


LAYOUTS = {
    "f32": FloatLayout(23, 127, "1.17549435e-38f"),
    "f64": FloatLayout(52, 1023, "2.2250738585072014e-308"),
}


class Writer:
    """How C writes float operations on scalars or on the registers of one shape."""

    def __init__(self, prelude: Prelude, element: str, shape: VectorShape | None) -> None:
        self.prelude, self.element, self.shape = prelude, element, shape
        self.float_type = shape.c_type if shape else C_TYPES[element]
        self.width = 32 if element == "f32" else 64
        self.int_type = f"__m{shape.bits}i" if shape else f"int{self.width}_t"
        self.suffix = shape.name if shape else element

    def real(self, number: str) -> str:
        """A float constant."""
        if self.shape is None:
            return number
        return f"{self.shape.prefix}_set1_{self.shape.suffix}({number})"

    def whole(self, number: int) -> str:
        """An integer constant."""
        text = f"INT64_C({number})" if self.width == 64 else str(number)
        if self.shape is None:
            return text
        wide = "epi64x" if self.width == 64 and self.shape.bits < 512 else f"epi{self.width}"
        return f"{self.shape.prefix}_set1_{wide}({text})"

    def binary(self, name: str, sign: str, a: str, b: str) -> str:
        """A float operation."""
        if self.shape is None:
            return f"({a} {sign} {b})"
        return f"{self.shape.prefix}_{name}_{self.shape.suffix}({a}, {b})"

    def int_binary(self, name: str, sign: str, a: str, b: str) -> str:
        """A wrapping integer operation."""
        if self.shape is None:
            unsigned = f"u{self.int_type}"
            return f"({self.int_type})(({unsigned})({a}) {sign} ({unsigned})({b}))"
        whole = self.shape.whole if name in ("and", "or") else f"epi{self.width}"
        return f"{self.shape.prefix}_{name}_{whole}({a}, {b})"

    def shift(self, name: str, sign: str, a: str, count: int) -> str:
        """A logical shift by a constant."""
        if self.shape is None:
            return f"({self.int_type})((u{self.int_type})({a}) {sign} {count})"
        return f"{self.shape.prefix}_{name}_epi{self.width}({a}, {count})"

    def bits(self, a: str) -> str:
        """Reinterpret as integer."""
        return self._reinterpret(a, C_TYPES[self.element], f"i{self.width}", True)

    def number(self, a: str) -> str:
        """Reinterpret as float."""
        return self._reinterpret(a, C_TYPES[self.element], f"i{self.width}", False)

    def _reinterpret(self, a: str, ctype: str, integer_name: str, to_int: bool) -> str:
        if self.shape is not None:
            names = [self.shape.suffix, self.shape.whole]
            source, target = names if to_int else reversed(names)
            return f"{self.shape.prefix}_cast{source}_{target}({a})"
        self.prelude.include("<string.h>")
        elements = [self.element, integer_name]
        types = [ctype, self.int_type]
        if not to_int:
            elements.reverse()
            types.reverse()
        name = f"tc_bits_{elements[0]}_{elements[1]}"
        self.prelude.define(
            name,
            lambda: (
                f"static inline {types[1]} {name}({types[0]} x)\n{{\n    {types[1]} y;\n"
                f"    memcpy(&y, &x, sizeof y);\n    return y;\n}}\n"
            ),
        )
        return f"{name}({a})"

    def choose(self, predicate: str, sign: str, a: str, b: str, yes: str, no: str) -> str:
        """yes where a `predicate` b, else no."""
        if self.shape is None:
            return f"({a} {sign} {b} ? {yes} : {no})"
        p, s = self.shape.prefix, self.shape.suffix
        return f"{p}_blendv_{s}({no}, {yes}, {p}_cmp_{s}({a}, {b}, _CMP_{predicate}_OQ))"
