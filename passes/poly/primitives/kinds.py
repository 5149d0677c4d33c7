"""Steps that say how a loop is run: parallelize, unroll, vectorize, bind."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from ....dialects.errors import IllegalScheduleError
from ....dialects.schedule import Bind, Kind, Node, find_band
from .tree_edits import replace_band

UNITS = ("block.x", "block.y", "thread.x", "thread.y")


def annotate(tree: Node, axis: str, kind: Kind, lanes: int = 0) -> Node:
    """`tree` with the plain loop `axis` run as `kind`."""
    band = find_band(tree, axis)
    if band.kind != "for":
        raise IllegalScheduleError(f"loop {axis!r} is {band.kind} already")
    return replace_band(tree, axis, lambda b: replace(b, kind=kind, lanes=lanes))


def bind(tree: Node, step: Bind) -> Node:
    """See `Bind`."""
    if step.unit not in UNITS:
        raise IllegalScheduleError(
            f"bind: expected one of {', '.join(UNITS)} for loop {step.axis!r}, found {step.unit!r}"
        )
    return annotate(tree, step.axis, cast(Kind, step.unit))
