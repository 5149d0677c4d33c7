"""Functions of elements, with NumPy broadcasting, and casts."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import (
    StringAttr,
    TensorType,
    i1,
)
from xdsl.ir import SSAValue
from xdsl.irdl import (
    irdl_op_definition,
    operand_def,
    prop_def,
    var_operand_def,
)
from xdsl.utils.exceptions import VerifyException

from ..scalar import FUNCTIONS
from .base import (
    GraphOp,
    Tensor,
    element_of,
    shape_of,
)


@irdl_op_definition
class PointwiseOp(GraphOp):
    """`fn` of `dialects/scalar.py` elementwise, operands broadcast as in NumPy."""

    name = "graph.pointwise"
    fn = prop_def(StringAttr)
    operands_ = var_operand_def(TensorType)

    def __init__(self, fn: str, operands: Sequence[SSAValue], type: Tensor) -> None:
        super().__init__(
            operands=[operands], properties={"fn": StringAttr(fn)}, result_types=[type]
        )

    def expected_shape(self) -> tuple[int, ...] | None:
        return broadcast_shapes([shape_of(v) for v in self.operands_])

    def verify_(self) -> None:
        function = FUNCTIONS.get(self.fn.data)
        if function is None:
            raise VerifyException(f"graph.pointwise: no scalar function {self.fn.data!r}")
        if len(self.operands_) != function.arity:
            raise VerifyException(
                f"graph.pointwise {self.fn.data}: expected {function.arity} operands, "
                f"got {len(self.operands_)}"
            )
        data = self.operands_[1:] if self.fn.data == "where" else self.operands_
        if len({element_of(v) for v in data}) != 1:
            raise VerifyException(f"graph.pointwise {self.fn.data}: operand types differ")
        want = i1 if function.result == "bool" else element_of(data[0])
        if element_of(self.result) != want:
            raise VerifyException(
                f"graph.pointwise {self.fn.data}: expected element type {want}, "
                f"got {element_of(self.result)}"
            )
        super().verify_()


@irdl_op_definition
class CastOp(GraphOp):
    """Convert the element type as torch does: float to int truncates, to i1 is `!= 0`."""

    name = "graph.cast"
    source = operand_def(TensorType)

    def __init__(self, source: SSAValue, type: Tensor) -> None:
        super().__init__(operands=[source], result_types=[type])

    def expected_shape(self) -> tuple[int, ...] | None:
        return shape_of(self.source)


def broadcast_shapes(shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """NumPy broadcasting of `shapes`; VerifyException where they do not fit."""
    rank = max((len(s) for s in shapes), default=0)
    result = [1] * rank
    for shape in shapes:
        for d, extent in enumerate(shape, start=rank - len(shape)):
            if extent != 1 and result[d] not in (1, extent):
                raise VerifyException(f"shapes {shapes} do not broadcast")
            if extent != 1:
                result[d] = extent
    return tuple(result)
