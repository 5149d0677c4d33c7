"""Linear forms over loop variables whose ranges are known: what index expressions evaluate to."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

from xdsl.dialects.builtin import VectorType
from xdsl.ir import SSAValue


@dataclass(eq=False)
class Atom:
    """A loop variable or an opaque index value in [low, high], a multiple of `multiple`.

    `lane` marks the variable of the vector loop, whose value is the lane number; an opaque atom
    that depends on it has a vector as its value.
    """

    name: str
    low: int
    high: int
    value: SSAValue | None = None
    lane: bool = False
    multiple: int = 1

    @property
    def varies(self) -> bool:
        """Whether lanes see different values."""
        return self.lane or (self.value is not None and isinstance(self.value.type, VectorType))


@dataclass(frozen=True)
class Linear:
    """Sum of coefficient * atom, plus a constant."""

    constant: int = 0
    terms: tuple[tuple[Atom, int], ...] = ()

    def __add__(self, other: Linear) -> Linear:
        terms = dict(self.terms)
        for atom, coefficient in other.terms:
            terms[atom] = terms.get(atom, 0) + coefficient
        kept = tuple((a, c) for a, c in terms.items() if c)
        return Linear(self.constant + other.constant, kept)

    def __sub__(self, other: Linear) -> Linear:
        return self + other.times(-1)

    def times(self, factor: int) -> Linear:
        """self * factor."""
        if factor == 0:
            return Linear()
        return Linear(self.constant * factor, tuple((a, c * factor) for a, c in self.terms))

    @property
    def is_constant(self) -> bool:
        """Whether no atom occurs."""
        return not self.terms

    @property
    def low(self) -> int:
        """A lower bound."""
        return self.constant + sum(min(c * a.low, c * a.high) for a, c in self.terms)

    @property
    def high(self) -> int:
        """An upper bound."""
        return self.constant + sum(max(c * a.low, c * a.high) for a, c in self.terms)

    @property
    def varies(self) -> bool:
        """Whether lanes see different values."""
        return any(a.varies for a, _ in self.terms)

    @property
    def lane_stride(self) -> int | None:
        """The difference between neighbouring lanes; None where it is not constant."""
        if any(a.varies and not a.lane for a, _ in self.terms):
            return None
        return sum(c for a, c in self.terms if a.lane)

    def uniform_part(self) -> Linear:
        """The terms that are equal in all lanes."""
        return Linear(self.constant, tuple((a, c) for a, c in self.terms if not a.varies))

    def varying_part(self) -> Linear:
        """The other terms."""
        return Linear(0, tuple((a, c) for a, c in self.terms if a.varies))

    def without_lanes(self, divisor: int) -> Linear:
        """A form with the same quotient by `divisor`: one without lanes where no vector crosses a
        multiple of it, else `self`."""
        uniform = self.uniform_part()
        unit = gcd(divisor, *(c * a.multiple for a, c in uniform.terms))
        inside = self.varying_part() + Linear(self.constant % unit)
        if inside.low < 0 or inside.high >= unit:
            return self
        return uniform - Linear(self.constant % unit)

    def split(self, divisor: int) -> tuple[Linear, Linear]:
        """(q, r) with self == divisor * q + r, r holding the terms not divisible."""
        quotient = Linear(
            self.constant // divisor,
            tuple((a, c // divisor) for a, c in self.terms if c % divisor == 0),
        )
        rest = Linear(
            self.constant % divisor, tuple((a, c) for a, c in self.terms if c % divisor != 0)
        )
        return quotient, rest
