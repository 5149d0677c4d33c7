"""Arithmetic on whole vectors in loops that are written by hand."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects import arith, math, vector
from xdsl.dialects.builtin import VectorType
from xdsl.ir import SSAValue

from .loop_builder import LoopBuilder


class Vectors:
    """Arithmetic on vectors of `lanes` in one block."""

    def __init__(self, b: LoopBuilder, type: VectorType, has_fma: bool) -> None:
        self.b, self.type, self.has_fma = b, type, has_fma

    def load(self, array: SSAValue, position: Sequence[SSAValue]) -> SSAValue:
        return self.b.insert(vector.LoadOp(array, self.b.place(array, position), self.type))

    def store(self, value: SSAValue, array: SSAValue, position: Sequence[SSAValue]) -> None:
        self.b.append(vector.StoreOp(value, array, self.b.place(array, position)))

    def splat(self, scalar: SSAValue) -> SSAValue:
        return self.b.insert(vector.BroadcastOp(scalar, self.type))

    def constant(self, value: float) -> SSAValue:
        return self.splat(self.b.constant(value, self.type.element_type))

    def add(self, a: SSAValue, b: SSAValue) -> SSAValue:
        return self.b.insert(arith.AddfOp(a, b))

    def sub(self, a: SSAValue, b: SSAValue) -> SSAValue:
        return self.b.insert(arith.SubfOp(a, b))

    def mul(self, a: SSAValue, b: SSAValue) -> SSAValue:
        return self.b.insert(arith.MulfOp(a, b))

    def multiply_add(self, a: SSAValue, b: SSAValue, c: SSAValue) -> SSAValue:
        """a * b + c, rounded once where that is one instruction."""
        return self.b.insert(vector.FMAOp(a, b, c)) if self.has_fma else self.add(self.mul(a, b), c)

    def relu(self, a: SSAValue) -> SSAValue:
        return self.b.insert(arith.MaximumfOp(a, self.constant(0.0)))

    def tanh(self, a: SSAValue) -> SSAValue:
        return self.b.insert(math.TanhOp(a))

    def sigmoid(self, a: SSAValue) -> SSAValue:
        one = self.constant(1.0)
        power = self.b.insert(math.ExpOp(self.b.insert(arith.NegfOp(a))))
        return self.b.insert(arith.DivfOp(one, self.add(one, power)))
