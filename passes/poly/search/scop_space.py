"""The space that a scop is searched in: automatic schedules, register tiles, and their changes."""

from __future__ import annotations

from collections.abc import Sequence

from ....costmodel.hardware import Machine
from ....dialects.poly import ScopOp
from .candidate import Candidate
from .choice_space import ChoiceSpace
from .dense_space import DenseSpace
from .step_space import StepSpace
from .union_space import UnionSpace
from .vectorized_original import vectorized_original, widest_lanes


def scop_space(
    scop: ScopOp, machine: Machine, threads: int, known: Sequence[Candidate] = ()
) -> UnionSpace:
    """All that is known to make schedules of `scop`; `known` are schedules to begin with."""
    seeds = [*(c.steps for c in known), tuple(vectorized_original(scop, machine))]
    return UnionSpace(
        {
            "register tiles": DenseSpace(scop, machine, threads),
            "choices": ChoiceSpace(scop, machine, threads),
        },
        StepSpace(scop, widest_lanes(scop, machine), seeds),
    )
