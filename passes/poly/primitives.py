"""Apply schedule steps to a loop tree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import groupby

from ...dialects.errors import IllegalScheduleError
from ...dialects.poly import ScopOp
from ...dialects.schedule import (
    Band,
    Chain,
    Distribute,
    Fuse,
    Kind,
    Leaf,
    Node,
    Parallelize,
    Rearrange,
    Reorder,
    Split,
    Step,
    Unroll,
    Vectorize,
    bands_of,
    chain,
    find_band,
    parse_tree,
    statements_of,
)


def original_tree(scop: ScopOp) -> Node:
    """The loops of the original program, from the positions of the statements.

    Loops are called `S0.i0`, `S0.i1`, ...; a shared loop has the name of its first statement's.
    """
    placed = sorted(zip(scop.positions, (s.sym_name.data for s in scop.statements), strict=True))
    return _original_nest(placed, 0)


def _original_nest(placed: list[tuple[tuple[int, ...], str]], depth: int) -> Node:
    """The tree of statements that share the `depth` outermost loops."""
    children: list[Node] = []
    for _, group in groupby(placed, key=lambda entry: entry[0][depth]):
        inside = list(group)
        position, name = inside[0]
        if len(position) == depth + 1:
            children.append(Leaf(name))
            continue
        exprs = tuple((statement, f"i{depth}") for _, statement in inside)
        children.append(Band(f"{name}.i{depth}", exprs, _original_nest(inside, depth + 1)))
    return chain(children)


def _rewrite(node: Node, axis: str, rule: Callable[[Band], Node]) -> Node:
    match node:
        case Leaf():
            return node
        case Band():
            if node.axis == axis:
                return rule(node)
            return replace(node, body=_rewrite(node.body, axis, rule))
        case Chain(children):
            return chain([_rewrite(c, axis, rule) for c in children])


def _check_name_is_free(tree: Node, name: str) -> None:
    if any(b.axis == name for b in bands_of(tree)):
        raise IllegalScheduleError(f"a loop is called {name!r} already; choose another name")


def _split(tree: Node, step: Split) -> Node:
    band = find_band(tree, step.axis)
    if band.kind != "for":
        raise IllegalScheduleError(f"split: loop {step.axis!r} is {band.kind} already")
    for name in (step.outer, step.inner):
        if name != step.axis:
            _check_name_is_free(tree, name)
    f = step.factor
    outer = tuple((s, f"floor(({e})/{f})") for s, e in band.exprs)
    inner = tuple((s, f"({e}) - {f}*floor(({e})/{f})") for s, e in band.exprs)

    def rule(band: Band) -> Node:
        return Band(step.outer, outer, Band(step.inner, inner, band.body))

    return _rewrite(tree, step.axis, rule)


def _reorder(tree: Node, step: Reorder) -> Node:
    for axis in step.axes:
        find_band(tree, axis)
    first = next(b for b in bands_of(tree) if b.axis in step.axes)
    nest: list[Band] = []
    node: Node = first
    while isinstance(node, Band) and len({b.axis for b in nest} & set(step.axes)) < len(step.axes):
        nest.append(node)
        node = node.body
    if not set(step.axes) <= {b.axis for b in nest}:
        raise IllegalScheduleError(
            f"reorder: loops {', '.join(step.axes)} are not perfectly nested; "
            "fuse or distribute the loops between them first"
        )
    order = iter(step.axes)
    by_axis = {b.axis: b for b in nest}
    new = [by_axis[next(order)] if b.axis in step.axes else b for b in nest]
    for band in reversed(new):
        node = replace(band, body=node)
    result = node
    return _rewrite(tree, first.axis, lambda _: result)


def _fuse(tree: Node, step: Fuse) -> Node:
    if step.name not in step.axes:
        _check_name_is_free(tree, step.name)
    bands = [find_band(tree, axis) for axis in step.axes]
    fused = Band(
        step.name,
        tuple(pair for b in bands for pair in b.exprs),
        chain([b.body for b in bands]),
    )
    if len(bands) == 1:
        return _rewrite(tree, step.axes[0], lambda _: fused)

    def visit(node: Node) -> Node:
        match node:
            case Leaf():
                return node
            case Band():
                return replace(node, body=visit(node.body))
            case Chain(children):
                axes = [c.axis if isinstance(c, Band) else None for c in children]
                for k in range(len(axes) - len(bands) + 1):
                    if tuple(axes[k : k + len(bands)]) == step.axes:
                        return chain([*children[:k], fused, *children[k + len(bands) :]])
                return chain([visit(c) for c in children])

    result = visit(tree)
    if result == tree:
        raise IllegalScheduleError(
            f"fuse: loops {', '.join(step.axes)} do not follow one another in one body"
        )
    return result


def _distribute(tree: Node, step: Distribute) -> Node:
    band = find_band(tree, step.axis)
    if not isinstance(band.body, Chain):
        raise IllegalScheduleError(f"distribute: the body of {step.axis!r} is not a chain")
    exprs = dict(band.exprs)
    parts = [
        Band(
            f"{step.axis}_{k}",
            tuple((s, exprs[s]) for s in statements_of(child)),
            child,
            band.kind,
        )
        for k, child in enumerate(band.body.children)
    ]
    for part in parts:
        _check_name_is_free(tree, part.axis)
    return _rewrite(tree, step.axis, lambda _: chain(parts))


def _annotate(tree: Node, axis: str, kind: Kind, lanes: int = 0) -> Node:
    band = find_band(tree, axis)
    if band.kind != "for":
        raise IllegalScheduleError(f"loop {axis!r} is {band.kind} already")
    return _rewrite(tree, axis, lambda b: replace(b, kind=kind, lanes=lanes))


def apply_step(tree: Node, step: Step) -> Node:
    """The tree after `step`; IllegalScheduleError where it does not apply.

    Dependences are checked on the result by `legality.check_schedule_is_legal`.
    """
    match step:
        case Split():
            return _split(tree, step)
        case Reorder():
            return _reorder(tree, step)
        case Fuse():
            return _fuse(tree, step)
        case Distribute():
            return _distribute(tree, step)
        case Rearrange():
            return parse_tree(step.tree)
        case Parallelize():
            return _annotate(tree, step.axis, "parallel")
        case Unroll():
            return _annotate(tree, step.axis, "unroll")
        case Vectorize():
            return _annotate(tree, step.axis, "vector", step.lanes)
        case _:
            raise IllegalScheduleError(f"no rule applies the step {step}")


def apply_steps(tree: Node, steps: list[Step]) -> Node:
    """All `steps` in order."""
    for step in steps:
        tree = apply_step(tree, step)
    return tree
