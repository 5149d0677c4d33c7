"""Compute 1 + e^-x, by which sigmoid and silu divide, in one function.

before: %n = arith.negf %x ; %e = math.exp %n ; %d = arith.addf %one, %e
after:  %d = logistic.divisor %x

The power of two of the exponential becomes a factor of the multiply-add that is the sum, where
scaling by it takes more than the one instruction that AVX-512 has.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects import arith, math
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from ...dialects.constants import splat_value
from ...dialects.logistic import DivisorOp
from ..context import CompileContext
from .eliminate_common_subexpressions import erase_unused


def _divisor(op: arith.AddfOp) -> DivisorOp | None:
    """What `op` computes, if it is that."""
    for one, power in ((op.lhs, op.rhs), (op.rhs, op.lhs)):
        exponential = power.owner
        if not isinstance(exponential, math.ExpOp) or splat_value(one) != 1:
            continue
        if isinstance(exponential.operand.owner, arith.NegfOp) and power.has_one_use():
            return DivisorOp(exponential.operand.owner.operand, exponential.fastmath)
    return None


@dataclass(frozen=True)
class LogisticDivisorsPass(ModulePass):
    """Find the divisors of sigmoid and silu in every kernel for a CPU without AVX-512."""

    name = "logistic-divisors"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        assert isinstance(ctx, CompileContext)
        if ctx.machine.is_gpu or ctx.machine.isa == "avx512":
            return
        for func in op.ops:
            if not isinstance(func, FuncOp) or not func.body.blocks:
                continue
            found = [o for o in func.walk() if isinstance(o, arith.AddfOp)]
            for addition in found:
                new = _divisor(addition)
                if new is not None:
                    Rewriter.replace_op(addition, new)
            if found:
                erase_unused(func.body.block)
