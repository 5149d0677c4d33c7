"""`matrix` dialect: products of whole tiles, which matrix units (x86 AMX) compute."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import (
    I64,
    IndexType,
    IntegerAttr,
    MemRefType,
    UnitAttr,
    f32,
    i32,
    i64,
)
from xdsl.ir import Attribute, Dialect, SSAValue
from xdsl.irdl import (
    AttrSizedOperandSegments,
    IRDLOperation,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
    var_operand_def,
)
from xdsl.utils.exceptions import VerifyException


@irdl_op_definition
class MatmulOp(IRDLOperation):
    """sums[i, j] += sum over k < steps of a[i, k] . b[k, j], whose elements are words of 32 bits.

    Where `sums` is of f32, a word is a pair of bf16, and `.` is `pair.dot`, rounded as
    `pair.dot_add` is; where it is of i32, a word has four bytes, signed in `a` and unsigned in `b`,
    and `.` is `quant.dot`.

    a[i, k] is the word i * row_stride + k from the place of `a`, b[k, j] the word
    k * step_stride + j from that of `b`; `sums` is a memref of rows x columns, contiguous. With
    `fresh`, its values before do not count.
    """

    name = "matrix.matmul"
    a = operand_def(MemRefType)
    a_indices = var_operand_def(IndexType)
    b = operand_def(MemRefType)
    b_indices = var_operand_def(IndexType)
    sums = operand_def(MemRefType)
    steps = prop_def(IntegerAttr[I64])
    row_stride = prop_def(IntegerAttr[I64])
    step_stride = prop_def(IntegerAttr[I64])
    fresh = opt_prop_def(UnitAttr)
    irdl_options = (AttrSizedOperandSegments(as_property=True),)

    def __init__(
        self,
        a: tuple[SSAValue, Sequence[SSAValue]],
        b: tuple[SSAValue, Sequence[SSAValue]],
        sums: SSAValue,
        steps: int,
        strides: tuple[int, int],
        fresh: bool,
    ) -> None:
        numbers = zip(("steps", "row_stride", "step_stride"), (steps, *strides), strict=True)
        properties: dict[str, Attribute] = {name: IntegerAttr(n, i64) for name, n in numbers}
        if fresh:
            properties["fresh"] = UnitAttr()
        super().__init__(operands=[a[0], a[1], b[0], b[1], sums], properties=properties)

    @property
    def extents(self) -> tuple[int, int]:
        """Rows and columns of the result."""
        assert isinstance(self.sums.type, MemRefType)
        rows, columns = self.sums.type.get_shape()
        return rows, columns

    @property
    def is_integer(self) -> bool:
        """Whether words are four bytes; else they are two bf16."""
        assert isinstance(self.sums.type, MemRefType)
        return bool(self.sums.type.element_type == i32)

    def verify_(self) -> None:
        for side, type in (("a", self.a.type), ("b", self.b.type)):
            assert isinstance(type, MemRefType)
            if type.element_type != i32:
                raise VerifyException(f"{self.name}: expected words of i32 in {side}, got {type}")
        sums = self.sums.type
        assert isinstance(sums, MemRefType)
        if sums.element_type not in (f32, i32) or len(sums.get_shape()) != 2:
            raise VerifyException(
                f"{self.name}: expected a matrix of f32 or i32 for sums, got {sums}"
            )
        if self.steps.value.data < 1:
            raise VerifyException(f"{self.name}: expected at least one step")


Matrix = Dialect("matrix", [MatmulOp], [])
