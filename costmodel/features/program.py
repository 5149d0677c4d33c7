"""The features of scheduled programs: sums over statements, and the two that take longest.

`SCHEMA` changes whenever a name or a meaning does; models and data of another one are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from .hardware import HARDWARE_NAMES, Hardware
from .nests import Array, ScheduledProgram, StatementNest
from .statement import STATEMENT_NAMES, TIMES, statement_features

SCHEMA = 1
LONGEST = 2  # statements whose features are given one by one
TINY = 1e-9
_SUMMED = (*TIMES, "seconds")
_LOGS = tuple(n for n in STATEMENT_NAMES if n.startswith("log_"))
PROGRAM_NAMES = (
    *(f"sum_{name}" for name in _SUMMED),
    *(f"total_{name}" for name in _LOGS),
    *("statements", "shared_loops", "imbalance"),
    *(f"{name}_{k}" for k in range(LONGEST) for name in STATEMENT_NAMES),
    *HARDWARE_NAMES,
)
ROOFLINE = PROGRAM_NAMES.index("sum_seconds")


def program_features(
    programs: Sequence[ScheduledProgram], hardware: Hardware
) -> tuple[Array, list[Array]]:
    """(one row of `PROGRAM_NAMES` per program, in which seconds are logarithms; the rows of
    `STATEMENT_NAMES` of each program)."""
    rows = statement_rows(programs, hardware)
    found = np.empty((len(programs), len(PROGRAM_NAMES)))
    machine = {t: hardware.features(t) for t in {p.threads for p in programs}}
    at = 0
    statements = []
    for k, program in enumerate(programs):
        statements.append(rows[at : at + len(program.nests)])
        found[k] = aggregated(statements[-1], program, machine[program.threads])
        at += len(program.nests)
    return found, statements


def statement_rows(programs: Sequence[ScheduledProgram], hardware: Hardware) -> Array:
    """The statement features of all nests of all programs, in order, seconds as they are."""
    nests = [(nest, p.threads) for p in programs for nest in p.nests]
    order = sorted(range(len(nests)), key=lambda k: (id(nests[k][0].facts), nests[k][1]))
    found = np.empty((len(nests), len(STATEMENT_NAMES)))
    for _, group in groupby(order, key=lambda k: (id(nests[k][0].facts), nests[k][1])):
        places = list(group)
        members: list[StatementNest] = [nests[k][0] for k in places]
        threads = nests[places[0]][1]
        found[places] = statement_features(members[0].facts, members, threads, hardware)
    return found


def aggregated(rows: Array, program: ScheduledProgram, machine: Array) -> Array:
    """One program's row out of those of its statements."""
    summed = len(_SUMMED)
    times = np.log(rows[:, :summed].sum(axis=0) + TINY)
    totals = total_of_logs(rows)
    order = np.argsort(-rows[:, summed - 1], kind="stable")[:LONGEST]
    longest = np.zeros((LONGEST, rows.shape[1]))
    longest[: len(order)] = rows[order]
    longest[:, :summed] = np.log(longest[:, :summed] + TINY)
    axes = [a for nest in program.nests for a in nest.axes]
    shared = 1 - len(set(axes)) / max(1, len(axes))
    share = rows[order[0], summed - 1] / max(rows[:, summed - 1].sum(), TINY)
    extra = [len(rows), shared, share]
    return np.concatenate([times, totals, extra, longest.ravel(), machine])


_LOG_INDEX = np.array([STATEMENT_NAMES.index(n) for n in _LOGS])


def total_of_logs(rows: Array) -> Array:
    """Logarithms of the sums of what the `log_` columns are logarithms of."""
    found: Array = np.log1p(np.expm1(np.minimum(rows[:, _LOG_INDEX], 60.0)).sum(axis=0))
    return found
