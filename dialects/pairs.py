"""`pair` dialect: two bf16 numbers in a word of 32 bits, the first in the lower half.

The ops work on an i32, or on vectors of them lane by lane. Numbers that are neighbours in memory
are such words already, so that an array of pairs is another type of the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from xdsl.dialects.builtin import (
    I64,
    IndexType,
    IntegerAttr,
    MemRefType,
    UnitAttr,
    VectorType,
    bf16,
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
    result_def,
    traits_def,
    var_operand_def,
)
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException


def _like(type: Attribute, element: Attribute) -> Attribute:
    """`element`, or as many of it as the vector `type` has lanes."""
    return VectorType(element, type.get_shape()) if isinstance(type, VectorType) else element


def _element(type: Attribute) -> Attribute:
    return type.element_type if isinstance(type, VectorType) else type


@irdl_op_definition
class JoinOp(IRDLOperation):
    """The pair of `low` and `high`, each bf16."""

    name = "pair.join"
    low = operand_def()
    high = operand_def()
    result = result_def()
    traits = traits_def(Pure())

    def __init__(self, low: SSAValue, high: SSAValue) -> None:
        super().__init__(operands=[low, high], result_types=[_like(low.type, i32)])

    def verify_(self) -> None:
        if self.low.type != self.high.type or _element(self.low.type) != bf16:
            raise VerifyException(f"{self.name}: expected two bf16, or two vectors of them")
        if self.result.type != _like(self.low.type, i32):
            raise VerifyException(f"{self.name}: expected one i32 per pair")


@irdl_op_definition
class DotOp(IRDLOperation):
    """a.low * b.low + a.high * b.high in f32."""

    name = "pair.dot"
    a = operand_def()
    b = operand_def()
    result = result_def()
    traits = traits_def(Pure())

    def __init__(self, a: SSAValue, b: SSAValue) -> None:
        super().__init__(operands=[a, b], result_types=[_like(a.type, f32)])

    def verify_(self) -> None:
        _check_dot(self, self.a, self.b, self.result)


@irdl_op_definition
class DotAddOp(IRDLOperation):
    """acc + a.low * b.low + a.high * b.high in f32 (the x86 instruction dpbf16).

    Products are exact; how often and in which order sums are rounded depends on the machine, and
    AVX512-BF16 takes subnormal numbers for zero.
    """

    name = "pair.dot_add"
    a = operand_def()
    b = operand_def()
    acc = operand_def()
    result = result_def()
    traits = traits_def(Pure())

    def __init__(self, a: SSAValue, b: SSAValue, acc: SSAValue) -> None:
        super().__init__(operands=[a, b, acc], result_types=[acc.type])

    def verify_(self) -> None:
        _check_dot(self, self.a, self.b, self.result)
        if self.acc.type != self.result.type:
            raise VerifyException(f"{self.name}: expected an accumulator like the result")


def _check_dot(op: IRDLOperation, a: SSAValue, b: SSAValue, result: SSAValue) -> None:
    if a.type != b.type or _element(a.type) != i32:
        raise VerifyException(f"{op.name}: expected pairs as i32, of one type")
    if result.type != _like(a.type, f32):
        raise VerifyException(f"{op.name}: expected one f32 per pair")


@irdl_op_definition
class RoundOp(IRDLOperation):
    """Two vectors of f32, one behind the other, as half as many pairs of neighbours, rounded.

    AVX512-BF16 takes subnormal numbers for zero, as products of pairs do.
    """

    name = "pair.round"
    first = operand_def(VectorType)
    second = operand_def(VectorType)
    result = result_def(VectorType)
    traits = traits_def(Pure())

    def __init__(self, first: SSAValue, second: SSAValue) -> None:
        super().__init__(operands=[first, second], result_types=[_like(first.type, i32)])

    def verify_(self) -> None:
        if self.first.type != self.second.type or _element(self.first.type) != f32:
            raise VerifyException(f"{self.name}: expected two vectors of f32 of one length")
        if self.result.type != _like(self.first.type, i32):
            raise VerifyException(f"{self.name}: expected one i32 per pair")


@irdl_op_definition
class WordsOp(IRDLOperation):
    """The memory of a row-major memref of bf16 as one of pairs, in any shape of as many bytes."""

    name = "pair.words"
    source = operand_def(MemRefType)
    result = result_def(MemRefType)
    traits = traits_def(Pure())

    def __init__(self, source: SSAValue, type: MemRefType[Attribute]) -> None:
        super().__init__(operands=[source], result_types=[type])

    def verify_(self) -> None:
        source, result = self.source.type, self.result.type
        assert isinstance(source, MemRefType)
        assert isinstance(result, MemRefType)
        if source.element_type != bf16 or result.element_type != i32:
            raise VerifyException(f"{self.name}: expected bf16 as i32, got {source} as {result}")
        if prod(source.get_shape()) != 2 * prod(result.get_shape()):
            raise VerifyException(f"{self.name}: {source} and {result} differ in size")


@irdl_op_definition
class MatmulOp(IRDLOperation):
    """sums[i, j] += sum over k < steps of a[i, k] . b[k, j], pairs times pairs in f32.

    a[i, k] is the word i * row_stride + k from the place of `a`, b[k, j] the word
    k * step_stride + j from that of `b`; `sums` is a memref of f32, rows x columns, contiguous.
    With `fresh`, its values before do not count. Rounded as in `pair.dot_add`.
    """

    name = "pair.matmul"
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

    def verify_(self) -> None:
        for side, type in (("a", self.a.type), ("b", self.b.type)):
            assert isinstance(type, MemRefType)
            if type.element_type != i32:
                raise VerifyException(f"{self.name}: expected pairs as i32 in {side}, got {type}")
        sums = self.sums.type
        assert isinstance(sums, MemRefType)
        if sums.element_type != f32 or len(sums.get_shape()) != 2:
            raise VerifyException(f"{self.name}: expected a matrix of f32 for sums, got {sums}")
        if self.steps.value.data < 1:
            raise VerifyException(f"{self.name}: expected at least one step")


Pair = Dialect("pair", [JoinOp, DotOp, DotAddOp, RoundOp, WordsOp, MatmulOp], [])
