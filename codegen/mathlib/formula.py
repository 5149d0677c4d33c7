"""Write an elementary function as IR on one type: a scalar, or a vector of it.

`Formula` wraps the op constructors, so that a function reads like its mathematics and comes out the
same for every width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from xdsl.builder import ImplicitBuilder
from xdsl.dialects import arith, func, math
from xdsl.dialects.builtin import (
    DenseIntOrFPElementsAttr,
    FloatAttr,
    FunctionType,
    IntegerAttr,
    VectorType,
    f32,
    i32,
)
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.rewriter import Rewriter

from ...dialects import vector_arith


class Formula:
    """f32 values and i32 bit patterns with `lanes` lanes (1: scalars)."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        self.float_type: Attribute = VectorType(f32, [lanes]) if lanes > 1 else f32
        self.int_type: Attribute = VectorType(i32, [lanes]) if lanes > 1 else i32
        self._constants: dict[tuple[float, bool], SSAValue] = {}

    def number(self, value: float) -> SSAValue:
        """A float constant."""
        if isinstance(self.float_type, VectorType):
            dense = DenseIntOrFPElementsAttr.from_list(self.float_type, [value])
            return arith.ConstantOp(dense).result
        return arith.ConstantOp(FloatAttr(value, f32)).result

    def bits(self, value: int) -> SSAValue:
        """An integer constant."""
        if isinstance(self.int_type, VectorType):
            dense = DenseIntOrFPElementsAttr.from_list(self.int_type, [value])
            return arith.ConstantOp(dense).result
        return arith.ConstantOp(IntegerAttr(value, i32)).result

    def add(self, a: SSAValue, b: SSAValue) -> SSAValue:
        """a + b."""
        return arith.AddfOp(a, b).result

    def sub(self, a: SSAValue, b: SSAValue) -> SSAValue:
        """a - b."""
        return arith.SubfOp(a, b).result

    def mul(self, a: SSAValue, b: SSAValue) -> SSAValue:
        """a * b."""
        return arith.MulfOp(a, b).result

    def div(self, a: SSAValue, b: SSAValue) -> SSAValue:
        """a / b."""
        return arith.DivfOp(a, b).result

    def fma(self, a: SSAValue, b: SSAValue, c: SSAValue) -> SSAValue:
        """a * b + c, rounded once."""
        return math.FmaOp(a, b, c).result

    def absolute(self, a: SSAValue) -> SSAValue:
        """|a|."""
        return math.AbsFOp(a).result

    def clamp(self, a: SSAValue, low: float, high: float) -> SSAValue:
        """a between two numbers; NaN stays."""
        above = arith.MaximumfOp(self.number(low), a).result
        return arith.MinimumfOp(self.number(high), above).result

    def polynomial(self, x: SSAValue, coefficients: Sequence[float]) -> SSAValue:
        """Horner's rule; coefficients lowest first."""
        value = self.number(coefficients[-1])
        for coefficient in reversed(coefficients[:-1]):
            value = named(self.fma(value, x, self.number(coefficient)), "p")
        return value

    def compare(self, predicate: str, a: SSAValue, b: SSAValue) -> SSAValue:
        """A mask."""
        if self.lanes > 1:
            return vector_arith.CmpfOp(a, b, predicate).result
        return arith.CmpfOp(a, b, predicate).result

    def select(self, mask: SSAValue, a: SSAValue, b: SSAValue) -> SSAValue:
        """a where mask, else b."""
        if self.lanes > 1:
            return vector_arith.SelectOp(mask, a, b).result
        return arith.SelectOp(mask, a, b).result

    def as_bits(self, a: SSAValue) -> SSAValue:
        """The bits of a float."""
        return arith.BitcastOp(a, self.int_type).result

    def as_float(self, a: SSAValue) -> SSAValue:
        """The float with these bits."""
        return arith.BitcastOp(a, self.float_type).result

    def to_float(self, a: SSAValue) -> SSAValue:
        """An integer as a number."""
        if self.lanes > 1:
            return vector_arith.SIToFPOp(a, self.float_type).result
        return arith.SIToFPOp(a, f32).result

    def int_add(self, a: SSAValue, b: SSAValue) -> SSAValue:
        """Wrapping sum."""
        return arith.AddiOp(a, b).result

    def int_sub(self, a: SSAValue, b: SSAValue) -> SSAValue:
        """Wrapping difference."""
        return arith.SubiOp(a, b).result

    def int_and(self, a: SSAValue, b: SSAValue) -> SSAValue:
        """Bitwise and."""
        return arith.AndIOp(a, b).result

    def int_or(self, a: SSAValue, b: SSAValue) -> SSAValue:
        """Bitwise or."""
        return arith.OrIOp(a, b).result

    def shift_left(self, a: SSAValue, count: int) -> SSAValue:
        """a << count."""
        return arith.ShLIOp(a, self.bits(count)).result

    def shift_right(self, a: SSAValue, count: int) -> SSAValue:
        """a >> count, the sign coming in."""
        return arith.ShRSIOp(a, self.bits(count)).result

    def with_sign_of(self, magnitude: SSAValue, source: SSAValue) -> SSAValue:
        """A magnitude (sign bit clear) with the sign of `source`."""
        sign = self.int_and(self.as_bits(source), self.bits(-(1 << 31)))
        return self.as_float(self.int_or(self.as_bits(magnitude), sign))


def named(value: SSAValue, name: str) -> SSAValue:
    """`value`, called `name` in IR and C."""
    value.name_hint = name
    return value


def define(name: str, lanes: int, body: Callable[[Formula, SSAValue], SSAValue]) -> func.FuncOp:
    """The function @tc_NAME_f32 or @tc_NAME_f32_vLANES."""
    formula = Formula(lanes)
    block = Block(arg_types=[formula.float_type])
    block.args[0].name_hint = "x"
    with ImplicitBuilder(block):
        func.ReturnOp(body(formula, block.args[0]))
    _share_constants(block)
    suffix = f"_v{lanes}" if lanes > 1 else ""
    type = FunctionType.from_lists([formula.float_type], [formula.float_type])
    return func.FuncOp(f"tc_{name}_f32{suffix}", type, Region(block), visibility="private")


def _share_constants(block: Block) -> None:
    """One op per constant."""
    seen: dict[Attribute, Operation] = {}
    for op in list(block.ops):
        if not isinstance(op, arith.ConstantOp):
            continue
        first = seen.setdefault(op.value, op)
        if first is not op:
            op.result.replace_all_uses_with(first.results[0])
            Rewriter.erase_op(op)
