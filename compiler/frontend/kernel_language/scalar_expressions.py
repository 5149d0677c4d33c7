"""Python expressions as scalar arithmetic on elements and scalars.

Numbers take the type of what they meet, as NumPy's do; mixed types are an error.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Sequence
from typing import Any

from xdsl.dialects import affine, arith, math
from xdsl.ir import Operation, SSAValue
from xdsl.ir.affine import AffineConstantExpr, AffineExpr

from .affine_expressions import ALLOWED, affine_expression, try_affine
from .element_types import ElementType, f64, i64
from .functions import (
    FLOAT_EXTREMA,
    INTEGER_EXTREMA,
    POWERS,
    UNARY,
    function_names,
    lookup,
)
from .scope import Array
from .typed_values import Choice, Scalar, Typed, TypedValues, negative

FLOAT_OPS: dict[type[ast.operator], type[Operation]] = {
    ast.Add: arith.AddfOp,
    ast.Sub: arith.SubfOp,
    ast.Mult: arith.MulfOp,
    ast.Div: arith.DivfOp,
    ast.Pow: math.PowFOp,
}
INTEGER_OPS: dict[type[ast.operator], type[Operation]] = {
    ast.Add: arith.AddiOp,
    ast.Sub: arith.SubiOp,
    ast.Mult: arith.MuliOp,
    ast.FloorDiv: arith.FloorDivSIOp,
    ast.BitAnd: arith.AndIOp,
    ast.BitOr: arith.OrIOp,
    ast.BitXor: arith.XOrIOp,
}
NUMBER_OPS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
PREDICATES: dict[type[ast.cmpop], tuple[str, str]] = {
    ast.Eq: ("oeq", "eq"),
    ast.NotEq: ("une", "ne"),
    ast.Lt: ("olt", "slt"),
    ast.LtE: ("ole", "sle"),
    ast.Gt: ("ogt", "sgt"),
    ast.GtE: ("oge", "sge"),
}


class ScalarBuilder(TypedValues):
    """Appends the computation of expressions to the block of `scope`."""

    def evaluate(self, node: ast.expr, element: ElementType | None = None) -> Typed:
        """The value of `node`, as `element` where that is given (else numbers are f64)."""
        scalar = self.scalar(node)
        if element is None:
            element = scalar.element if isinstance(scalar, Typed) else f64
        return self.typed(scalar, element, node)

    def load(self, array: Array, indices: Sequence[AffineExpr], node: ast.AST) -> Typed:
        """One element."""
        load = affine.LoadOp(array.value, self.scope.operands, self.scope.map(*indices))
        return Typed(self.add(load, node), array.element)

    def element(self, node: ast.expr) -> tuple[Array, tuple[AffineExpr, ...]]:
        """The array and index that a subscript (`A[i, j]` or `A[i][j]`) or scalar name means."""
        indices: list[ast.expr] = []
        base = node
        while isinstance(base, ast.Subscript):
            inner = base.slice
            indices[:0] = inner.elts if isinstance(inner, ast.Tuple) else [inner]
            base = base.value
        name = base.id if isinstance(base, ast.Name) else None
        array = self.scope.arrays.get(name) if name is not None else None
        if array is None:
            known = ", ".join(self.scope.arrays) or "none"
            raise self.source.error(
                node, f"{ast.unparse(base)!r} is no array or scalar here; known: {known}"
            )
        if len(indices) != len(array.shape):
            raise self.source.error(
                node, f"{name} has {len(array.shape)} dimensions, found {len(indices)} subscripts"
            )
        return array, tuple(affine_expression(self.source, self.scope, i) for i in indices)

    def scalar(self, node: ast.expr) -> Scalar:
        """The value of `node`, typed or still a number."""
        if isinstance(node, ast.Constant) and type(node.value) in (int, float):
            number: int | float = node.value  # type: ignore[assignment]
            return number
        index = try_affine(self.source, self.scope, node)
        if index is not None:
            return index.value if isinstance(index, AffineConstantExpr) else index
        match node:
            case ast.Name(id=name) if name not in self.scope.arrays:
                return self._outside(node)
            case ast.Name() | ast.Subscript():
                return self.load(*self.element(node), node)
            case ast.Attribute():
                return self._outside(node)
            case ast.UnaryOp(op=ast.UAdd()):
                return self.scalar(node.operand)
            case ast.UnaryOp(op=ast.USub()):
                return self._negate(self.scalar(node.operand), node)
            case ast.BinOp():
                return self._binary(node)
            case ast.Call():
                return self._call(node)
            case ast.IfExp():
                return self._select(node)
        raise self.source.error(
            node,
            f"{ast.unparse(node)!r} is no expression of the kernel language: numbers, array "
            "elements, + - * / // **, a if c else b, and calls of "
            f"{function_names()} and element types",
        )

    def _outside(self, node: ast.expr) -> float:
        if isinstance(node, ast.Name) and node.id in self.scope.constants:
            return self.scope.constants[node.id]
        found = self.source.resolve(node)
        if isinstance(found, bool) or not isinstance(found, int | float):
            raise self.source.error(
                node,
                f"{ast.unparse(node)!r} is not defined: expected a parameter, a loop variable, a "
                "local that was assigned before, or a Python number",
            )
        return found

    def _negate(self, operand: Scalar, node: ast.AST) -> Scalar:
        if isinstance(operand, Choice):
            then, other = negative(operand.then), negative(operand.other)
            return Choice(operand.condition, then, other)
        if not isinstance(operand, Typed):
            return negative(operand)
        if operand.element.is_float:
            return Typed(self.add(arith.NegfOp(operand.value), node), operand.element)
        zero = self.typed(0, operand.element, node)
        return Typed(self.add(arith.SubiOp(zero.value, operand.value), node), operand.element)

    def _pair(self, lhs: Scalar, rhs: Scalar, node: ast.AST) -> tuple[Typed, Typed]:
        """Both in one type: that of the typed one, f64 where none is."""
        element = next((s.element for s in (lhs, rhs) if isinstance(s, Typed)), f64)
        return self.typed(lhs, element, node), self.typed(rhs, element, node)

    def _binary(self, node: ast.BinOp) -> Scalar:
        lhs, rhs = self.scalar(node.left), self.scalar(node.right)
        both_are_numbers = isinstance(lhs, int | float) and isinstance(rhs, int | float)
        if both_are_numbers and type(node.op) in NUMBER_OPS:
            result: int | float = NUMBER_OPS[type(node.op)](lhs, rhs)
            return result
        return self.combine(node.op, lhs, rhs, node)

    def combine(self, op: ast.operator, lhs: Scalar, rhs: Scalar, node: ast.AST) -> Typed:
        """lhs op rhs."""
        left, right = self._pair(lhs, rhs, node)
        table = FLOAT_OPS if left.element.is_float else INTEGER_OPS
        if type(op) not in table:
            raise self.source.error(
                node,
                f"{type(op).__name__} does not exist for {left.element}; there are "
                f"{', '.join(o.__name__ for o in table)}",
            )
        combined = table[type(op)].create(
            operands=[left.value, right.value],
            result_types=[left.element.ir],
            properties=_no_flags(left.element),
        )
        return Typed(self.add(combined, node), left.element)

    def _call(self, node: ast.Call) -> Scalar:
        function = self.source.resolve(node.func)
        if node.keywords:
            raise self.source.error(node, "calls in a kernel take positional arguments only")
        arguments = [self.scalar(a) for a in node.args]
        if isinstance(function, ElementType) and len(arguments) == 1:
            return self.convert(arguments[0], function, node)
        if (op := lookup(UNARY, function)) is not None and len(arguments) == 1:
            return self._unary(op, arguments[0], node)
        if any(function is power for power in POWERS) and len(arguments) == 2:
            return self.combine(ast.Pow(), arguments[0], arguments[1], node)
        if lookup(FLOAT_EXTREMA, function) is not None and len(arguments) >= 2:
            best = arguments[0]
            for argument in arguments[1:]:
                best = self._extremum(function, best, argument, node)
            return best
        raise self.source.error(
            node,
            f"{ast.unparse(node.func)}() with {len(arguments)} arguments cannot be called in a "
            f"kernel; callable are {function_names()} and element types such as f64",
        )

    def _unary(self, op: type[Operation], argument: Scalar, node: ast.AST) -> Typed:
        operand = self.typed(argument, f64, node) if not isinstance(argument, Typed) else argument
        if not operand.element.is_float:
            if op is not math.AbsFOp:
                raise self.source.error(node, f"expected a float argument, found {operand.element}")
            op = math.AbsIOp
        created = op.create(
            operands=[operand.value],
            result_types=[operand.element.ir],
            properties=_no_flags(operand.element),
        )
        return Typed(self.add(created, node), operand.element)

    def _extremum(self, function: Any, lhs: Scalar, rhs: Scalar, node: ast.AST) -> Typed:
        left, right = self._pair(lhs, rhs, node)
        table = FLOAT_EXTREMA if left.element.is_float else INTEGER_EXTREMA
        op = lookup(table, function)
        assert op is not None
        created = op.create(
            operands=[left.value, right.value],
            result_types=[left.element.ir],
            properties=_no_flags(left.element),
        )
        return Typed(self.add(created, node), left.element)

    def _select(self, node: ast.IfExp) -> Scalar:
        condition = self._condition(node.test)
        then, other = self.scalar(node.body), self.scalar(node.orelse)
        if not isinstance(then, Typed | Choice) and not isinstance(other, Typed | Choice):
            return Choice(condition, then, other)
        left, right = self._pair(then, other, node)
        select = arith.SelectOp(condition, left.value, right.value)
        return Typed(self.add(select, node), left.element)

    def _condition(self, node: ast.expr) -> SSAValue:
        """The i1 value of a comparison of scalars, or of and, or, not over them."""
        match node:
            case ast.BoolOp(op=kind, values=values):
                op = arith.AndIOp if isinstance(kind, ast.And) else arith.OrIOp
                total = self._condition(values[0])
                for value in values[1:]:
                    total = self.add(op(total, self._condition(value)), node)
                return total
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                true = self.add(arith.ConstantOp.from_int_and_width(1, 1), node)
                return self.add(arith.XOrIOp(self._condition(operand), true), node)
            case ast.Compare(left=first, ops=[kind], comparators=[second]):
                if type(kind) in PREDICATES:
                    return self._compare(kind, first, second, node)
        raise self.source.error(
            node, f"expected one comparison of two values, or and, or, not; {ALLOWED}"
        )

    def _compare(
        self, kind: ast.cmpop, first: ast.expr, second: ast.expr, node: ast.AST
    ) -> SSAValue:
        lhs, rhs = self.scalar(first), self.scalar(second)
        if not isinstance(lhs, Typed) and not isinstance(rhs, Typed):
            lhs, rhs = self.typed(lhs, i64, node), self.typed(rhs, i64, node)
        left, right = self._pair(lhs, rhs, node)
        for_floats, for_integers = PREDICATES[type(kind)]
        if left.element.is_float:
            return self.add(arith.CmpfOp(left.value, right.value, for_floats), node)
        return self.add(arith.CmpiOp(left.value, right.value, for_integers), node)


def _no_flags(element: ElementType) -> dict[str, Any]:
    """The properties that float ops must have: no fast-math."""
    return {"fastmath": arith.FastMathFlagsAttr("none")} if element.is_float else {}
