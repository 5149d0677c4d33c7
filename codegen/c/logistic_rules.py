"""The rule of `logistic.divisor`: a function of `codegen/mathlib`."""

from __future__ import annotations

from xdsl.ir import Operation
from xdsl.utils.type import get_element_type_or_self

from ...dialects.logistic import DivisorOp
from .c_types import element_name
from .elementary import elementary_function
from .expression import Expr, call
from .math_rules import accuracy_of, own_function
from .prelude import Prelude
from .registry import elementwise, simd
from .vector_types import VectorShape

FUNCTION = "logistic_divisor"


@elementwise(DivisorOp)
def divisor_lane(prelude: Prelude, op: Operation, args: list[Expr]) -> Expr:
    """Of one number."""
    element = element_name(get_element_type_or_self(op.operands[0].type))
    function = elementary_function(prelude, FUNCTION, element, 1, accuracy_of(op))
    assert function is not None
    return call(function, *args)


@simd(DivisorOp)
def divisor_simd(
    prelude: Prelude, op: Operation, shape: VectorShape, args: list[Expr]
) -> Expr | None:
    """Of a register."""
    return own_function(prelude, FUNCTION, op, shape, args)
