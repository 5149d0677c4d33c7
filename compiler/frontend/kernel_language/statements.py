"""Statements of a kernel as affine IR: loops, branches, assignments, local arrays."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from xdsl.dialects import affine, memref
from xdsl.dialects.builtin import AffineMapAttr, IndexType
from xdsl.ir import Block, Region
from xdsl.ir.affine import AffineConstantExpr, AffineExpr, AffineMap

from ....passes.poly.affine_maps import simplify
from .affine_expressions import (
    affine_expression,
    constant_expression,
    extent_expression,
    static_shape,
)
from .conditions import emit_branch
from .element_types import ELEMENT_TYPES, ElementType, f64
from .functions import EMPTY
from .scalar_expressions import ScalarBuilder
from .scope import Array, Scope
from .source import KernelSource
from .typed_values import Typed

ALLOWED = (
    "a kernel is made of `for i in range(...)`, `if` on affine conditions, assignments to array "
    "elements and scalars, and local arrays by numpy.empty or numpy.zeros"
)


@dataclass
class StatementBuilder:
    """Appends the IR of statements to the block of `scope`."""

    source: KernelSource
    scope: Scope

    @property
    def scalars(self) -> ScalarBuilder:
        """Builds the expressions of statements."""
        return ScalarBuilder(self.source, self.scope)

    def body(self, statements: Sequence[ast.stmt]) -> None:
        """Append `statements` in order."""
        for statement in statements:
            self.statement(statement)

    def statement(self, node: ast.stmt) -> None:
        """Append one statement."""
        match node:
            case ast.For():
                self._for(node)
            case ast.If():
                other = node.orelse
                emit_branch(
                    self.source,
                    self.scope,
                    node.test,
                    lambda: self.body(node.body),
                    (lambda: self.body(other)) if other else None,
                )
            case ast.Assign(targets=[target]):
                self._assign(target, node.value, None, node)
            case ast.AnnAssign(target=target, value=value) if value is not None:
                element = self.source.resolve(node.annotation)
                if not isinstance(element, ElementType):
                    raise self.source.error(node, "a local is annotated with an element type")
                self._assign(target, value, element, node)
            case ast.AugAssign():
                self._update(node)
            case ast.Pass() | ast.Expr(value=ast.Constant(value=str())):
                pass
            case ast.Return(value=None):
                raise self.source.error(node, f"a kernel cannot return early; {ALLOWED}")
            case _:
                raise self.source.error(
                    node, f"{type(node).__name__} is no statement of the kernel language: {ALLOWED}"
                )

    def _for(self, node: ast.For) -> None:
        call = node.iter
        is_range = isinstance(call, ast.Call) and self.source.resolve(call.func) is builtins.range
        if not isinstance(call, ast.Call) or not is_range or call.keywords or node.orelse:
            raise self.source.error(node, "a loop is `for i in range(...)` without else")
        if not isinstance(node.target, ast.Name):
            raise self.source.error(node, "a loop has one variable")
        name = node.target.id
        if name in self.scope.indices or name in self.scope.arrays:
            raise self.source.error(
                node, f"the loop variable {name!r} is the name of something else"
            )
        if not 1 <= len(call.args) <= 3:
            raise self.source.error(node, "range takes one to three arguments")
        first, last = (call.args[0], call.args[1]) if len(call.args) > 1 else (None, call.args[0])
        step = constant_expression(self.source, self.scope, call.args[2]) if call.args[2:] else 1
        if step == 0:
            raise self.source.error(node, "the step of range is 0")
        lower = self._bounds(first, "max") if first is not None else [AffineExpr.constant(0)]
        upper = self._bounds(last, "min" if step > 0 else "max")
        if len(lower) > 1 and step != 1:
            raise self.source.error(node, "max() as a start needs step 1")
        variable = AffineExpr.dimension(len(self.scope.loops))
        if step < 0:  # count upwards: i = first - k
            start = lower[0]
            upper = [simplify(start + e * -1) for e in upper]
            lower, value = [AffineExpr.constant(0)], simplify(start + variable * -1)
        else:
            value = variable
        self._emit_loop(node, name, lower, upper, abs(step), value)

    def _bounds(self, node: ast.expr, extremum: str) -> list[AffineExpr]:
        """The affine bounds that `node` is, or is the min or max of."""
        if isinstance(node, ast.Call) and not node.keywords:
            function = self.source.resolve(node.func)
            if function is getattr(builtins, extremum):
                return [e for argument in node.args for e in self._bounds(argument, extremum)]
        return [affine_expression(self.source, self.scope, node)]

    def _emit_loop(
        self,
        node: ast.For,
        name: str,
        lower: Sequence[AffineExpr],
        upper: Sequence[AffineExpr],
        step: int,
        value: AffineExpr,
    ) -> None:
        scope = self.scope
        body = Block(arg_types=[IndexType()])
        body.args[0].name_hint = name
        loop = affine.ForOp.from_region(
            scope.operands,
            scope.operands,
            [],
            [],
            scope.map(*lower),
            scope.map(*upper),
            Region(body),
            step,
        )
        scope.add(loop, self.source.place(node))
        outer = scope.block
        scope.loops.append(body.args[0])
        scope.indices[name] = value
        scope.block = body
        self.body(node.body)
        body.add_op(affine.YieldOp.get())
        scope.block = outer
        del scope.indices[name]
        scope.loops.pop()

    def _assign(
        self, target: ast.expr, value: ast.expr, element: ElementType | None, node: ast.stmt
    ) -> None:
        if isinstance(target, ast.Name):
            if element is None and self._is_array_maker(value):
                self._make_array(target.id, value, node)
                return
            self._assign_scalar(target.id, value, element, node)
            return
        if not isinstance(target, ast.Subscript):
            raise self.source.error(node, "one array element or scalar is assigned at a time")
        array, indices = self.scalars.element(target)
        self._store(self.scalars.evaluate(value, array.element), array, indices, node)

    def _assign_scalar(
        self, name: str, value: ast.expr, element: ElementType | None, node: ast.stmt
    ) -> None:
        if name in self.scope.indices:
            raise self.source.error(node, f"{name!r} is an index and cannot be assigned")
        known = self.scope.arrays.get(name)
        is_constant = known is None and self._is_constant(name, element, value)
        number = self.scalars.scalar(value) if is_constant else None
        if isinstance(number, int | float):
            self.scope.constants[name] = number
            return
        if known is None:
            result = self.scalars.evaluate(value, element)
            known = self._local(name, result.element, ())
        else:
            self._check_scalar(name, known, element, node)
            result = self.scalars.evaluate(value, known.element)
        self._store(result, known, (), node)

    def _is_constant(self, name: str, element: ElementType | None, value: ast.expr) -> bool:
        """Whether `name` is assigned only here, from numbers: then nothing is emitted."""
        targets = [
            n.id
            for n in ast.walk(self.source.tree)
            if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
        ]
        reads_memory = any(
            isinstance(n, ast.Subscript | ast.Call)
            or (isinstance(n, ast.Name) and n.id in self.scope.arrays)
            for n in ast.walk(value)
        )
        return element is None and targets.count(name) == 1 and not reads_memory

    def _check_scalar(
        self, name: str, known: Array, element: ElementType | None, node: ast.stmt
    ) -> None:
        if known.shape:
            raise self.source.error(node, f"{name!r} is an array; assign to its elements")
        if not known.is_mutable:
            raise self.source.error(
                node, f"the scalar parameter {name!r} cannot be assigned; use a local"
            )
        if element not in (None, known.element):
            raise self.source.error(node, f"{name!r} is {known.element} already")

    def _update(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name) and node.target.id in self.scope.arrays:
            self._check_scalar(node.target.id, self.scope.arrays[node.target.id], None, node)
        array, indices = self.scalars.element(node.target)
        old = self.scalars.load(array, indices, node)
        new = self.scalars.combine(node.op, old, self.scalars.scalar(node.value), node)
        self._store(new, array, indices, node)

    def _store(
        self, value: Typed, array: Array, indices: Sequence[AffineExpr], node: ast.AST
    ) -> None:
        scope = self.scope
        op = affine.StoreOp(value.value, array.value, scope.operands, scope.map(*indices))
        self.scope.add(op, self.source.place(node))

    # --- locals -------------------------------------------------------------------------------

    def _local(self, name: str, element: ElementType, shape: tuple[AffineExpr, ...]) -> Array:
        extents = []
        for extent in shape:
            if isinstance(extent, AffineConstantExpr):
                continue
            sizes = self.scope.sizes
            dims = [AffineExpr.dimension(k) for k in range(len(sizes))]
            map = AffineMap(len(sizes), 0, (extent.replace_dims_and_symbols([], dims),))
            apply = affine.ApplyOp(sizes, AffineMapAttr(map))
            self.scope.add_local(apply)
            extents.append(apply.result)
        op = memref.AllocOp.get(element.ir, None, static_shape(shape), extents)
        op.memref.name_hint = name
        self.scope.add_local(op)
        self.scope.arrays[name] = Array(op.memref, element, shape)
        return self.scope.arrays[name]

    def _is_array_maker(self, value: ast.expr) -> bool:
        if not isinstance(value, ast.Call):
            return False
        function = self.source.resolve(value.func)
        return any(function is maker for maker in EMPTY)

    def _make_array(self, name: str, value: ast.expr, node: ast.stmt) -> None:
        assert isinstance(value, ast.Call)
        if name in self.scope.arrays or name in self.scope.indices:
            raise self.source.error(node, f"{name!r} exists already")
        arguments = [*value.args, *(k.value for k in value.keywords if k.arg == "dtype")]
        if not 1 <= len(arguments) <= 2 or any(k.arg != "dtype" for k in value.keywords):
            raise self.source.error(node, "expected a shape and, where it is not f64, a dtype")
        extents = arguments[0].elts if isinstance(arguments[0], ast.Tuple) else [arguments[0]]
        shape = tuple(extent_expression(self.source, self.scope, e) for e in extents)
        element = self._element_of_dtype(arguments[1]) if arguments[1:] else f64
        array = self._local(name, element, shape)
        if self.source.resolve(value.func) is np.zeros:
            self._fill_with_zeros(array, node)

    def _element_of_dtype(self, node: ast.expr) -> ElementType:
        dtype: Any = self.source.resolve(node)
        for element in ELEMENT_TYPES:
            if dtype is element or (dtype is not None and np.dtype(element.dtype).type is dtype):
                return element
        raise self.source.error(
            node, f"{ast.unparse(node)!r} is no element type such as numpy.float32 or numpy.int64"
        )

    def _fill_with_zeros(self, array: Array, node: ast.stmt) -> None:
        indices = [ast.Name(id=f"_zero{d}") for d in range(len(array.shape))]
        scope, outer = self.scope, self.scope.block
        start = len(scope.loops)
        for extent in array.shape:
            body = Block(arg_types=[IndexType()])
            maps = [scope.map(e) for e in (AffineExpr.constant(0), extent)]
            scope.add(
                affine.ForOp.from_region(
                    scope.operands, scope.operands, [], [], maps[0], maps[1], Region(body)
                ),
                self.source.place(node),
            )
            scope.loops.append(body.args[0])
            scope.block = body
        position = [AffineExpr.dimension(start + d) for d in range(len(indices))]
        self._store(self.scalars.typed(0, array.element, node), array, position, node)
        for _ in array.shape:
            scope.block.add_op(affine.YieldOp.get())
            scope.block = scope.block.parent_op().parent  # type: ignore[union-attr, assignment]
        del scope.loops[start:]
        scope.block = outer
