"""Rules of the steps that change statements, one file each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ....dialects.errors import IllegalScheduleError
from ....dialects.poly import ScopOp
from ....dialects.schedule import (
    Accumulate,
    Expand,
    Merge,
    Pack,
    Pad,
    Precompute,
    Recompute,
    Rewrite,
    Rfactor,
    SplitDomain,
    SplitReduction,
)
from .accumulate import accumulate
from .expand import expand
from .merge import merge
from .pack import pack
from .pad import pad
from .precompute import precompute
from .recompute import recompute
from .rfactor import factor_reduction
from .split_domain import split_domain
from .split_reduction import split_reduction

RULES: dict[type[Rewrite], Callable[[ScopOp, Any], None]] = {
    Accumulate: accumulate,
    Expand: expand,
    Merge: merge,
    Pack: pack,
    Pad: pad,
    Precompute: precompute,
    Recompute: recompute,
    Rfactor: factor_reduction,
    SplitDomain: split_domain,
    SplitReduction: split_reduction,
}

PARAMETRIC = (split_domain,)  # rules that work where sizes are known at run time only


def apply_rewrite(scop: ScopOp, step: Rewrite) -> None:
    """Change the statements of `scop` by `step`; IllegalScheduleError where it does not apply, and
    `scop` is as it was then."""
    rule = RULES.get(type(step))
    if rule is None:
        raise IllegalScheduleError(f"no rule applies the step {step}")
    if scop.parameters and rule not in PARAMETRIC:
        raise IllegalScheduleError(
            f"{step}: this step needs sizes that are numbers; {', '.join(scop.parameters)} are not"
        )
    rule(scop, step)
