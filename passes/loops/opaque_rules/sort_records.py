"""What is sorted: per element one integer record that orders as torch does, ties by position.

An element of up to 32 bits and its position share one i64, key << 32 | position, so that a record
is compared and moved as one number and no two are equal. Wider keys have the position beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.dialects import arith
from xdsl.dialects.builtin import Float32Type, IntegerType, i64
from xdsl.ir import Attribute, SSAValue

from ...graph.linalg_rules.scalar_builder import is_float, is_truth
from .loop_builder import LoopBuilder

Record = Sequence[SSAValue]
LARGEST = (1 << 63) - 1


@dataclass(frozen=True)
class RecordFormat:
    """How elements of one type become records."""

    element: Attribute
    descending: bool

    @property
    def is_packed(self) -> bool:
        """Whether key and position share one number."""
        if isinstance(self.element, IntegerType):
            return bool(self.element.width.data <= 32)
        return isinstance(self.element, Float32Type)

    @property
    def columns(self) -> int:
        """How many numbers of type i64 make a record."""
        return 1 if self.is_packed else 2

    def make(self, b: LoopBuilder, value: SSAValue, position: SSAValue) -> Record:
        """The record of the element `value` at index `position`."""
        key, at = self._key(b, value), b.from_index(position, i64)
        if not self.is_packed:
            return [key, at]
        return [b.either(b.insert(arith.ShLIOp(key, b.like(32, key))), at)]

    def position(self, b: LoopBuilder, record: Record) -> SSAValue:
        """The i64 position in a record."""
        if not self.is_packed:
            return record[1]
        return b.both(record[0], b.like((1 << 32) - 1, record[0]))

    def last(self, b: LoopBuilder) -> Record:
        """A record after all others."""
        return [b.constant(LARGEST, i64)] * self.columns

    def is_before(self, b: LoopBuilder, left: Record, right: Record) -> SSAValue:
        """Whether `left` sorts before `right`; ties by position."""
        before = b.compare("lt", left[0], right[0])
        if self.is_packed:
            return before
        tie = b.compare("eq", left[0], right[0])
        return b.either(before, b.both(tie, b.compare("lt", left[1], right[1])))

    def _key(self, b: LoopBuilder, value: SSAValue) -> SSAValue:
        """An i64 that is smaller for what comes first."""
        if is_float(self.element):
            key = _float_key(b, value)
        elif is_truth(self.element):
            key = b.insert(arith.ExtUIOp(value, i64))
        else:
            key = value
        if key.type != i64:
            key = b.insert(arith.ExtSIOp(key, i64))
        return b.invert(key) if self.descending else key


def _float_key(b: LoopBuilder, value: SSAValue) -> SSAValue:
    """The bits of a float as an integer of the same order: magnitude bits of negatives inverted.

    Adding zero makes both zeros the positive one; every NaN becomes the largest integer.
    """
    width = 32 if isinstance(value.type, Float32Type) else 64
    integer = IntegerType(width)
    largest = b.constant((1 << (width - 1)) - 1, integer)
    bits = b.insert(arith.BitcastOp(b.add(value, b.like(0.0, value)), integer))
    sign = b.insert(arith.ShRSIOp(bits, b.like(width - 1, bits)))
    ordered = b.differ(bits, b.both(sign, largest))
    return b.select(b.compare("ne", value, value), largest, ordered)
