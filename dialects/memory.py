"""`memory` dialect: what loops ask about where their arrays are."""

from __future__ import annotations

from xdsl.dialects.builtin import MemRefType, i1
from xdsl.ir import Dialect, SSAValue
from xdsl.irdl import IRDLOperation, irdl_op_definition, operand_def, result_def, traits_def
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException


@irdl_op_definition
class ApartOp(IRDLOperation):
    """Whether `a` and `b` are different arrays: false where both start at the same place.

    A kernel that updates a copy of an array copies nothing where its caller gave the array itself
    as the result.
    """

    name = "memory.apart"
    a = operand_def(MemRefType)
    b = operand_def(MemRefType)
    result = result_def(i1)
    traits = traits_def(Pure())

    def __init__(self, a: SSAValue, b: SSAValue) -> None:
        super().__init__(operands=[a, b], result_types=[i1])

    def verify_(self) -> None:
        if self.a.type != self.b.type:
            raise VerifyException(
                f"{self.name}: expected arrays of one type, got {self.a.type} and {self.b.type}"
            )


Memory = Dialect("memory", [ApartOp], [])
