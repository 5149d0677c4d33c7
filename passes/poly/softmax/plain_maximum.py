"""Row maxima of softmax-weighted sums need not hand on NaN: one instruction, not three.

before: m = maximumf(m, x[k])          NaN where any x is NaN
after:  m = m > x[k] ? m : x[k]        some number of the row, or NaN

The exponential of a score that is NaN is NaN whatever it is shifted by, and so are the sums.
"""

from __future__ import annotations

from xdsl.dialects import arith
from xdsl.rewriter import Rewriter

from ....dialects.poly import ScopOp
from ..access_patterns import combining_op
from .softmax_sums import softmax_sums


def use_plain_maximum(scop: ScopOp) -> None:
    """Compare without regard to NaN in the row maxima of the softmax-weighted sums of `scop`."""
    for update in scop.statements:
        if softmax_sums(scop, update) is None:
            continue
        largest = combining_op(update)
        if isinstance(largest, arith.MaximumfOp):
            Rewriter.replace_op(largest, arith.MaxnumfOp(*largest.operands))
