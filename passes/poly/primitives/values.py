"""Steps that change the value at which a loop runs each instance: skew, shift, reverse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ....dialects.errors import IllegalScheduleError
from ....dialects.schedule import Node, Reverse, Shift, Skew, bands_of, find_band
from .loop_values import multiple, plus
from .tree_edits import find_plain_band, replace_band


def skew(tree: Node, step: Skew) -> Node:
    """See `Skew`."""
    band, by = find_plain_band(tree, step.axis, "skew"), find_band(tree, step.by)
    is_nested = any(
        b.axis == inner
        for outer, inner in ((band, step.by), (by, step.axis))
        for b in bands_of(outer.body)
    )
    added = dict(by.exprs)
    if not is_nested or not all(s in added for s, _ in band.exprs):
        raise IllegalScheduleError(
            f"skew: loop {step.by!r} is not around {step.axis!r}, nor inside it around all of its "
            "statements"
        )
    return _with_values(tree, step.axis, lambda s, e: plus(e, multiple(step.factor, added[s])))


def shift(tree: Node, step: Shift) -> Node:
    """See `Shift`."""
    band = find_plain_band(tree, step.axis, "shift")
    if step.statement not in dict(band.exprs):
        raise IllegalScheduleError(
            f"shift: statement {step.statement!r} is not in loop {step.axis!r}; "
            f"there are {', '.join(s for s, _ in band.exprs)}"
        )
    return _with_values(
        tree, step.axis, lambda s, e: plus(e, str(step.amount)) if s == step.statement else e
    )


def reverse(tree: Node, step: Reverse) -> Node:
    """See `Reverse`."""
    find_plain_band(tree, step.axis, "reverse")
    return _with_values(tree, step.axis, lambda _, e: multiple(-1, e))


def _with_values(tree: Node, axis: str, value: Callable[[str, str], str]) -> Node:
    """`tree` with each expression e of statement s in loop `axis` replaced by value(s, e)."""
    return replace_band(
        tree, axis, lambda b: replace(b, exprs=tuple((s, value(s, e)) for s, e in b.exprs))
    )
