"""Statements of a scop by name, names that are free, and the error of a step that finds neither."""

from __future__ import annotations

from ....dialects.errors import IllegalScheduleError
from ....dialects.poly import ScopOp, StatementOp
from ....dialects.schedule import Rewrite


def refuse(step: Rewrite, why: str) -> IllegalScheduleError:
    """The error that says why `step` does not apply."""
    return IllegalScheduleError(f"{step}: {why}")


def find_statement(scop: ScopOp, name: str) -> StatementOp:
    """The statement called `name`; IllegalScheduleError where there is none."""
    for s in scop.statements:
        if s.sym_name.data == name:
            return s
    known = ", ".join(s.sym_name.data for s in scop.statements)
    raise IllegalScheduleError(f"no statement is called {name!r}; the statements are {known}")


def check_name_is_free(scop: ScopOp, name: str, step: Rewrite) -> None:
    """IllegalScheduleError where a statement is called `name`."""
    if any(s.sym_name.data == name for s in scop.statements):
        raise refuse(step, f"a statement is called {name!r} already")
