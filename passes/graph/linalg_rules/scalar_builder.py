"""Write the body of a `linalg.generic`: scalar arith and math ops picked by element type."""

from __future__ import annotations

from xdsl.builder import Builder
from xdsl.dialects import arith, math
from xdsl.dialects.builtin import (
    AnyFloat,
    BFloat16Type,
    Float16Type,
    FloatAttr,
    IndexType,
    IntegerAttr,
    IntegerType,
    f32,
    i32,
)
from xdsl.dialects.linalg.ops import IndexOp
from xdsl.dialects.tensor import ExtractOp
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.utils.type import get_element_type_or_self

from ....dialects.errors import LoweringError
from ....dialects.graph import SizeIndexOp, element_of
from ....dialects.integers import is_unsigned
from ....dialects.sizes import Size

Number = float | int | bool

FLOAT_PREDICATES = {"eq": "oeq", "ne": "une", "lt": "olt", "le": "ole", "gt": "ogt", "ge": "oge"}
SIGNED_PREDICATES = {"eq": "eq", "ne": "ne", "lt": "slt", "le": "sle", "gt": "sgt", "ge": "sge"}
# As a signed one-bit number `true` is -1, so truth values compare without sign.
TRUTH_PREDICATES = {"eq": "eq", "ne": "ne", "lt": "ult", "le": "ule", "gt": "ugt", "ge": "uge"}


def is_float(type: Attribute) -> bool:
    """Whether `type` is a floating point type, or a vector of one."""
    return isinstance(get_element_type_or_self(type), AnyFloat)


def is_truth(type: Attribute) -> bool:
    """Whether `type` is i1, the element type of boolean tensors, or a vector of it."""
    element = get_element_type_or_self(type)
    return isinstance(element, IntegerType) and element.width.data == 1


def computed_in(type: Attribute) -> Attribute:
    """The type that values of `type` are computed in.

    f32 for f16 and bf16, i32 for ui8: they only store.
    """
    if isinstance(type, Float16Type | BFloat16Type):
        return f32
    return i32 if is_unsigned(type) else type


def number_attribute(value: Number, type: Attribute) -> FloatAttr | IntegerAttr:
    """`value` as a constant of `type`."""
    if isinstance(type, AnyFloat):
        return FloatAttr(float(value), type)
    if isinstance(type, IntegerType | IndexType):
        return IntegerAttr(int(value), type)
    raise LoweringError(f"expected a float, integer or index type for a constant, found {type}")


def constant_of(scalar: SSAValue) -> Number | None:
    """The number that `scalar` is, if it is a constant of the body."""
    owner = scalar.owner
    if not isinstance(owner, arith.ConstantOp):
        return None
    assert isinstance(owner.value, FloatAttr | IntegerAttr)
    return owner.value.value.data


