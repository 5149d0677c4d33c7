"""Special functions of one variable: rows of `dialects/scalar.py` that `math` has no ops for.

Formulas and interpolants over exp, log and sin, computed in f64 whatever the type of the operand.
"""

from . import bessel, error_functions, gamma

__all__ = ["bessel", "error_functions", "gamma"]
