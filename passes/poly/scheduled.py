"""A scop under a schedule: its rewritten statements and its loop tree."""

from __future__ import annotations

from collections.abc import Sequence

from ...dialects.errors import IllegalScheduleError
from ...dialects.poly import ScopOp
from ...dialects.schedule import Node, Rewrite, Step
from .primitives import apply_step, original_tree
from .rewrites import apply_rewrite


def apply_schedule(scop: ScopOp, steps: Sequence[Step]) -> tuple[ScopOp, Node]:
    """(the scop with all rewrites of `steps` applied, its loop tree).

    `scop` itself stays as it is. IllegalScheduleError where a step does not apply; dependences are
    checked on the result by `legality.check_schedule_is_legal`.
    """
    rewrites = [s for s in steps if isinstance(s, Rewrite)]
    if list(steps[: len(rewrites)]) != rewrites:
        first = next(k for k, s in enumerate(steps) if not isinstance(s, Rewrite))
        late = next(s for s in steps[first:] if isinstance(s, Rewrite))
        raise IllegalScheduleError(
            f"{late}: steps that change statements stand before those that change the loop tree"
        )
    if rewrites:
        scop = scop.clone()
    for rewrite in rewrites:
        apply_rewrite(scop, rewrite)
    tree = original_tree(scop)
    for step in steps[len(rewrites) :]:
        tree = apply_step(tree, step)
    return scop, tree
