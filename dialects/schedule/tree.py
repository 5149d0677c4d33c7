"""The loop tree that schedule steps act on, and its text.

A tree gives every statement instance its place in time: bands are loops over quasi-affine
expressions of the iteration dims `i0, i1, ...`, chains put subtrees one after the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

from ..errors import IllegalScheduleError

Kind = Literal["for", "parallel", "unroll", "vector", "block.x", "block.y", "thread.x", "thread.y"]


@dataclass(frozen=True)
class Leaf:
    """All instances of one statement that the bands above left together: exactly one."""

    statement: str


@dataclass(frozen=True)
class Band:
    """One loop: `exprs` gives, for each statement below, the value of the loop variable `axis`.

    `lanes` is the vector length of a "vector" band.
    """

    axis: str
    exprs: tuple[tuple[str, str], ...]
    body: Node
    kind: Kind = "for"
    lanes: int = 0


@dataclass(frozen=True)
class Chain:
    """Subtrees executed in order."""

    children: tuple[Node, ...]


Node = Leaf | Band | Chain


def chain(children: Sequence[Node]) -> Node:
    """A chain of `children`, nested chains flattened; the child itself where there is one."""
    flat: list[Node] = []
    for child in children:
        flat.extend(child.children if isinstance(child, Chain) else [child])
    return flat[0] if len(flat) == 1 else Chain(tuple(flat))


def statements_of(node: Node) -> list[str]:
    """The statements below `node`, in tree order."""
    match node:
        case Leaf(statement):
            return [statement]
        case Band():
            return statements_of(node.body)
        case Chain(children):
            return [s for child in children for s in statements_of(child)]


def bands_of(node: Node) -> Iterator[Band]:
    """Every band below `node`, outermost first."""
    match node:
        case Band():
            yield node
            yield from bands_of(node.body)
        case Chain(children):
            for child in children:
                yield from bands_of(child)


def outer_loops(nest: Node) -> list[Band]:
    """The sequential loops around all of `nest`, outermost first."""
    loops: list[Band] = []
    while isinstance(nest, Band) and nest.kind == "for":
        loops.append(nest)
        nest = nest.body
    return loops


def find_band(tree: Node, axis: str) -> Band:
    """The band of `axis`; IllegalScheduleError where there is none."""
    for band in bands_of(tree):
        if band.axis == axis:
            return band
    known = ", ".join(b.axis for b in bands_of(tree))
    raise IllegalScheduleError(f"no loop is called {axis!r}; the loops are {known}")


def tree_text(node: Node, depth: int = 0) -> str:
    """A readable, indented picture of the tree."""
    pad = "  " * depth
    match node:
        case Leaf(statement):
            return f"{pad}{statement}\n"
        case Band():
            exprs = ", ".join(f"{s}: {e}" for s, e in node.exprs)
            return f"{pad}{node.kind} {node.axis}  [{exprs}]\n" + tree_text(node.body, depth + 1)
        case Chain(children):
            return "".join(tree_text(c, depth) for c in children)


def compact_text(node: Node) -> str:
    """The tree on one line, as `parse_tree` reads it:

    for t[S0: i0; S1: i0] { vector(8) j[S0: i1] { S0 } S1 }
    """
    match node:
        case Leaf(statement):
            return statement
        case Chain(children):
            return " ".join(compact_text(c) for c in children)
        case Band():
            kind = f"vector({node.lanes})" if node.kind == "vector" else node.kind
            exprs = "; ".join(f"{s}: {e}" for s, e in node.exprs)
            return f"{kind} {node.axis}[{exprs}] {{ {compact_text(node.body)} }}"


_BAND = re.compile(r"\s*([a-z][a-z.]*)(?:\((\d+)\))?\s+([A-Za-z_][\w.]*)\s*\[([^\]]*)\]\s*\{")
_LEAF = re.compile(r"\s*([A-Za-z_]\w*)")


def parse_tree(text: str) -> Node:
    """The tree that prints as `text`; IllegalScheduleError for anything else."""
    node, end = _parse_chain(text, 0)
    if text[end:].strip():
        raise IllegalScheduleError(f"expected the end of the loop tree, found {text[end:]!r}")
    return node


def _parse_chain(text: str, at: int) -> tuple[Node, int]:
    children: list[Node] = []
    while text[at:].strip() and not text[at:].lstrip().startswith("}"):
        child, at = _parse_node(text, at)
        children.append(child)
    if not children:
        raise IllegalScheduleError(f"expected a loop or a statement, found {text[at:]!r}")
    return chain(children), at


def _parse_node(text: str, at: int) -> tuple[Node, int]:
    head = _BAND.match(text, at)
    if head is None:
        leaf = _LEAF.match(text, at)
        if leaf is None:
            raise IllegalScheduleError(f"expected a loop or a statement, found {text[at:]!r}")
        return Leaf(leaf.group(1)), leaf.end()
    kind, lanes, axis, inside = head.groups()
    if kind not in get_args(Kind) or (kind == "vector") != (lanes is not None):
        raise IllegalScheduleError(
            f"expected a loop kind ({', '.join(get_args(Kind))}; vector(LANES)), "
            f"found {text[at : head.end()]!r}"
        )
    exprs = []
    for pair in inside.split(";"):
        statement, colon, expr = pair.partition(":")
        if not colon:
            raise IllegalScheduleError(f"expected STATEMENT: EXPRESSION, found {pair!r}")
        exprs.append((statement.strip(), expr.strip()))
    body, at = _parse_chain(text, head.end())
    if not text[at:].lstrip().startswith("}"):
        raise IllegalScheduleError(f"expected '}}' at the end of loop {axis!r}")
    at = text.index("}", at) + 1
    return Band(axis, tuple(exprs), body, cast(Kind, kind), int(lanes or 0)), at
