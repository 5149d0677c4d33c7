"""Ops on `count` lanes at a time, written once: vectors, or scalars where there is one lane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.dialects import arith, math, vector
from xdsl.dialects.builtin import Float32Type, IntegerType, MemRefType, VectorType, f32, i32
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.utils.type import get_element_type_or_self

from ....dialects.vector import FnmaOp, GatherOp
from ....dialects.vector_arith import CmpiOp, ExtUIOp, SelectOp, SIToFPOp
from ...graph.linalg_rules.scalar_builder import Number
from ..opaque_rules.loop_builder import Bound, LoopBuilder


@dataclass(frozen=True)
class Lanes:
    """How wide values are, and whether multiply-add is one instruction."""

    count: int
    has_fma: bool

    def type(self, element: Attribute) -> Attribute:
        """The type of a value with elements of `element`."""
        return element if self.count == 1 else VectorType(element, [self.count])

    def splat(self, b: LoopBuilder, value: SSAValue) -> SSAValue:
        """A scalar in every lane."""
        if self.count == 1:
            return value
        return b.insert(vector.BroadcastOp(value, VectorType(value.type, [self.count])))

    def constant(self, b: LoopBuilder, value: Number, element: Attribute) -> SSAValue:
        """A number in every lane."""
        return self.splat(b, b.constant(value, element))

    def load(self, b: LoopBuilder, array: SSAValue, position: Sequence[Bound]) -> SSAValue:
        """Consecutive elements from `position` on."""
        if self.count == 1:
            return b.load(array, position)
        assert isinstance(array.type, MemRefType)
        type = VectorType(array.type.element_type, [self.count])
        return b.insert(vector.LoadOp(array, [b.index(p) for p in position], type))

    def store(
        self,
        b: LoopBuilder,
        value: SSAValue,
        array: SSAValue,
        position: Sequence[Bound],
        room: SSAValue | None,
    ) -> None:
        """Write consecutive elements, the first `room` (all where None) of them."""
        if self.count == 1:
            if room is None:
                b.store(value, array, position)
            else:
                inside = b.compare("gt", room, b.index(0))
                b.when(inside, lambda inner: inner.store(value, array, position))
            return
        indices = [b.index(p) for p in position]
        if room is None:
            b.append(vector.StoreOp(value, array, indices))
            return
        mask = b.insert(vector.CreateMaskOp([room], VectorType(IntegerType(1), [self.count])))
        b.append(vector.MaskedStoreOp(array, indices, mask, value))

    def fma(self, b: LoopBuilder, x: SSAValue, y: SSAValue, total: SSAValue) -> SSAValue:
        """total + x * y."""
        if not self.has_fma:
            return b.add(total, b.mul(x, y))
        return b.insert(math.FmaOp(x, y, total) if self.count == 1 else vector.FMAOp(x, y, total))

    def subtract_product(
        self, b: LoopBuilder, total: SSAValue, x: SSAValue, y: SSAValue
    ) -> SSAValue:
        """total - x * y."""
        if self.count == 1 or not self.has_fma:
            return b.sub(total, b.mul(x, y))
        return b.insert(FnmaOp(x, y, total))

    def shift_right(self, b: LoopBuilder, value: SSAValue, amount: int) -> SSAValue:
        """The bits from `amount` on; zeros come in."""
        return b.insert(arith.ShRUIOp(value, self._like(b, amount, value))) if amount else value

    def shift_left(self, b: LoopBuilder, value: SSAValue, amount: int) -> SSAValue:
        """value * 2^amount, modulo 2^32."""
        return b.insert(arith.ShLIOp(value, self._like(b, amount, value))) if amount else value

    def shift_right_signed(self, b: LoopBuilder, value: SSAValue, amount: int) -> SSAValue:
        """The bits from `amount` on; copies of the sign come in."""
        return b.insert(arith.ShRSIOp(value, self._like(b, amount, value))) if amount else value

    def both(self, b: LoopBuilder, value: SSAValue, mask: int) -> SSAValue:
        """value & mask."""
        return b.both(value, self._like(b, mask, value))

    def as_float(self, b: LoopBuilder, bits: SSAValue) -> SSAValue:
        """The f32 that has these bits."""
        cast = arith.BitcastOp if self.count == 1 else vector.BitcastOp
        return b.insert(cast(bits, self.type(f32)))

    def as_bits(self, b: LoopBuilder, value: SSAValue) -> SSAValue:
        """The bits of an f32."""
        cast = arith.BitcastOp if self.count == 1 else vector.BitcastOp
        return b.insert(cast(value, self.type(i32)))

    def widen(self, b: LoopBuilder, value: SSAValue) -> SSAValue:
        """Narrow integers without sign as i32."""
        if self.count == 1:
            return b.insert(arith.ExtUIOp(value, i32))
        return b.insert(ExtUIOp(value, self.type(i32)))

    def convert(self, b: LoopBuilder, value: SSAValue) -> SSAValue:
        """i32 as f32."""
        if self.count == 1:
            return b.insert(arith.SIToFPOp(value, f32))
        return b.insert(SIToFPOp(value, self.type(f32)))

    def where_at_least(
        self, b: LoopBuilder, code: SSAValue, bound: int, then: SSAValue, otherwise: SSAValue
    ) -> SSAValue:
        """`then` where code >= bound, else `otherwise`."""
        limit = self._like(b, bound, code)
        if self.count == 1:
            condition: Operation = arith.CmpiOp(code, limit, "sge")
            return b.insert(arith.SelectOp(b.insert(condition), then, otherwise))
        return b.insert(SelectOp(b.insert(CmpiOp(code, limit, "sge")), then, otherwise))

    def reduced(self, b: LoopBuilder, value: SSAValue, kind: vector.CombiningKindFlag) -> SSAValue:
        """All lanes combined."""
        if self.count == 1:
            return value
        op = vector.ReductionOp.build(
            operands=[value, []],
            result_types=[get_element_type_or_self(value.type)],
            properties={"kind": vector.CombiningKindAttr(kind)},
        )
        return b.insert(op)

    def gather(self, b: LoopBuilder, table: SSAValue, codes: SSAValue) -> SSAValue:
        """table[codes[l]] in every lane."""
        if self.count == 1:
            return b.load(table, [b.to_index(codes)])
        mask = self.constant(b, True, IntegerType(1))
        zero = self.constant(b, 0.0, Float32Type())
        return b.insert(GatherOp(table, [b.index(0)], codes, mask, zero))

    def _like(self, b: LoopBuilder, value: int, other: SSAValue) -> SSAValue:
        return self.constant(b, value, get_element_type_or_self(other.type))
