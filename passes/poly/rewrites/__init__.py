"""Rules of the steps that change statements, one file each."""

from __future__ import annotations

from ....dialects.errors import IllegalScheduleError
from ....dialects.poly import ScopOp
from ....dialects.schedule import Rewrite


def apply_rewrite(scop: ScopOp, step: Rewrite) -> None:
    """Change the statements of `scop` by `step`; IllegalScheduleError where it does not apply."""
    raise IllegalScheduleError(f"no rule applies the step {step}")