class ScalarBuilder:
    """Appends scalar ops to one block. Every method returns the new scalar."""

    def __init__(self, builder: Builder) -> None:
        self._builder = builder
        self._constants: dict[tuple[str, Attribute], SSAValue] = {}

    def insert(self, op: Operation) -> SSAValue:
        """Append `op`, which has one result."""
        return self._builder.insert(op).results[0]

    def finish(self, terminator: Operation) -> None:
        """Append `terminator`, which ends the block."""
        self._builder.insert(terminator)

    def constant(self, value: Number, type: Attribute) -> SSAValue:
        """`value` as a scalar of `type`; equal constants of one body are one op."""
        attribute = number_attribute(value, type)
        key = (str(attribute), type)
        if key not in self._constants:
            self._constants[key] = self.insert(arith.ConstantOp(attribute))
        return self._constants[key]

    def like(self, value: Number, scalar: SSAValue) -> SSAValue:
        """`value`, a number or a size of the call, in the type of `scalar`."""
        if isinstance(value, Size):
            return self.from_index(self.insert(SizeIndexOp(value)), scalar.type)
        return self.constant(value, scalar.type)

    def widen(self, a: SSAValue) -> SSAValue:
        """`a` in the type it is computed in."""
        wide = computed_in(a.type)
        if wide == a.type:
            return a
        return self.insert(arith.ExtFOp(a, wide) if is_float(wide) else arith.ExtUIOp(a, i32))

    def narrow(self, a: SSAValue, type: Attribute) -> SSAValue:
        """`a` as it is stored in `type`; what was widened and not computed with stays the same."""
        if a.type == type or computed_in(type) == type:
            return a
        if isinstance(a.owner, arith.ExtFOp | arith.ExtUIOp) and a.owner.input.type == type:
            return a.owner.input
        if is_float(type):
            return self.insert(arith.TruncFOp(a, type))
        assert isinstance(type, IntegerType)
        return self.insert(arith.TruncIOp(a, type))

    def add(self, a: SSAValue, b: SSAValue) -> SSAValue:
        """a + b; on truth values `or`, as torch adds booleans."""
        if is_float(a.type):
            return self.insert(arith.AddfOp(a, b))
        if is_truth(a.type):
            return self.either(a, b)
        return self.insert(arith.AddiOp(a, b))

    def sub(self, a: SSAValue, b: SSAValue) -> SSAValue:
        """a - b."""
        if is_float(a.type):
            return self.insert(arith.SubfOp(a, b))
        return self.insert(arith.SubiOp(a, b))

    def mul(self, a: SSAValue, b: SSAValue) -> SSAValue:
        """a * b; on truth values `and`."""
        if is_float(a.type):
            return self.insert(arith.MulfOp(a, b))
        if is_truth(a.type):
            return self.both(a, b)
        return self.insert(arith.MuliOp(a, b))

    def div(self, a: SSAValue, b: SSAValue) -> SSAValue:
        """a / b; integers truncate."""
        if is_float(a.type):
            return self.insert(arith.DivfOp(a, b))
        return self.insert(arith.DivSIOp(a, b))

    def maximum(self, a: SSAValue, b: SSAValue) -> SSAValue:
        """The larger one; NaN if either is."""
        if is_float(a.type):
            return self.insert(arith.MaximumfOp(a, b))
        if is_truth(a.type):
            return self.either(a, b)
        return self.insert(arith.MaxSIOp(a, b))

    def plain_maximum(self, a: SSAValue, b: SSAValue) -> SSAValue:
        """The larger float; either where one is NaN: one instruction, not three."""
        return self.insert(arith.MaxnumfOp(a, b))

    def minimum(self, a: SSAValue, b: SSAValue) -> SSAValue:
        """The smaller one; NaN if either is."""
        if is_float(a.type):
            return self.insert(arith.MinimumfOp(a, b))
        if is_truth(a.type):
            return self.both(a, b)
        return self.insert(arith.MinSIOp(a, b))

    def both(self, a: SSAValue, b: SSAValue) -> SSAValue:
        """Bitwise a & b."""
        return self.insert(arith.AndIOp(a, b))

    def either(self, a: SSAValue, b: SSAValue) -> SSAValue:
        """Bitwise a | b."""
        return self.insert(arith.OrIOp(a, b))

    def differ(self, a: SSAValue, b: SSAValue) -> SSAValue:
        """Bitwise a ^ b."""
        return self.insert(arith.XOrIOp(a, b))

    def invert(self, a: SSAValue) -> SSAValue:
        """Bitwise ~a; on truth values `not`."""
        return self.differ(a, self.like(1 if is_truth(a.type) else -1, a))

    def negate(self, a: SSAValue) -> SSAValue:
        """-a."""
        if is_float(a.type):
            return self.insert(arith.NegfOp(a))
        return self.sub(self.like(0, a), a)

    def compare(self, relation: str, a: SSAValue, b: SSAValue) -> SSAValue:
        """i1 of `a relation b` for eq, ne, lt, le, gt, ge; with NaN only `ne` holds."""
        if is_float(a.type):
            return self.insert(arith.CmpfOp(a, b, FLOAT_PREDICATES[relation]))
        table = TRUTH_PREDICATES if is_truth(a.type) else SIGNED_PREDICATES
        return self.insert(arith.CmpiOp(a, b, table[relation]))

    def select(self, condition: SSAValue, a: SSAValue, b: SSAValue) -> SSAValue:
        """a where condition, else b."""
        return self.insert(arith.SelectOp(condition, a, b))

    def exp(self, a: SSAValue) -> SSAValue:
        """e ** a."""
        return self.insert(math.ExpOp(a))

    def log(self, a: SSAValue) -> SSAValue:
        """Natural logarithm."""
        return self.insert(math.LogOp(a))

    def sqrt(self, a: SSAValue) -> SSAValue:
        """Square root."""
        return self.insert(math.SqrtOp(a))

    def absolute(self, a: SSAValue) -> SSAValue:
        """|a|."""
        if is_float(a.type):
            return self.insert(math.AbsFOp(a))
        return self.maximum(a, self.negate(a))

    def fma(self, a: SSAValue, b: SSAValue, c: SSAValue) -> SSAValue:
        """a * b + c, rounded once."""
        return self.insert(math.FmaOp(a, b, c))

    def iteration(self, dim: int) -> SSAValue:
        """The number of the current iteration of loop `dim`, an index."""
        return self.insert(IndexOp(dim))

    def to_index(self, a: SSAValue) -> SSAValue:
        """An integer as an index."""
        return self.insert(arith.IndexCastOp(a, IndexType()))

    def from_index(self, a: SSAValue, type: Attribute) -> SSAValue:
        """An index as an integer or float of `type`."""
        if not isinstance(type, AnyFloat):
            return self.insert(arith.IndexCastOp(a, type))
        return self.insert(arith.SIToFPOp(self.insert(arith.IndexCastOp(a, IntegerType(64))), type))

    def extract(self, tensor: SSAValue, indices: list[SSAValue]) -> SSAValue:
        """The element of `tensor` at data-dependent `indices`."""
        return self.insert(ExtractOp(tensor, indices, element_of(tensor)))
