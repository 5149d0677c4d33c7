"""The upstream `vector` ops that xDSL lacks: gather, scatter, step, constant_mask; also fnma,
reverse, exchange and prefetch.

All vectors are one-dimensional. Syntax is the generic form of MLIR.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from xdsl.dialects.builtin import IndexType, IntAttr, IntegerType, MemRefType, VectorType
from xdsl.ir import Attribute, Dialect, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_op_definition,
    operand_def,
    prop_def,
    result_def,
    traits_def,
    var_operand_def,
    var_result_def,
)
from xdsl.traits import MemoryReadEffect, MemoryWriteEffect, Pure
from xdsl.utils.exceptions import VerifyException

from .vector_arith import VECTOR_FORMS


@lru_cache(maxsize=256)  # kernels are full of a few types, which xDSL checks when they are made
def vector_of(element: Attribute, lanes: int) -> VectorType[Attribute]:
    """vector<lanes x element>."""
    return VectorType(element, [lanes])


@lru_cache(maxsize=16)
def mask_type(lanes: int) -> VectorType[IntegerType]:
    """vector<lanes x i1>."""
    return VectorType(IntegerType(1), [lanes])


@irdl_op_definition
class GatherOp(IRDLOperation):
    """result[l] = base[indices..., last + offsets[l]] where mask[l], else pass_through[l].

    `offsets` counts elements of the flattened row-major memref from the element at `indices`.
    """

    name = "vector.gather"
    base = operand_def(MemRefType)
    indices = var_operand_def(IndexType)
    offsets = operand_def(VectorType)
    mask = operand_def(VectorType)
    pass_through = operand_def(VectorType)
    result = result_def(VectorType)
    traits = traits_def(MemoryReadEffect())

    def __init__(
        self,
        base: SSAValue,
        indices: list[SSAValue],
        offsets: SSAValue,
        mask: SSAValue,
        pass_through: SSAValue,
    ) -> None:
        super().__init__(
            operands=[base, indices, offsets, mask, pass_through],
            result_types=[pass_through.type],
        )


@irdl_op_definition
class ScatterOp(IRDLOperation):
    """base[indices..., last + offsets[l]] = value[l] where mask[l]; offsets are distinct."""

    name = "vector.scatter"
    base = operand_def(MemRefType)
    indices = var_operand_def(IndexType)
    offsets = operand_def(VectorType)
    mask = operand_def(VectorType)
    value = operand_def(VectorType)
    traits = traits_def(MemoryWriteEffect())

    def __init__(
        self,
        base: SSAValue,
        indices: list[SSAValue],
        offsets: SSAValue,
        mask: SSAValue,
        value: SSAValue,
    ) -> None:
        super().__init__(operands=[base, indices, offsets, mask, value])


@irdl_op_definition
class StepOp(IRDLOperation):
    """vector<W x index> [0, 1, ..., W - 1]."""

    name = "vector.step"
    result = result_def(VectorType)
    traits = traits_def(Pure())

    def __init__(self, lanes: int) -> None:
        super().__init__(result_types=[VectorType(IndexType(), [lanes])])


@irdl_op_definition
class ConstantMaskOp(IRDLOperation):
    """A mask whose first `count` lanes are set."""

    name = "vector.constant_mask"
    count = prop_def(IntAttr)
    result = result_def(VectorType)
    traits = traits_def(Pure())

    def __init__(self, count: int, lanes: int) -> None:
        super().__init__(properties={"count": IntAttr(count)}, result_types=[mask_type(lanes)])

    def verify_(self) -> None:
        assert isinstance(self.result.type, VectorType)
        lanes: Attribute | int = self.result.type.get_shape()[0]
        if not isinstance(lanes, int) or not 0 <= self.count.data <= lanes:
            raise VerifyException(f"vector.constant_mask: {self.count.data} not in 0..{lanes}")


@irdl_op_definition
class FnmaOp(IRDLOperation):
    """acc - lhs * rhs with one rounding, lane by lane (the x86 instruction fnmadd)."""

    name = "vector.fnma"
    lhs = operand_def(VectorType)
    rhs = operand_def(VectorType)
    acc = operand_def(VectorType)
    result = result_def(VectorType)
    traits = traits_def(Pure())

    def __init__(self, lhs: SSAValue, rhs: SSAValue, acc: SSAValue) -> None:
        super().__init__(operands=[lhs, rhs, acc], result_types=[acc.type])

    def verify_(self) -> None:
        if not self.lhs.type == self.rhs.type == self.acc.type == self.result.type:
            raise VerifyException("vector.fnma: expected operands and result of one type")


@irdl_op_definition
class ReverseOp(IRDLOperation):
    """result[l] = source[lanes - 1 - l]."""

    name = "vector.reverse"
    source = operand_def(VectorType)
    result = result_def(VectorType)
    traits = traits_def(Pure())

    def __init__(self, source: SSAValue) -> None:
        super().__init__(operands=[source], result_types=[source.type])

    def verify_(self) -> None:
        if self.source.type != self.result.type:
            raise VerifyException(
                f"vector.reverse: expected a result of {self.source.type}, got {self.result.type}"
            )


@irdl_op_definition
class ExchangeOp(IRDLOperation):
    """results[k][l] = rows[l][k]: as many vectors as each has lanes, transposed in registers."""

    name = "vector.exchange"
    rows = var_operand_def(VectorType)
    columns = var_result_def(VectorType)
    traits = traits_def(Pure())

    def __init__(self, rows: Sequence[SSAValue]) -> None:
        super().__init__(operands=[rows], result_types=[[row.type for row in rows]])

    def verify_(self) -> None:
        types = {value.type for value in (*self.operands, *self.results)}
        if len(types) != 1 or len(self.operands) != len(self.results):
            raise VerifyException("vector.exchange: expected operands and results of one type")
        (type,) = types
        assert isinstance(type, VectorType)
        if type.get_shape() != (len(self.operands),):
            raise VerifyException(
                f"vector.exchange: expected as many vectors as lanes, got {len(self.operands)} "
                f"of {type}"
            )


@irdl_op_definition
class PrefetchOp(IRDLOperation):
    """Ask for the cache line of base[indices] counted in flat row-major order, also behind the end.

    Nothing is read; machines without such an instruction do nothing.
    """

    name = "vector.prefetch"
    base = operand_def(MemRefType)
    indices = var_operand_def(IndexType)
    traits = traits_def(MemoryReadEffect())

    def __init__(self, base: SSAValue, indices: Sequence[SSAValue]) -> None:
        super().__init__(operands=[base, indices])


VectorExtension = Dialect(
    "vector_extension",
    [
        GatherOp,
        ScatterOp,
        StepOp,
        ConstantMaskOp,
        FnmaOp,
        ReverseOp,
        ExchangeOp,
        PrefetchOp,
        *VECTOR_FORMS.values(),
    ],
    [],
)
