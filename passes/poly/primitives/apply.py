"""Apply schedule steps to a loop tree."""

from __future__ import annotations

from collections.abc import Iterable

from ....dialects.errors import IllegalScheduleError
from ....dialects.schedule import (
    Bind,
    Distribute,
    Fuse,
    Node,
    Parallelize,
    Rearrange,
    Reorder,
    Reverse,
    Shift,
    Skew,
    Split,
    Step,
    Tile,
    Unroll,
    UnrollAndJam,
    Vectorize,
)
from .kinds import annotate, bind
from .ordering import distribute, fuse, rearrange, reorder
from .tiling import split, tile, unroll_and_jam
from .values import reverse, shift, skew


def apply_step(tree: Node, step: Step) -> Node:
    """The tree after `step`; IllegalScheduleError where it does not apply.

    Dependences are checked on the result by `legality.check_schedule_is_legal`.
    """
    match step:
        case Split():
            return split(tree, step)
        case Tile():
            return tile(tree, step)
        case UnrollAndJam():
            return unroll_and_jam(tree, step)
        case Reorder():
            return reorder(tree, step)
        case Fuse():
            return fuse(tree, step)
        case Distribute():
            return distribute(tree, step)
        case Rearrange():
            return rearrange(tree, step)
        case Skew():
            return skew(tree, step)
        case Shift():
            return shift(tree, step)
        case Reverse():
            return reverse(tree, step)
        case Parallelize():
            return annotate(tree, step.axis, "parallel")
        case Unroll():
            return annotate(tree, step.axis, "unroll")
        case Vectorize():
            return annotate(tree, step.axis, "vector", step.lanes)
        case Bind():
            return bind(tree, step)
        case _:
            raise IllegalScheduleError(f"no rule applies the step {step}")


def apply_steps(tree: Node, steps: Iterable[Step]) -> Node:
    """All `steps` in order."""
    for step in steps:
        tree = apply_step(tree, step)
    return tree
