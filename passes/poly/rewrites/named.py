"""Statements by name, for steps that name them; and names that are still free."""

from __future__ import annotations

from ....dialects.errors import IllegalScheduleError
from ....dialects.poly import ScopOp, StatementOp
from ....dialects.schedule import Rewrite


def refuse(step: Rewrite, why: str) -> IllegalScheduleError:
    """The error that says why `step` does not apply."""
    return IllegalScheduleError(f"{step}: {why}")


def find_statement(scop: ScopOp, name: str, step: Rewrite) -> StatementOp:
    """The statement `name`; IllegalScheduleError where there is none."""
    for statement in scop.statements:
        if statement.sym_name.data == name:
            return statement
    known = ", ".join(s.sym_name.data for s in scop.statements)
    raise refuse(step, f"no statement is called {name!r}; the statements are {known}")


def check_name_is_free(scop: ScopOp, name: str, step: Rewrite) -> None:
    """IllegalScheduleError where a statement is called `name`."""
    if any(s.sym_name.data == name for s in scop.statements):
        raise refuse(step, f"a statement is called {name!r} already")
