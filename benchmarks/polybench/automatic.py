"""Schedules without measurement: what a compile would take by itself, and seeds of a search."""

from __future__ import annotations

from collections.abc import Callable

from tilecast.costmodel.hardware import Machine
from tilecast.dialects.errors import TilecastError
from tilecast.dialects.poly import ScopOp
from tilecast.dialects.schedule import Step
from tilecast.passes.poly.autoschedule.dense import dense_candidate
from tilecast.passes.poly.search import Candidate, ScopCheck, vectorized_original

Rule = Callable[[ScopOp, Machine, int], list[Step]]
# In order of preference where they are legal.
RULES: dict[str, Rule] = {
    "register tiles": dense_candidate,
    "vectorized": lambda scop, machine, threads: vectorized_original(scop, machine),
}


def automatic_schedules(scop: ScopOp, machine: Machine, threads: int) -> dict[str, Candidate]:
    """The legal schedules that rules give, by rule; the first one is the automatic choice."""
    check = ScopCheck(scop)
    found: dict[str, Candidate] = {}
    for name, rule in RULES.items():
        try:
            candidate = Candidate(tuple(rule(scop, machine, threads)))
            check(candidate)
        except TilecastError:
            continue
        found[name] = candidate
    return found
