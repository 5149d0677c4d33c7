"""Write an elementary function as IR on one type: a scalar, or a vector of it.

`Formula` wraps the op constructors, so that a function reads like its mathematics and comes out the
same for every width. The polynomials and other short programs inside come from `programs.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from xdsl.builder import ImplicitBuilder
from xdsl.dialects import arith, func, math
from xdsl.dialects.builtin import (
    DenseIntOrFPElementsAttr,
    FloatAttr,
    FunctionType,
    IntegerAttr,
    VectorType,
    f32,
    f64,
    i32,
    i64,
)
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.rewriter import Rewriter

from ...dialects import vector_arith
from .ops import ExponentOp, LookupOp, RareOp, ScaleOp, SignificandOp
from .programs import Program, find_program

Element = Literal["f32", "f64"]
Accuracy = Literal[1, 4]
"""Bound on the error in units in the last place."""
LARGEST_TABLE = 16


class Formula:
    """Floats of one type and integers as wide, with `lanes` lanes (1: scalars).

    `programs` come before the stored ones: the search tries new ones through it. `table_size` says
    how many numbers of f32 a table should have where a function has tables of several sizes.
    """

    def __init__(
        self,
        lanes: int,
        element: Element = "f32",
        accuracy: Accuracy = 1,
        programs: Mapping[str, Program] | None = None,
        table_size: int = LARGEST_TABLE,
    ) -> None:
        self.lanes = lanes
        self.table_size = table_size
        self.element = element
        self.accuracy = accuracy
        self._programs = programs or {}
        self._float = f32 if element == "f32" else f64
        self._int = i32 if element == "f32" else i64
        self.float_type = self._typed(self._float)
        self.int_type = self._typed(self._int)

    def _typed(self, element: Attribute) -> Attribute:
        return VectorType(element, [self.lanes]) if self.lanes > 1 else element

    @property
    def is_exact(self) -> bool:
        """Whether the finer accuracy is asked for, which needs low parts here and there."""
        return self.accuracy == 1

    def pick(self, single: float, double: float) -> float:
        """A constant that depends on the type."""
        return single if self.element == "f32" else double

    @property
    def mantissa_bits(self) -> int:
        """Stored bits of the significand."""
        return 23 if self.element == "f32" else 52

    @property
    def rounder(self) -> SSAValue:
        """1.5 * 2^mantissa_bits: adding it rounds to a whole number, kept in the low bits."""
        return self.number(1.5 * 2.0**self.mantissa_bits)

    def number(self, value: float) -> SSAValue:
        """A float constant."""
        if isinstance(self.float_type, VectorType):
            dense = DenseIntOrFPElementsAttr.from_list(self.float_type, [value])
            return arith.ConstantOp(dense).result
        return arith.ConstantOp(FloatAttr(value, self._float)).result

    def bits(self, value: int) -> SSAValue:
        """An integer constant."""
        if isinstance(self.int_type, VectorType):
            dense = DenseIntOrFPElementsAttr.from_list(self.int_type, [value])
            return arith.ConstantOp(dense).result
        return arith.ConstantOp(IntegerAttr(value, self._int)).result

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

    def sqrt(self, a: SSAValue) -> SSAValue:
        """Correctly rounded square root."""
        return math.SqrtOp(a).result

    def fma(self, a: SSAValue, b: SSAValue, c: SSAValue) -> SSAValue:
        """a * b + c, rounded once."""
        return math.FmaOp(a, b, c).result

    def lost(self, a: SSAValue, b: SSAValue, product: SSAValue) -> SSAValue:
        """a * b - product, exact: what the product was rounded by."""
        return self.fma(a, b, self.negate(product))

    def floor(self, a: SSAValue) -> SSAValue:
        """The whole number below."""
        return math.FloorOp(a).result

    def negate(self, a: SSAValue) -> SSAValue:
        """-a."""
        return arith.NegfOp(a).result

    def absolute(self, a: SSAValue) -> SSAValue:
        """|a|."""
        return math.AbsFOp(a).result

    def at_least(self, a: SSAValue, low: float) -> SSAValue:
        """max(a, low); NaN stays."""
        return arith.MaximumfOp(self.number(low), a).result

    def at_most(self, a: SSAValue, high: float) -> SSAValue:
        """min(a, high); NaN stays."""
        return arith.MinimumfOp(self.number(high), a).result

    def clamp(self, a: SSAValue, low: float, high: float) -> SSAValue:
        """a between two numbers; NaN stays."""
        return self.at_most(self.at_least(a, low), high)

    def or_else(self, a: SSAValue, low: float) -> SSAValue:
        """a, which is above `low`; `low` where it is NaN."""
        return arith.MaxnumfOp(a, self.number(low)).result

    def program(self, name: str, *inputs: SSAValue) -> SSAValue:
        """The short program called `name`, for this type and accuracy, on `inputs`."""
        key = f"{name}.{self.element}.{self.accuracy}"
        chosen = self._programs.get(key) or find_program(name, self.element, self.accuracy)
        return chosen.build(self, inputs)

    def nearest(self, a: SSAValue) -> SSAValue:
        """a rounded to a whole number, where |a| is below 2^(mantissa_bits - 1)."""
        return named(self.sub(self.add(a, self.rounder), self.rounder), "n")

    def multiples(self, a: SSAValue, per_unit: float, offset: int = 0) -> tuple[SSAValue, SSAValue]:
        """(n, a float whose low bits are n + offset) with n the whole number nearest to
        a * per_unit."""
        rounder = self.number(1.5 * 2.0**self.mantissa_bits + offset)
        shifted = named(self.fma(a, self.number(per_unit), rounder), "shifted")
        return named(self.sub(shifted, rounder), "n"), shifted

    def subtract_multiple(self, a: SSAValue, n: SSAValue, parts: Sequence[float]) -> SSAValue:
        """a - n * (the sum of `parts`, largest first)."""
        for part in parts:
            a = named(self.fma(n, self.number(-part), a), "r")
        return a

    def scale(self, a: SSAValue, n: SSAValue) -> SSAValue:
        """a * 2^n, rounded once."""
        return ScaleOp(a, n).result

    def exponent(self, a: SSAValue) -> SSAValue:
        """e with |a| = s 2^e, s in [3/4, 3/2)."""
        return named(ExponentOp(a).result, "e")

    def significand(self, a: SSAValue) -> SSAValue:
        """s as above."""
        return named(SignificandOp(a).result, "s")

    def lookup(self, index: SSAValue, table: Sequence[float]) -> SSAValue:
        """table[index mod its length]."""
        return LookupOp(index, table, self.float_type).result

    def rare(self, mask: SSAValue, value: SSAValue, x: SSAValue, name: str) -> SSAValue:
        """`value`, but libm's function `name` of x where `mask`, which hardly ever is set."""
        return RareOp(mask, value, x, name).result

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

    def int_add(self, a: SSAValue, b: SSAValue) -> SSAValue:
        """Wrapping sum."""
        return arith.AddiOp(a, b).result

    def int_and(self, a: SSAValue, b: SSAValue) -> SSAValue:
        """Bitwise and."""
        return arith.AndIOp(a, b).result

    def int_xor(self, a: SSAValue, b: SSAValue) -> SSAValue:
        """Bitwise exclusive or."""
        return arith.XOrIOp(a, b).result

    def shift_left(self, a: SSAValue, count: int) -> SSAValue:
        """a << count."""
        return arith.ShLIOp(a, self.bits(count)).result

    def shift_right(self, a: SSAValue, count: int) -> SSAValue:
        """a >> count, zeros coming in."""
        return arith.ShRUIOp(a, self.bits(count)).result

    @property
    def sign_bit(self) -> SSAValue:
        """Only the sign set."""
        return self.bits(-(1 << (31 if self.element == "f32" else 63)))

    def sign_of(self, a: SSAValue) -> SSAValue:
        """The sign bit of `a`, all others clear, as an integer."""
        return self.int_and(self.as_bits(a), self.sign_bit)

    def odd_sign(self, shifted: SSAValue) -> SSAValue:
        """The sign bit if the whole number in the low bits of `shifted` is odd."""
        return self.shift_left(self.as_bits(shifted), 31 if self.element == "f32" else 63)

    def is_odd(self, shifted: SSAValue) -> SSAValue:
        """A mask of the odd whole numbers in the low bits."""
        op = vector_arith.CmpiOp if self.lanes > 1 else arith.CmpiOp
        return op(self.odd_sign(shifted), self.bits(0), "slt").result

    def flip(self, a: SSAValue, sign: SSAValue) -> SSAValue:
        """`a`, negated where the integer `sign` has the sign bit."""
        return self.as_float(self.int_xor(self.as_bits(a), sign))

    def with_sign_of(self, magnitude: SSAValue, source: SSAValue) -> SSAValue:
        """|magnitude| with the sign of `source`."""
        return math.CopySignOp(magnitude, source).result


def named(value: SSAValue, name: str) -> SSAValue:
    """`value`, called `name` in IR and C."""
    value.name_hint = name
    return value


def define(
    name: str, formula: Formula, body: Callable[..., SSAValue], arity: int = 1
) -> func.FuncOp:
    """The function @tc_NAME_f32 or @tc_NAME_f32_vLANES; _4ulp in the coarser accuracy."""
    block = Block(arg_types=[formula.float_type] * arity)
    for argument, letter in zip(block.args, "xy", strict=False):
        argument.name_hint = letter
    with ImplicitBuilder(block):
        func.ReturnOp(body(formula, *block.args))
    _share_constants(block)
    type = FunctionType.from_lists([formula.float_type] * arity, [formula.float_type])
    return func.FuncOp(symbol(name, formula), type, Region(block), visibility="private")


def symbol(name: str, formula: Formula) -> str:
    """The name that `define` gives a function."""
    suffix = "_4ulp" if formula.accuracy == 4 else ""
    suffix += f"_v{formula.lanes}" if formula.lanes > 1 else ""
    return f"tc_{name}_{formula.element}{suffix}"


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
