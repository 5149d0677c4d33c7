"""`logistic` dialect: what sigmoid and silu divide by."""

from __future__ import annotations

from xdsl.dialects.arith import FastMathFlagsAttr
from xdsl.ir import Dialect, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    result_def,
    traits_def,
)
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException


@irdl_op_definition
class DivisorOp(IRDLOperation):
    """1 + e^-x, of a float or of the lanes of a vector."""

    name = "logistic.divisor"
    x = operand_def()
    fastmath = opt_prop_def(FastMathFlagsAttr)
    result = result_def()
    traits = traits_def(Pure())

    def __init__(self, x: SSAValue, fastmath: FastMathFlagsAttr | None = None) -> None:
        super().__init__(operands=[x], result_types=[x.type], properties={"fastmath": fastmath})

    def verify_(self) -> None:
        if self.x.type != self.result.type:
            raise VerifyException(
                f"logistic.divisor: expected a result of {self.x.type}, got {self.result.type}"
            )


Logistic = Dialect("logistic", [DivisorOp], [])
