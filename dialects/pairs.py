"""`pair` dialect: two bf16 numbers in a word of 32 bits, the first in the lower half.

The ops work on an i32, or on vectors of them lane by lane. Numbers that are neighbours in memory
are such words already, so that an array of pairs is another type of the same bytes.
"""

from __future__ import annotations

from math import prod

from xdsl.dialects.builtin import MemRefType, VectorType, bf16, f32, i32
from xdsl.ir import Attribute, Dialect, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_op_definition,
    operand_def,
    result_def,
    traits_def,
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
class NarrowOp(IRDLOperation):
    """A vector of f32 rounded to bf16.

    AVX512-BF16 takes subnormal numbers for zero, which is what `arith.truncf` may not do.
    """

    name = "pair.narrow"
    source = operand_def(VectorType)
    result = result_def(VectorType)
    traits = traits_def(Pure())

    def __init__(self, source: SSAValue) -> None:
        super().__init__(operands=[source], result_types=[_like(source.type, bf16)])

    def verify_(self) -> None:
        if _element(self.source.type) != f32 or self.result.type != _like(self.source.type, bf16):
            raise VerifyException(f"{self.name}: expected a vector of f32, and one of bf16 like it")


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


Pair = Dialect("pair", [JoinOp, DotOp, DotAddOp, RoundOp, NarrowOp, WordsOp], [])
