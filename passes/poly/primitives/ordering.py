"""Steps that move whole loops: reorder, fuse, distribute, rearrange."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from ....dialects.errors import IllegalScheduleError
from ....dialects.schedule import (
    Band,
    Chain,
    Distribute,
    Fuse,
    Leaf,
    Node,
    Rearrange,
    Reorder,
    bands_of,
    chain,
    find_band,
    parse_tree,
    statements_of,
)
from .loop_values import is_quasi_affine_text
from .tree_edits import check_names_are_free, nested, perfect_nest, replace_band


def reorder(tree: Node, step: Reorder) -> Node:
    """See `Reorder`. Loops of the nest that are not named keep their place."""
    nest = perfect_nest(tree, step.axes, "reorder")
    by_axis = {band.axis: band for band in nest}
    order = iter(step.axes)
    new = [by_axis[next(order)] if band.axis in step.axes else band for band in nest]
    result = nested(new, nest[-1].body)
    return replace_band(tree, nest[0].axis, lambda _: result)


def fuse(tree: Node, step: Fuse) -> Node:
    """See `Fuse`. Fusing one loop renames it."""
    if step.name not in step.axes:
        check_names_are_free(tree, [step.name])
    bands = [find_band(tree, axis) for axis in step.axes]
    first = bands[0]
    if any((b.kind, b.lanes) != (first.kind, first.lanes) for b in bands):
        kinds = ", ".join(f"{b.axis} is {b.kind}" for b in bands)
        raise IllegalScheduleError(f"fuse: the loops are run in different ways ({kinds})")
    exprs = tuple(pair for b in bands for pair in b.exprs)
    fused = replace(first, axis=step.name, exprs=exprs, body=chain([b.body for b in bands]))
    if len(bands) == 1:
        return replace_band(tree, first.axis, lambda _: fused)
    result = _replace_run(tree, step.axes, fused)
    if result == tree:
        raise IllegalScheduleError(
            f"fuse: loops {', '.join(step.axes)} do not follow one another in one body"
        )
    return result


def _replace_run(node: Node, axes: tuple[str, ...], fused: Band) -> Node:
    """`node` with the neighbouring loops `axes` of one chain replaced by `fused`."""
    match node:
        case Leaf():
            return node
        case Band():
            return replace(node, body=_replace_run(node.body, axes, fused))
        case Chain(children):
            here = [c.axis if isinstance(c, Band) else None for c in children]
            for k in range(len(here) - len(axes) + 1):
                if tuple(here[k : k + len(axes)]) == axes:
                    return chain([*children[:k], fused, *children[k + len(axes) :]])
            return chain([_replace_run(c, axes, fused) for c in children])


def distribute(tree: Node, step: Distribute) -> Node:
    """See `Distribute`. The parts are called `axis_0`, `axis_1`, ..."""
    band = find_band(tree, step.axis)
    if not isinstance(band.body, Chain):
        raise IllegalScheduleError(f"distribute: the body of {step.axis!r} is not a chain")
    exprs = dict(band.exprs)
    parts = []
    for k, child in enumerate(band.body.children):
        inside = tuple((s, exprs[s]) for s in statements_of(child))
        parts.append(replace(band, axis=f"{step.axis}_{k}", exprs=inside, body=child))
    check_names_are_free(tree, [part.axis for part in parts])
    return replace_band(tree, step.axis, lambda _: chain(parts))


def rearrange(tree: Node, step: Rearrange) -> Node:
    """See `Rearrange`."""
    new = parse_tree(step.tree)
    _check_statements(tree, new)
    check_names_are_free(Chain(()), [band.axis for band in bands_of(new)])
    for band in bands_of(new):
        _check_band(band)
    return new


def _check_statements(tree: Node, new: Node) -> None:
    """Raise unless every statement of `tree` has exactly one leaf in `new`."""
    known, found = set(statements_of(tree)), Counter(statements_of(new))
    problems = {
        "unknown statements": [s for s in found if s not in known],
        "missing statements": sorted(known - set(found)),
        "statements with several leaves": [s for s, n in found.items() if n > 1],
    }
    texts = [f"{problem}: {', '.join(names)}" for problem, names in problems.items() if names]
    if texts:
        raise IllegalScheduleError(
            f"rearrange: each of {', '.join(sorted(known))} must have one leaf; {'; '.join(texts)}"
        )


def _check_band(band: Band) -> None:
    """Raise unless `band` has one loop value for each statement below it."""
    below, given = sorted(statements_of(band.body)), sorted(s for s, _ in band.exprs)
    if below != given:
        raise IllegalScheduleError(
            f"rearrange: loop {band.axis!r} is around {', '.join(below)} "
            f"but gives values for {', '.join(given)}"
        )
    for statement, expr in band.exprs:
        if not is_quasi_affine_text(expr):
            raise IllegalScheduleError(
                f"rearrange: expected a quasi-affine expression of i0, i1, ... in loop "
                f"{band.axis!r} for {statement}, found {expr!r}"
            )
    if band.kind == "vector" and band.lanes < 1:
        raise IllegalScheduleError(f"rearrange: vector loop {band.axis!r} has no lanes")
