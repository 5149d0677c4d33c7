"""isl's AST as plain data: what loop emission walks, more than once, without calling isl.

Expressions are numbers, names of loop iterators, and calls of `OPERATORS` on expressions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ....dialects.errors import LoweringError
from ....dialects.poly import StatementOp
from ..sets import isl

_OP = isl.ast_expr_op_type
OPERATORS: dict[Any, str] = {
    _OP.add: "add",
    _OP.sub: "sub",
    _OP.minus: "minus",
    _OP.mul: "mul",
    _OP.min: "min",
    _OP.max: "max",
    _OP.fdiv_q: "div",
    _OP.pdiv_q: "div",
    _OP.div: "div",
    _OP.pdiv_r: "rem",
    _OP.zdiv_r: "rem",
    _OP.and_: "and",
    _OP.and_then: "and",
    _OP.or_: "or",
    _OP.or_else: "or",
    _OP.select: "choose",
    _OP.cond: "choose",
    _OP.eq: "eq",
    _OP.le: "le",
    _OP.lt: "lt",
    _OP.ge: "ge",
    _OP.gt: "gt",
}


@dataclass(frozen=True)
class Call:
    """`op` of `args`; "div" rounds down, "rem" is never negative, "choose" takes the second where
    the first holds, else the third."""

    op: str
    args: tuple[Expr, ...]


Expr = int | str | Call


@dataclass(eq=False)
class User:
    """One statement instance per visit: its accesses (target first) and dims."""

    statement: StatementOp
    accesses: list[list[Expr]]
    dims: list[Expr]


@dataclass(eq=False)
class Sequence:
    """Nodes executed in order."""

    children: list[AstNode]


@dataclass(eq=False)
class Guard:
    """`then` where `condition` holds, else `other`."""

    condition: Expr
    then: AstNode
    other: AstNode | None


@dataclass(eq=False)
class Loop:
    """`iterator` from `first` to `last`, both included, by `step`."""

    iterator: str
    first: Expr
    last: Expr
    step: int
    body: AstNode


@dataclass(eq=False)
class Mark:
    """All loops directly below belong to the band called `axis`."""

    axis: str
    body: AstNode


AstNode = User | Sequence | Guard | Loop | Mark
Copy = tuple[User, tuple[int, ...]]  # a statement, and which copies of the unrolled loops around it


def read_expr(expr: Any) -> Expr:
    """An isl AST expression; LoweringError where it has an operator without a rule."""
    kind = expr.get_type()
    if kind == isl.ast_expr_type.int:
        return int(expr.get_val().to_python())
    if kind == isl.ast_expr_type.id:
        return str(expr.get_id().get_name())
    op = expr.get_op_type()
    if op not in OPERATORS:
        raise LoweringError(f"lower-scop: no rule for the index expression {expr.to_C_str()}")
    args = tuple(read_expr(expr.get_op_arg(k)) for k in range(expr.get_op_n_arg()))
    return Call(OPERATORS[op], args)


def read_node(node: Any, users: dict[str, AstNode], mark: Callable[[str], str]) -> AstNode:
    """An isl AST node; `users` are found by annotation, `mark` gives the axis of a mark."""
    match node.get_type():
        case isl.ast_node_type.mark:
            axis = mark(node.mark_get_id().get_name())
            return Mark(axis, read_node(node.mark_get_node(), users, mark))
        case isl.ast_node_type.block:
            children = node.block_get_children()
            count = children.n_ast_node()
            return Sequence([read_node(children.get_at(k), users, mark) for k in range(count)])
        case isl.ast_node_type.if_:
            other = None
            if node.if_has_else_node():
                other = read_node(node.if_get_else_node(), users, mark)
            then = read_node(node.if_get_then_node(), users, mark)
            return Guard(read_expr(node.if_get_cond()), then, other)
        case isl.ast_node_type.for_:
            condition = node.for_get_cond()
            last = read_expr(condition.get_op_arg(1))
            if condition.get_op_type() == _OP.lt:
                last = last - 1 if isinstance(last, int) else Call("sub", (last, 1))
            return Loop(
                node.for_get_iterator().get_id().get_name(),
                read_expr(node.for_get_init()),
                last,
                node.for_get_inc().get_val().to_python(),
                read_node(node.for_get_body(), users, mark),
            )
        case isl.ast_node_type.user:
            return users[node.get_annotation().get_name()]
    raise LoweringError(f"lower-scop: no rule for the AST node {node.get_type()}")


def has_bare_loop(node: AstNode) -> bool:
    """Whether a loop stands below `node` without a mark of its own."""
    match node:
        case Loop():
            return True
        case Sequence(children):
            return any(has_bare_loop(child) for child in children)
        case Guard(_, then, other):
            return has_bare_loop(then) or (other is not None and has_bare_loop(other))
        case _:
            return False


def direct_users(node: AstNode) -> list[User] | None:
    """The users of a body without loops and guards; None for any other."""
    match node:
        case User():
            return [node]
        case Mark(_, body):
            return direct_users(body)
        case Sequence(children):
            parts = [direct_users(child) for child in children]
            if any(part is None for part in parts):
                return None
            return [user for part in parts if part is not None for user in part]
        case _:
            return None


def mentions(expr: Expr, iterator: str) -> bool:
    """Whether `iterator` occurs in `expr`."""
    if isinstance(expr, Call):
        return any(mentions(arg, iterator) for arg in expr.args)
    return expr == iterator


def candidates(expr: Expr, op: str) -> list[Expr]:
    """The bounds that `expr` is the min or max (`op`) of."""
    if not isinstance(expr, Call):
        return [expr]
    if expr.op == op:
        return [c for arg in expr.args for c in candidates(arg, op)]
    if expr.op in ("add", "sub") and isinstance(expr.args[1], int):
        return [Call(expr.op, (c, expr.args[1])) for c in candidates(expr.args[0], op)]
    return [expr]


def axes_in(node: AstNode) -> Iterator[str]:
    """The axes of all bands in `node`."""
    if isinstance(node, Mark):
        yield node.axis
    for child in _children(node):
        yield from axes_in(child)


def outermost_axes(node: AstNode) -> Iterator[str]:
    """The axes of the bands in `node` that are in no other one of them."""
    if isinstance(node, Mark):
        yield node.axis
        return
    for child in _children(node):
        yield from outermost_axes(child)


def _children(node: AstNode) -> list[AstNode]:
    """The nodes right below `node`."""
    match node:
        case Mark(_, body) | Loop(body=body):
            return [body]
        case Sequence(children):
            return children
        case Guard(_, then, other):
            return [then] if other is None else [then, other]
        case User():
            return []
