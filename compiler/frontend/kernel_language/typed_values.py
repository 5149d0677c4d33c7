"""Values of the kernel language: typed ones, and numbers that take the type of what they meet."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from xdsl.dialects import affine, arith
from xdsl.dialects.builtin import FloatAttr, IntegerAttr
from xdsl.ir import Operation, SSAValue
from xdsl.ir.affine import AffineExpr

from .element_types import ElementType, i64
from .scope import Scope
from .source import KernelSource


@dataclass(frozen=True)
class Typed:
    """A value of an element type."""

    value: SSAValue
    element: ElementType


Number = AffineExpr | int | float  # numbers and index expressions have no type yet


@dataclass(frozen=True)
class Choice:
    """One of two numbers, which get their type from what they meet."""

    condition: SSAValue
    then: Number
    other: Number


Scalar = Typed | Choice | Number


@dataclass
class TypedValues:
    """Gives types to numbers and converts values, in the block of `scope`."""

    source: KernelSource
    scope: Scope

    def add(self, op: Operation, node: ast.AST) -> SSAValue:
        """Append `op` at the line of `node`; its result."""
        return self.scope.add(op, self.source.place(node)).results[0]

    def typed(self, scalar: Scalar, element: ElementType, node: ast.AST) -> Typed:
        """`scalar` as `element`; only numbers and index expressions convert."""
        match scalar:
            case Typed():
                if scalar.element != element:
                    raise self.source.error(
                        node,
                        f"expected {element}, found {scalar.element}; convert with {element}(...)",
                    )
                return scalar
            case Choice(condition, then, other):
                left, right = self.typed(then, element, node), self.typed(other, element, node)
                select = arith.SelectOp(condition, left.value, right.value)
                return Typed(self.add(select, node), element)
            case AffineExpr():
                return self._from_index(scalar, element, node)
        if element.is_float:
            constant = arith.ConstantOp(FloatAttr(float(scalar), element.ir))  # type: ignore[arg-type]
        elif isinstance(scalar, int):
            constant = arith.ConstantOp(IntegerAttr(scalar, element.ir))  # type: ignore[arg-type]
        else:
            raise self.source.error(node, f"{scalar} is no {element}")
        return Typed(self.add(constant, node), element)

    def _from_index(self, expr: AffineExpr, element: ElementType, node: ast.AST) -> Typed:
        index = self.add(affine.ApplyOp(self.scope.operands, self.scope.map(expr)), node)
        if not element.is_float:
            return Typed(self.add(arith.IndexCastOp(index, element.ir), node), element)
        integer = self.add(arith.IndexCastOp(index, i64.ir), node)
        return Typed(self.add(arith.SIToFPOp(integer, element.ir), node), element)  # type: ignore[arg-type]

    def convert(self, scalar: Scalar, element: ElementType, node: ast.AST) -> Typed:
        """`scalar` as `element`, converted where it has another type."""
        if not isinstance(scalar, Typed) or scalar.element == element:
            return self.typed(scalar, element, node)
        old, value = scalar.element, scalar.value
        op: Operation
        match old.is_float, element.is_float:
            case True, True:
                wider = element.dtype.itemsize > old.dtype.itemsize
                op = (arith.ExtFOp if wider else arith.TruncFOp)(value, element.ir)
            case False, False:
                wider = element.dtype.itemsize > old.dtype.itemsize
                op = (arith.ExtSIOp if wider else arith.TruncIOp)(value, element.ir)  # type: ignore[arg-type]
            case False, True:
                op = arith.SIToFPOp(value, element.ir)  # type: ignore[arg-type]
            case _:
                op = arith.FPToSIOp(value, element.ir)  # type: ignore[arg-type]
        return Typed(self.add(op, node), element)


def negative(number: Number) -> Number:
    """-number."""
    return number * -1 if isinstance(number, AffineExpr) else -number
