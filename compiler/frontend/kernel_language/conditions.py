"""Affine conditions: comparisons joined by and, or, not, as branches on affine sets."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from itertools import pairwise

from xdsl.dialects import affine
from xdsl.ir import Block, Region
from xdsl.ir.affine import AffineExpr
from xdsl.ir.affine.affine_set import AffineConstraintExpr, AffineConstraintKind, AffineSet

from ....dialects.affine import IfOp
from .affine_expressions import try_affine
from .scope import Scope
from .source import KernelSource

Emit = Callable[[], None]


def emit_branch(
    source: KernelSource, scope: Scope, test: ast.expr, then: Emit, other: Emit | None
) -> None:
    """`if test: then else: other` as nested affine.if; `or` repeats the body of `then`."""
    match test:
        case ast.BoolOp(op=ast.And(), values=[first, *rest]) if not _is_conjunction(test):
            inner = rest[0] if len(rest) == 1 else ast.BoolOp(op=ast.And(), values=rest)
            ast.copy_location(inner, test)
            emit_branch(
                source, scope, first, lambda: emit_branch(source, scope, inner, then, other), other
            )
        case ast.BoolOp(op=ast.Or(), values=[first, *rest]):
            inner = rest[0] if len(rest) == 1 else ast.BoolOp(op=ast.Or(), values=rest)
            ast.copy_location(inner, test)
            emit_branch(
                source, scope, first, then, lambda: emit_branch(source, scope, inner, then, other)
            )
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            emit_branch(source, scope, operand, other or (lambda: None), then)
        case ast.Compare(left=left, ops=[ast.NotEq()], comparators=[right]):
            equal = ast.Compare(left=left, ops=[ast.Eq()], comparators=[right])
            ast.copy_location(equal, test)
            emit_branch(source, scope, equal, other or (lambda: None), then)
        case _:
            _emit_if(source, scope, _constraints(source, scope, test), test, then, other)


def _is_conjunction(test: ast.expr) -> bool:
    """Whether `test` is comparisons joined by `and`, without `!=`: one affine set."""
    match test:
        case ast.BoolOp(op=ast.And(), values=values):
            return all(_is_conjunction(v) for v in values)
        case ast.Compare(ops=ops):
            return not any(isinstance(o, ast.NotEq) for o in ops)
    return False


def _constraints(
    source: KernelSource, scope: Scope, test: ast.expr
) -> list[tuple[AffineConstraintKind, AffineExpr]]:
    """Expressions that must be >= 0 or == 0."""
    match test:
        case ast.BoolOp(op=ast.And(), values=values):
            return [c for v in values for c in _constraints(source, scope, v)]
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            sides = [try_affine(source, scope, e) for e in (left, *comparators)]
            affine_sides = [side for side in sides if side is not None]
            if len(affine_sides) == len(sides):
                pairs = zip(ops, pairwise(affine_sides), strict=True)
                return [_constraint(source, op, *pair) for op, pair in pairs]
    raise source.error(
        test,
        f"{ast.unparse(test)!r} cannot be a condition of `if`: expected comparisons of affine "
        "expressions joined by and, or, not. For a choice by data write `a if c else b`",
    )


def _constraint(
    source: KernelSource, op: ast.cmpop, lhs: AffineExpr, rhs: AffineExpr
) -> tuple[AffineConstraintKind, AffineExpr]:
    ge = AffineConstraintKind.ge
    match op:
        case ast.Lt():
            return ge, rhs + lhs * -1 + -1
        case ast.LtE():
            return ge, rhs + lhs * -1
        case ast.Gt():
            return ge, lhs + rhs * -1 + -1
        case ast.GtE():
            return ge, lhs + rhs * -1
        case ast.Eq():
            return AffineConstraintKind.eq, lhs + rhs * -1
    raise source.error(op, "expected one of < <= > >= ==; `!=` must stand alone")


def _emit_if(
    source: KernelSource,
    scope: Scope,
    constraints: Sequence[tuple[AffineConstraintKind, AffineExpr]],
    test: ast.expr,
    then: Emit,
    other: Emit | None,
) -> None:
    zero = AffineExpr.constant(0)
    condition = AffineSet(
        len(scope.operands),
        0,
        tuple(
            AffineConstraintExpr(kind, scope.as_dims(expr), zero, canonicalize=False)
            for kind, expr in constraints
        ),
    )
    then_region = _region(scope, then)  # first: the other branch may use its scalars
    other_region = _region(scope, other) if other is not None else Region()
    op = IfOp.of(condition, scope.operands, then_region, other_region)
    scope.add(op, source.place(test))


def _region(scope: Scope, emit: Emit) -> Region:
    outer, scope.block = scope.block, Block()
    emit()
    scope.block.add_op(affine.YieldOp.get())
    region = Region(scope.block)
    scope.block = outer
    return region
