"""The features of scheduled programs: sums over statements, and the two that take longest.

`SCHEMA` changes whenever a name or a meaning does; models and data of another one are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from .hardware import HARDWARE_NAMES, Hardware
from .nests import Array, ScheduledProgram, StatementNest
from .reuse import Around, stacked_surroundings, surroundings
from .statement import STATEMENT_NAMES, TIMES, statement_features

SCHEMA = 7
LONGEST = 2  # statements whose features are given one by one
TINY = 1e-9
CALL = 1e-7  # seconds to enter and leave a function
_SUMMED = (*TIMES, "seconds")
_RATIOS = ("log_box_share", "log_overrun")
_LOGS = tuple(n for n in STATEMENT_NAMES if n.startswith("log_") and n not in _RATIOS)
PROGRAM_NAMES = (
    *(f"sum_{name}" for name in _SUMMED),
    *(f"share_{name}" for name in TIMES),
    *(f"total_{name}" for name in _LOGS),
    *("statements", "shared_loops", "shared_innermost", "longest_share", "serial_share"),
    *(f"{name}_{k}" for k in range(LONGEST) for name in STATEMENT_NAMES),
    *HARDWARE_NAMES,
)
_SECONDS = _SUMMED.index("seconds")
_PARALLEL = STATEMENT_NAMES.index("has_parallel")
_LOG_INDEX = np.array([STATEMENT_NAMES.index(n) for n in _LOGS])
ROOFLINE = PROGRAM_NAMES.index("sum_seconds")


def program_features(
    programs: Sequence[ScheduledProgram], hardware: Hardware
) -> tuple[Array, list[Array]]:
    """(one row of `PROGRAM_NAMES` per program, in which seconds are logarithms; the rows of
    `STATEMENT_NAMES` of each program)."""
    around, shared = structures(programs)
    rows = statement_rows(programs, around, hardware)
    counts = np.array([len(p.nests) for p in programs])
    starts = np.cumsum(counts) - counts
    machine = {t: hardware.features(t) for t in {p.threads for p in programs}}
    times = np.add.reduceat(rows[:, : len(_SUMMED)], starts)
    times[:, _SECONDS] += CALL
    whole = np.maximum(times[:, _SECONDS], TINY)[:, None]
    shares = np.log(times[:, :_SECONDS] / whole + 1e-3)
    totals = np.log1p(np.add.reduceat(np.expm1(np.minimum(rows[:, _LOG_INDEX], 60.0)), starts))
    order = np.lexsort((-rows[:, _SECONDS], np.repeat(np.arange(len(programs)), counts)))
    longest = []
    for k in range(LONGEST):
        there = counts > k
        found = np.where(there[:, None], rows[order[np.where(there, starts + k, 0)]], 0.0)
        found[:, : len(_SUMMED)] = np.log(found[:, : len(_SUMMED)] + TINY)
        longest.append(found)
    share = np.exp(longest[0][:, _SECONDS]) / whole[:, 0]
    alone = np.where(rows[:, _PARALLEL] > 0, 0.0, rows[:, _SECONDS])
    serial = np.add.reduceat(alone, starts) / whole[:, 0]
    extra = np.hstack([counts[:, None], shared, share[:, None], serial[:, None]])
    hardware_rows = np.array([machine[p.threads] for p in programs])
    features = np.hstack([np.log(times + TINY), shares, totals, extra, *longest, hardware_rows])
    return features, [rows[at : at + n] for at, n in zip(starts, counts, strict=True)]


def shared_loops(program: ScheduledProgram) -> float:
    """The share of loops around statements that another statement is in, too."""
    axes = [a for nest in program.nests for a in nest.axes.tolist()]
    return 1 - len(set(axes)) / max(1, len(axes))


def shared_innermost(program: ScheduledProgram) -> float:
    """The share of statements that another one before them shares the innermost loop with."""
    inner = [nest.axes[-1] for nest in program.nests if len(nest.axes)]
    return 1 - len(set(inner)) / max(1, len(inner))


def statement_rows(
    programs: Sequence[ScheduledProgram], around: Sequence[Around], hardware: Hardware
) -> Array:
    """The statement features of all nests of all programs, in order, seconds as they are."""
    nests = [(nest, p.threads) for p in programs for nest in p.nests]
    order = sorted(range(len(nests)), key=lambda k: (id(nests[k][0].facts), nests[k][1]))
    found = np.empty((len(nests), len(STATEMENT_NAMES)))
    for _, group in groupby(order, key=lambda k: (id(nests[k][0].facts), nests[k][1])):
        places = list(group)
        members: list[StatementNest] = [nests[k][0] for k in places]
        threads = nests[places[0]][1]
        near = stacked_surroundings([around[k] for k in places])
        found[places] = statement_features(members[0].facts, members, near, threads, hardware)
    return found


def structures(
    programs: Sequence[ScheduledProgram],
) -> tuple[list[Around], list[tuple[float, float]]]:
    """(what is around each nest of all programs; shares of shared loops and shared innermost loops
    of each program); computed once for equal loops around the same statements."""
    known: dict[tuple[object, ...], tuple[list[Around], tuple[float, float]]] = {}
    nests: list[Around] = []
    shares = []
    for program in programs:
        key = tuple((id(n.facts), n.axes.tobytes(), n.kinds.tobytes()) for n in program.nests)
        if key not in known:
            share = shared_loops(program), shared_innermost(program)
            known[key] = surroundings(program), share
        found, share = known[key]
        nests += found
        shares.append(share)
    return nests, shares
