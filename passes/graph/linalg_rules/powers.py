"""`pow`: multiplications and roots for the exponents that models use, math.powf otherwise."""

from __future__ import annotations

from xdsl.dialects import math
from xdsl.ir import SSAValue

from .scalar_builder import ScalarBuilder, constant_of, is_float
from .scalar_functions import scalar

# Longer chains of products drift from the correctly rounded power.
LARGEST_PRODUCT_CHAIN = 4
EXPONENT_BITS = 6


def _product(s: ScalarBuilder, x: SSAValue, count: int) -> SSAValue:
    """x multiplied `count` times, by squaring."""
    if count == 1:
        return x
    half = _product(s, x, count // 2)
    squared = s.mul(half, half)
    return s.mul(squared, x) if count % 2 else squared


def _integer_power(s: ScalarBuilder, x: SSAValue, exponent: SSAValue) -> SSAValue:
    """x ** exponent by squaring, for exponents that fit in EXPONENT_BITS.

    Larger ones overflow 64 bits unless x is 0, 1 or -1, which come out right. Negative exponents
    give 0 but for 1 and -1, as in torch.
    """
    zero, one = s.like(0, x), s.like(1, x)
    result, base = one, x
    for bit in range(EXPONENT_BITS):
        is_set = s.compare("ne", s.both(exponent, s.like(1 << bit, exponent)), zero)
        result = s.select(is_set, s.mul(result, base), result)
        if bit + 1 < EXPONENT_BITS:
            base = s.mul(base, base)
    is_unit = s.compare("eq", s.mul(x, x), one)
    vanishes = s.either(
        s.both(s.compare("lt", exponent, zero), s.invert(is_unit)),
        s.both(s.compare("eq", x, zero), s.compare("ne", exponent, zero)),
    )
    return s.select(vanishes, zero, result)


@scalar("pow")
def _pow(s: ScalarBuilder, x: SSAValue, exponent: SSAValue) -> SSAValue:
    constant = constant_of(exponent)
    if constant == 0:
        return s.like(1, x)
    if constant is not None and float(constant).is_integer():
        count = abs(int(constant))
        if constant > 0 and (count <= LARGEST_PRODUCT_CHAIN or not is_float(x.type)):
            return _product(s, x, count)
        if is_float(x.type) and count <= 2:
            return s.div(s.like(1, x), _product(s, x, count))
    if not is_float(x.type):
        return _integer_power(s, x, exponent)
    if constant == 0.5:
        return s.sqrt(x)
    if constant == -0.5:
        return s.div(s.like(1, x), s.sqrt(x))
    return s.insert(math.PowFOp(x, exponent))
