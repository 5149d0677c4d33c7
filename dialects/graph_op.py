"""What all ops of the `graph` dialect share: one static tensor result, no side effect."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import ArrayAttr, IntAttr, TensorType
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import IRDLOperation, result_def, traits_def
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

Ints = ArrayAttr[IntAttr]
Tensor = TensorType[Attribute]


def ints(values: Sequence[int]) -> Ints:
    """An attribute holding `values`."""
    return ArrayAttr([IntAttr(v) for v in values])


def shape_of(value: SSAValue) -> tuple[int, ...]:
    """The static shape of a tensor value."""
    assert isinstance(value.type, TensorType)
    return value.type.get_shape()


def element_of(value: SSAValue) -> Attribute:
    """The element type of a tensor value."""
    assert isinstance(value.type, TensorType)
    element: Attribute = value.type.element_type
    return element


class GraphOp(IRDLOperation):
    """Base: one tensor result, no side effect; the result shape is checked."""

    result = result_def(TensorType)
    traits = traits_def(Pure())

    def expected_shape(self) -> tuple[int, ...] | None:
        """The result shape that the operands and attributes imply; None where any is allowed."""
        return None

    def verify_(self) -> None:
        expected = self.expected_shape()
        if expected is not None and expected != shape_of(self.result):
            raise VerifyException(
                f"{self.name}: operands and attributes imply shape {expected}, "
                f"the result has {shape_of(self.result)}"
            )


def check_dim(op: GraphOp, dim: IntAttr, value: SSAValue) -> None:
    """VerifyException where `value` has no dimension `dim`."""
    rank = len(shape_of(value))
    if not 0 <= dim.data < rank:
        raise VerifyException(f"{op.name}: dim {dim.data} is outside rank {rank}")
