"""Rules of the steps that change statements, one file each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ....dialects.errors import IllegalScheduleError
from ....dialects.poly import ScopOp
from ....dialects.schedule import Accumulate, Pack, Precompute, Rewrite, Rfactor, SplitDomain
from .accumulate import accumulate
from .pack import pack
from .precompute import precompute
from .rfactor import factor_reduction
from .split_domain import split_domain

RULES: dict[type[Rewrite], Callable[[ScopOp, Any], None]] = {
    SplitDomain: split_domain,
    Accumulate: accumulate,
    Pack: pack,
    Rfactor: factor_reduction,
    Precompute: precompute,
}


def apply_rewrite(scop: ScopOp, step: Rewrite) -> None:
    """Change the statements of `scop` by `step`; IllegalScheduleError where it does not apply, and
    `scop` is as it was then."""
    rule = RULES.get(type(step))
    if rule is None:
        raise IllegalScheduleError(f"no rule applies the step {step}")
    rule(scop, step)
