"""erf in f32: x + x p(x^2) up to 0.92, beyond it 1 - e^(-x q(x)), both computed and one chosen."""

from __future__ import annotations

from xdsl.ir import SSAValue

from .coefficients import ERF_FAR_F32, ERF_NEAR_F32
from .exponentials import ONE_BITS, exp_minus_one, reduce
from .formula import Formula

BORDER = 0.91


def erf(f: Formula, x: SSAValue) -> SSAValue:
    """The error function; past 4 it rounds to one."""
    magnitude = f.clamp(f.absolute(x), 0.0, 4.0)
    near = f.fma(magnitude, f.polynomial(f.mul(x, x), ERF_NEAR_F32), magnitude)
    exponent = f.mul(magnitude, f.polynomial(magnitude, ERF_FAR_F32))
    r, shifted = reduce(f, f.sub(f.number(0.0), exponent))
    power = f.shift_left(f.as_bits(shifted), 23)
    scale = f.as_float(f.int_add(power, f.bits(ONE_BITS)))
    # 1 - 2^n e^r = (1 - 2^n) - 2^n (e^r - 1).
    minus = f.sub(f.number(0.0), scale)
    far = f.fma(minus, exp_minus_one(f, r), f.sub(f.number(1.0), scale))
    is_near = f.compare("olt", magnitude, f.number(BORDER))
    return f.with_sign_of(f.select(is_near, near, far), x)
