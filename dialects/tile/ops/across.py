"""Register tiles across elements: products, and dims that are repeated, combined, exchanged."""

from __future__ import annotations

from xdsl.dialects.builtin import IntAttr, StringAttr
from xdsl.ir import SSAValue
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

from ..atoms import FP8
from ..types import RegisterType
from .checks import check_same, register_of

REDUCTIONS = ("add", "max", "min")


@irdl_op_definition
class DotOp(IRDLOperation):
    """accumulator + lhs @ rhs^T: lhs [M, K], rhs [N, K], accumulator [M, N] of f32 or i32.

    Both operands have the same elements, but for floats of 8 bits, of which there are two kinds.
    """

    name = "tile.dot"
    lhs = operand_def(RegisterType)
    rhs = operand_def(RegisterType)
    accumulator = operand_def(RegisterType)
    result = result_def(RegisterType)
    traits = traits_def(Pure())
    assembly_format = (
        "$lhs `,` $rhs `,` $accumulator attr-dict "
        "`:` type($lhs) `,` type($rhs) `,` type($accumulator) `->` type($result)"
    )

    def __init__(self, lhs: SSAValue, rhs: SSAValue, accumulator: SSAValue) -> None:
        super().__init__(operands=[lhs, rhs, accumulator], result_types=[accumulator.type])

    def verify_(self) -> None:
        (m, k), (n, k2) = register_of(self.lhs).extents, register_of(self.rhs).extents
        check_same(self, "K of both operands", k, k2)
        check_same(self, "an accumulator of", (m, n), register_of(self.accumulator).extents)
        check_same(self, "the result type", self.accumulator.type, self.result.type)
        elements = register_of(self.lhs).element, register_of(self.rhs).element
        if not all(element in FP8 for element in elements):
            check_same(self, "elements", *elements)


@irdl_op_definition
class BroadcastOp(IRDLOperation):
    """Repeat each element `size` times along `dim`: what lies there is already in every thread."""

    name = "tile.broadcast"
    dim = prop_def(IntAttr)
    size = prop_def(IntAttr)
    source = operand_def(RegisterType)
    result = result_def(RegisterType)
    traits = traits_def(Pure())

    def __init__(self, source: SSAValue, dim: int, size: int, type: RegisterType) -> None:
        super().__init__(
            operands=[source],
            properties={"dim": IntAttr(dim), "size": IntAttr(size)},
            result_types=[type],
        )

    def verify_(self) -> None:
        reduced = register_of(self.result).layout.reduce(self.dim.data, self.size.data)
        if not reduced.is_same_as(register_of(self.source).layout):
            raise VerifyException(
                f"tile.broadcast: expected an operand that lies as {reduced}, found "
                f"{register_of(self.source).layout}"
            )


@irdl_op_definition
class ReduceOp(IRDLOperation):
    """Combine all elements along `dim`, which gets extent 1."""

    name = "tile.reduce"
    function = prop_def(StringAttr)
    dim = prop_def(IntAttr)
    source = operand_def(RegisterType)
    result = result_def(RegisterType)
    traits = traits_def(Pure())

    def __init__(self, function: str, source: SSAValue, dim: int) -> None:
        type = register_of(source)
        super().__init__(
            operands=[source],
            properties={"function": StringAttr(function), "dim": IntAttr(dim)},
            result_types=[RegisterType.of(type.layout.reduce(dim), type.element)],
        )

    def verify_(self) -> None:
        if self.function.data not in REDUCTIONS:
            raise VerifyException(f"tile.reduce: {self.function.data!r} is none of {REDUCTIONS}")
        reduced = register_of(self.source).layout.reduce(self.dim.data)
        if not reduced.is_same_as(register_of(self.result).layout):
            raise VerifyException(
                f"tile.reduce: expected a result that lies as {reduced}, found "
                f"{register_of(self.result).layout}"
            )


@irdl_op_definition
class TransposeOp(IRDLOperation):
    """The tile with its two dims exchanged; every thread keeps its registers."""

    name = "tile.transpose"
    source = operand_def(RegisterType)
    result = result_def(RegisterType)
    traits = traits_def(Pure())
    assembly_format = "$source attr-dict `:` type($source) `->` type($result)"

    def __init__(self, source: SSAValue) -> None:
        type = register_of(source)
        result = RegisterType.of(type.layout.permute((1, 0)), type.element)
        super().__init__(operands=[source], result_types=[result])

    def verify_(self) -> None:
        expected = register_of(self.source).layout.permute((1, 0))
        if not expected.is_same_as(register_of(self.result).layout):
            raise VerifyException(
                f"tile.transpose: expected a result that lies as {expected}, found "
                f"{register_of(self.result).layout}"
            )
