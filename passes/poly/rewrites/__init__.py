"""Rules of the steps that change statements, one file each."""

from __future__ import annotations

from ....dialects.errors import IllegalScheduleError
from ....dialects.poly import ScopOp
from ....dialects.schedule import Accumulate, Pack, Rewrite, Rfactor, SplitDomain
from .accumulate import accumulate
from .pack import pack
from .rfactor import factor_reduction
from .split_domain import split_domain


def apply_rewrite(scop: ScopOp, step: Rewrite) -> None:
    """Change the statements of `scop` by `step`; IllegalScheduleError where it does not apply, and
    `scop` is as it was then."""
    match step:
        case SplitDomain():
            split_domain(scop, step)
        case Accumulate():
            accumulate(scop, step)
        case Pack():
            pack(scop, step)
        case Rfactor():
            factor_reduction(scop, step)
        case _:
            raise IllegalScheduleError(f"no rule applies the step {step}")
