"""What special functions are written with: f64 scalars, formulas on them, and interpolants.

An interpolant is a Chebyshev series through the values that torch itself has at Chebyshev nodes, so
that there are no tables of constants: only the interval, the degree, and a form of the function
that is smooth there.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.polynomial.chebyshev import chebinterpolate
from xdsl.dialects import arith, math
from xdsl.dialects.builtin import AnyFloat, f64
from xdsl.ir import SSAValue

from ..scalar_builder import ScalarBuilder
from ..scalar_functions import scalar

Function = Callable[[Any], Any]  # of float64 arrays
Formula = Callable[["Wide"], "Wide"]


class Wide:
    """A scalar of f64 with the operators of Python; numbers on the other side are constants."""

    def __init__(self, s: ScalarBuilder, value: SSAValue) -> None:
        self.s, self.value = s, value

    def of(self, value: Wide | float) -> Wide:
        """`value` as a scalar of this body."""
        return value if isinstance(value, Wide) else Wide(self.s, self.s.constant(value, f64))

    def _with(self, method: Callable[..., SSAValue], *others: Wide | float) -> Wide:
        return Wide(self.s, method(self.s, self.value, *(self.of(o).value for o in others)))

    def __add__(self, other: Wide | float) -> Wide:
        return self._with(ScalarBuilder.add, other)

    def __sub__(self, other: Wide | float) -> Wide:
        return self._with(ScalarBuilder.sub, other)

    def __mul__(self, other: Wide | float) -> Wide:
        return self._with(ScalarBuilder.mul, other)

    def __truediv__(self, other: Wide | float) -> Wide:
        return self._with(ScalarBuilder.div, other)

    def __radd__(self, other: float) -> Wide:
        return self.of(other) + self

    def __rsub__(self, other: float) -> Wide:
        return self.of(other) - self

    def __rmul__(self, other: float) -> Wide:
        return self.of(other) * self

    def __rtruediv__(self, other: float) -> Wide:
        return self.of(other) / self

    def __neg__(self) -> Wide:
        return self._with(ScalarBuilder.negate)

    def __abs__(self) -> Wide:
        return self._with(ScalarBuilder.absolute)

    def fma(self, factor: Wide | float, term: Wide | float) -> Wide:
        """self * factor + term, rounded once."""
        return self._with(ScalarBuilder.fma, factor, term)

    def call(self, op: type[Any]) -> Wide:
        """An op of `math`."""
        return Wide(self.s, self.s.insert(op(self.value)))

    def exp(self) -> Wide:
        """e ** self."""
        return self.call(math.ExpOp)

    def log(self) -> Wide:
        """Natural logarithm."""
        return self.call(math.LogOp)

    def sqrt(self) -> Wide:
        """Square root."""
        return self.call(math.SqrtOp)

    def pick(self, relation: str, bound: float, a: Wide | float, b: Wide | float) -> Wide:
        """`a` where `self relation bound` holds, else `b`."""
        holds = self.s.compare(relation, self.value, self.of(bound).value)
        return Wide(self.s, self.s.select(holds, self.of(a).value, self.of(b).value))

    def with_sign_of(self, other: Wide) -> Wide:
        """|self| with the sign of `other`."""
        return Wide(self.s, self.s.insert(math.CopySignOp(self.value, other.value)))


def special(name: str) -> Callable[[Formula], Formula]:
    """Register the decorated formula as the scalar function `name`, computed in f64."""

    def register(formula: Formula) -> Formula:
        @scalar(name)
        def rule(s: ScalarBuilder, x: SSAValue) -> SSAValue:
            assert isinstance(x.type, AnyFloat)
            if x.type == f64:
                return formula(Wide(s, x)).value
            wide = Wide(s, s.insert(arith.ExtFOp(x, f64)))
            return s.insert(arith.TruncFOp(formula(wide).value, x.type))

        return formula

    return register


def of_torch(name: str) -> Function:
    """A function of torch.special on float64 arrays."""

    def function(x: Any) -> Any:
        import torch

        return getattr(torch.special, name)(torch.as_tensor(np.asarray(x, np.float64))).numpy()

    return function


def interpolated(x: Wide, function: Function, low: float, high: float, degree: int) -> Wide:
    """`function` on [low, high] by its interpolant, summed by Clenshaw's recurrence."""
    first, *rest = coefficients(function, low, high, degree)
    twice = x.fma(4 / (high - low), -2 * (high + low) / (high - low))
    before, value = x.of(0.0), x.of(rest[-1])
    for c in reversed(rest[:-1]):
        before, value = value, twice.fma(value, c - before)
    return (twice * 0.5).fma(value, first - before)


@cache
def coefficients(function: Function, low: float, high: float, degree: int) -> tuple[float, ...]:
    """The Chebyshev series of `function` on [low, high]."""

    def on_unit(t: Any) -> Any:
        return function((high - low) / 2 * t + (high + low) / 2)

    return tuple(float(c) for c in chebinterpolate(on_unit, degree))
