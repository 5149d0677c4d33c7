"""Python expressions that are affine in loop variables and sizes."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from xdsl.dialects.builtin import DYNAMIC_INDEX
from xdsl.ir.affine import AffineConstantExpr, AffineExpr

from ....passes.poly.affine_maps import simplify
from .scope import Scope
from .source import KernelSource

ALLOWED = (
    "bounds, subscripts and conditions are sums of loop variables and sizes with constant factors "
    "(+, -, *, and // or % by a positive constant)"
)


def affine_expression(source: KernelSource, scope: Scope, node: ast.expr) -> AffineExpr:
    """`node` over the loops of `scope`; KernelError where it is not affine."""
    found = try_affine(source, scope, node)
    if found is None:
        raise source.error(node, f"{ast.unparse(node)!r} is not affine: {ALLOWED}")
    return found


def constant_expression(source: KernelSource, scope: Scope, node: ast.expr) -> int:
    """An integer known before compilation, such as an extent."""
    found = affine_expression(source, scope, node)
    if not isinstance(found, AffineConstantExpr):
        raise source.error(node, f"{ast.unparse(node)!r} must be known when the sizes are")
    return found.value


def extent_expression(source: KernelSource, scope: Scope, node: ast.expr) -> AffineExpr:
    """An extent: a number, or affine in the sizes that are not bound."""
    found = affine_expression(source, scope, node)
    if found.used_dims():
        raise source.error(node, f"{ast.unparse(node)!r} must be known when the sizes are")
    return found


def static_shape(extents: Sequence[AffineExpr]) -> list[int]:
    """The shape of the memref type: extents that are not numbers are dynamic."""
    return [e.value if isinstance(e, AffineConstantExpr) else DYNAMIC_INDEX for e in extents]


def try_affine(source: KernelSource, scope: Scope, node: ast.expr) -> AffineExpr | None:
    """`node` over the loops of `scope`; None where it is not affine."""
    found = _affine(source, scope, node)
    return None if found is None else simplify(found)


def _affine(source: KernelSource, scope: Scope, node: ast.expr) -> AffineExpr | None:
    match node:
        case ast.Constant(value=int() as number) if not isinstance(number, bool):
            return AffineExpr.constant(number)
        case ast.Name(id=name):
            if name in scope.indices:
                return scope.indices[name]
            outside = source.names.get(name) if name not in scope.arrays else None
            is_int = isinstance(outside, int) and not isinstance(outside, bool)
            return AffineExpr.constant(outside) if is_int else None  # type: ignore[arg-type]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            inner = try_affine(source, scope, operand)
            return None if inner is None else inner * -1
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return try_affine(source, scope, operand)
        case ast.BinOp():
            return _binary(source, scope, node)
    return None


def _binary(source: KernelSource, scope: Scope, node: ast.BinOp) -> AffineExpr | None:
    lhs, rhs = try_affine(source, scope, node.left), try_affine(source, scope, node.right)
    if lhs is None or rhs is None:
        return None
    match node.op:
        case ast.Add():
            return lhs + rhs
        case ast.Sub():
            return lhs + rhs * -1
        case ast.Mult() if isinstance(rhs, AffineConstantExpr):
            return lhs * rhs
        case ast.Mult() if isinstance(lhs, AffineConstantExpr):
            return rhs * lhs
        case ast.FloorDiv() | ast.Mod() if isinstance(rhs, AffineConstantExpr) and rhs.value > 0:
            return lhs // rhs if isinstance(node.op, ast.FloorDiv) else lhs % rhs
    return None
