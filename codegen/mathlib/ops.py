"""The parts of floats that elementary functions are made of, as IR ops on scalars and vectors.

Each is one instruction or two on AVX-512 and a few elsewhere, with the same bits everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import ArrayAttr, FloatAttr, StringAttr
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_op_definition,
    operand_def,
    prop_def,
    result_def,
    traits_def,
)
from xdsl.traits import Pure
from xdsl.utils.type import get_element_type_or_self


@irdl_op_definition
class ScaleOp(IRDLOperation):
    """x * 2^n rounded once; n is a whole number, and |x| in [1/8, 8], zero or not finite.

    n may go twice as far as the exponents of the type.
    """

    name = "elementary.scale"
    x = operand_def()
    n = operand_def()
    result = result_def()
    traits = traits_def(Pure())

    def __init__(self, x: SSAValue, n: SSAValue) -> None:
        super().__init__(operands=[x, n], result_types=[x.type])


@irdl_op_definition
class ExponentOp(IRDLOperation):
    """The whole number e with x 2^-e in [3/4, 3/2); -inf at zero, +inf at +inf; any for x < 0."""

    name = "elementary.exponent"
    x = operand_def()
    result = result_def()
    traits = traits_def(Pure())

    def __init__(self, x: SSAValue) -> None:
        super().__init__(operands=[x], result_types=[x.type])


@irdl_op_definition
class SignificandOp(IRDLOperation):
    """x 2^-e in [3/4, 3/2) with e as above; finite at zero, 1 at +inf, NaN for negative x."""

    name = "elementary.significand"
    x = operand_def()
    result = result_def()
    traits = traits_def(Pure())

    def __init__(self, x: SSAValue) -> None:
        super().__init__(operands=[x], result_types=[x.type])


@irdl_op_definition
class LookupOp(IRDLOperation):
    """table[index mod length]; 8 or 16 numbers, so that registers can hold them."""

    name = "elementary.lookup"
    index = operand_def()
    table = prop_def(ArrayAttr[FloatAttr])
    result = result_def()
    traits = traits_def(Pure())

    def __init__(self, index: SSAValue, table: Sequence[float], type: Attribute) -> None:
        element = get_element_type_or_self(type)
        numbers = ArrayAttr([FloatAttr(number, element) for number in table])
        super().__init__(operands=[index], properties={"table": numbers}, result_types=[type])


@irdl_op_definition
class RareOp(IRDLOperation):
    """`value`, but libm's function `callee` of x in the few lanes that `mask` sets."""

    name = "elementary.rare"
    mask = operand_def()
    value = operand_def()
    x = operand_def()
    callee = prop_def(StringAttr)
    result = result_def()
    traits = traits_def(Pure())

    def __init__(self, mask: SSAValue, value: SSAValue, x: SSAValue, callee: str) -> None:
        super().__init__(
            operands=[mask, value, x],
            properties={"callee": StringAttr(callee)},
            result_types=[value.type],
        )
