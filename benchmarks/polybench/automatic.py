"""Schedules without measurement: what a compile takes by itself, and what is compared with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tilecast.costmodel.hardware import Machine
from tilecast.dialects.errors import TilecastError
from tilecast.dialects.poly import ScopOp
from tilecast.dialects.schedule import Step
from tilecast.passes.poly.autoschedule.autoschedule import autoschedule
from tilecast.passes.poly.search import Candidate, ScopCheck, vectorized_original
from tilecast.passes.poly.search.choice_space import ChoiceSpace


def automatic_schedules(scop: ScopOp, machine: Machine, threads: int) -> dict[str, Candidate]:
    """Legal schedules by variant: "vectorized" is the original order with vectors, "auto" the
    automatic one, "untimed" the automatic one without its time tiles, where it has any."""
    check = ScopCheck(scop)
    found: dict[str, Candidate] = {}

    def attempt(name: str, rule: Callable[[], list[Step]]) -> None:
        try:
            candidate = Candidate(tuple(rule()))
            check(candidate)
        except TilecastError:
            return
        found[name] = candidate

    space = ChoiceSpace(scop, machine, threads)
    attempt("vectorized", lambda: vectorized_original(scop, machine))
    attempt("auto", lambda: autoschedule(scop, machine, threads))
    if space.default.time_tile is not None:
        untimed = replace(space.default, time_tile=None)
        attempt("untimed", lambda: list(space.steps(untimed)))
    return found
