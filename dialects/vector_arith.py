"""Elementwise `vector` ops for the `arith` ops that xDSL restricts to scalars.

xDSL 0.74 types comparisons, mask selection and integer conversions for scalars only; each op here
means its `arith` namesake lane by lane. `VECTOR_FORMS` takes the scalar op class to the vector one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from xdsl.dialects import arith
from xdsl.dialects.builtin import IntegerAttr, VectorType, i1
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_op_definition,
    operand_def,
    prop_def,
    result_def,
    traits_def,
)
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException


def lanes_of(type: Attribute) -> int:
    """The lane count of a one-dimensional vector type."""
    assert isinstance(type, VectorType)
    (lanes,) = type.get_shape()
    return lanes


def _check_same_lanes(op: Operation) -> None:
    counts = {lanes_of(v.type) for v in (*op.operands, *op.results)}
    if len(counts) != 1:
        raise VerifyException(f"{op.name}: lane counts differ: {sorted(counts)}")


class CompareOp(IRDLOperation):
    """Base: two equal vectors to a mask; `predicate` is numbered as in `arith`."""

    PREDICATES: ClassVar[Sequence[str]]
    predicate = prop_def(IntegerAttr)
    lhs = operand_def(VectorType)
    rhs = operand_def(VectorType)
    result = result_def(VectorType)
    traits = traits_def(Pure())

    def __init__(self, lhs: SSAValue, rhs: SSAValue, predicate: int | str) -> None:
        if isinstance(predicate, str):
            predicate = list(self.PREDICATES).index(predicate)
        super().__init__(
            operands=[lhs, rhs],
            properties={"predicate": IntegerAttr(predicate, 64)},
            result_types=[VectorType(i1, [lanes_of(lhs.type)])],
        )

    def verify_(self) -> None:
        if self.lhs.type != self.rhs.type:
            raise VerifyException(f"{self.name}: operand types differ")
        _check_same_lanes(self)


@irdl_op_definition
class CmpfOp(CompareOp):
    """`arith.cmpf` of every lane."""

    name = "vector.cmpf"
    PREDICATES: ClassVar = arith.CMPF_COMPARISON_OPERATIONS


@irdl_op_definition
class CmpiOp(CompareOp):
    """`arith.cmpi` of every lane."""

    name = "vector.cmpi"
    PREDICATES: ClassVar = arith.CMPI_COMPARISON_OPERATIONS


@irdl_op_definition
class SelectOp(IRDLOperation):
    """result[l] = lhs[l] where cond[l], else rhs[l]."""

    name = "vector.select"
    cond = operand_def(VectorType)
    lhs = operand_def(VectorType)
    rhs = operand_def(VectorType)
    result = result_def(VectorType)
    traits = traits_def(Pure())

    def __init__(self, cond: SSAValue, lhs: SSAValue, rhs: SSAValue) -> None:
        super().__init__(operands=[cond, lhs, rhs], result_types=[lhs.type])

    def verify_(self) -> None:
        if self.lhs.type != self.rhs.type or self.lhs.type != self.result.type:
            raise VerifyException("vector.select: value types differ")
        _check_same_lanes(self)


class ConvertOp(IRDLOperation):
    """Base: convert every lane to the element type of the result."""

    input = operand_def(VectorType)
    result = result_def(VectorType)
    traits = traits_def(Pure())

    def __init__(self, input: SSAValue, type: Attribute) -> None:
        super().__init__(operands=[input], result_types=[type])

    def verify_(self) -> None:
        _check_same_lanes(self)


@irdl_op_definition
class SIToFPOp(ConvertOp):
    """`arith.sitofp` of every lane."""

    name = "vector.sitofp"


@irdl_op_definition
class UIToFPOp(ConvertOp):
    """`arith.uitofp` of every lane."""

    name = "vector.uitofp"


@irdl_op_definition
class FPToSIOp(ConvertOp):
    """`arith.fptosi` of every lane."""

    name = "vector.fptosi"


@irdl_op_definition
class ExtSIOp(ConvertOp):
    """`arith.extsi` of every lane."""

    name = "vector.extsi"


@irdl_op_definition
class ExtUIOp(ConvertOp):
    """`arith.extui` of every lane."""

    name = "vector.extui"


@irdl_op_definition
class TruncIOp(ConvertOp):
    """`arith.trunci` of every lane."""

    name = "vector.trunci"


@irdl_op_definition
class IndexCastOp(ConvertOp):
    """`arith.index_cast` of every lane."""

    name = "vector.index_cast"


VECTOR_FORMS: dict[type[Operation], type[Operation]] = {
    arith.CmpfOp: CmpfOp,
    arith.CmpiOp: CmpiOp,
    arith.SelectOp: SelectOp,
    arith.SIToFPOp: SIToFPOp,
    arith.UIToFPOp: UIToFPOp,
    arith.FPToSIOp: FPToSIOp,
    arith.ExtSIOp: ExtSIOp,
    arith.ExtUIOp: ExtUIOp,
    arith.TruncIOp: TruncIOp,
    arith.IndexCastOp: IndexCastOp,
}
"""The vector op of each scalar op that has no vector form of its own in xDSL."""
