"""Give every scop an automatic schedule for the machine.

before: poly.scop in original order
after:  the same scop with a `schedule` property: one `rearrange`, its loops tiled and annotated
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.passes import ModulePass

from ....costmodel.hardware import Machine
from ....dialects.errors import IllegalScheduleError, OptionError
from ....dialects.poly import ScopOp
from ....dialects.schedule import Step
from ...context import CompileContext
from ..dependences.dependences import dependences_of
from ..dependences.legality import LegalityChecker
from ..dependences.vector_legality import check_vector_loops
from ..scheduled import apply_schedule
from ..simplification.bind_parameters import bind_parameters, typical_sizes
from .blocked import blocked_candidate
from .candidate import candidate
from .choice import BASES, Choice
from .dense import dense_candidate

AUTO = "auto"


def autoschedule(scop: ScopOp, machine: Machine, threads: int, base: str = AUTO) -> list[Step]:
    """The steps of the machine's own choice, or of a plain one from the loop order `base`.

    Its own choice is register tiles, a blocked factorization, or time tiles and separate nests,
    whichever applies first. Where nothing does, there are separate nests. The log says why not.
    """
    if base != AUTO and base not in BASES:
        raise OptionError(f"autoschedule: no base {base!r}; expected {AUTO}, {', '.join(BASES)}")
    choice = next((Choice(base=known) for known in BASES if known == base), None)
    dependences = dependences_of(scop)
    rules: list[Callable[[], list[Step]]] = [
        lambda: candidate(scop, dependences, machine, threads, choice)
    ]
    if base == AUTO:  # reuse in registers is worth more than any other order of loops
        rules[:0] = [
            lambda: dense_candidate(scop, machine, threads),
            lambda: blocked_candidate(scop, machine, threads),
        ]
    for rule in rules:
        try:
            return rule()
        except IllegalScheduleError as error:
            logging.getLogger(__name__).info("%s: %s", scop.sym_name.data, error)
    return candidate(scop, dependences, machine, threads, Choice(base="distributed"))


def autoschedule_for_all_sizes(
    scop: ScopOp, machine: Machine, threads: int, base: str = AUTO
) -> list[Step]:
    """The steps that suit `scop` at typical sizes, where they are legal at all sizes; else those of
    the separate nests, else none."""
    typical = bind_parameters(scop, typical_sizes(scop))
    for choice in (base, "distributed"):
        steps = autoschedule(typical, machine, threads, choice)
        try:
            rewritten, tree = apply_schedule(scop, steps)
            LegalityChecker(rewritten).check(tree)
            check_vector_loops(tree, rewritten)
        except IllegalScheduleError as error:
            logging.getLogger(__name__).info("%s at all sizes: %s", scop.sym_name.data, error)
            continue
        return steps
    return []


@dataclass(frozen=True)
class AutoschedulePass(ModulePass):
    """Set the `schedule` of every scop that has none.

    `base` is the loop order to start from: auto (time tiles where there are loops over time,
    separate nests else), original, distributed, isl-max or isl-none.
    """

    name = "autoschedule"
    base: str = AUTO

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        assert isinstance(ctx, CompileContext)
        for scop in op.ops:
            if isinstance(scop, ScopOp) and scop.schedule is None:
                choose = autoschedule_for_all_sizes if scop.parameters else autoschedule
                steps = choose(scop, ctx.machine, ctx.threads, self.base)
                scop.properties["schedule"] = StringAttr("\n".join(str(s) for s in steps))
