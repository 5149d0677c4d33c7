"""Statements of a scop by name."""

from __future__ import annotations

from ....dialects.errors import IllegalScheduleError
from ....dialects.poly import ScopOp, StatementOp


def find_statement(scop: ScopOp, name: str) -> StatementOp:
    """The statement called `name`; IllegalScheduleError where there is none."""
    for s in scop.statements:
        if s.sym_name.data == name:
            return s
    known = ", ".join(s.sym_name.data for s in scop.statements)
    raise IllegalScheduleError(f"no statement is called {name!r}; the statements are {known}")
