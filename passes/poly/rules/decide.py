"""Which schedule a kernel gets: a recorded one, or by a cost model one of the choices of the rules.

before: poly.scop in original order
after:  the same scop under the rules' own choice, or one that was measured or is surely faster
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from ....costmodel.decision import decided, is_out_of_place
from ....costmodel.features.nests import ScheduledProgram
from ....costmodel.models.interface import Candidates
from ....dialects.errors import IllegalScheduleError
from ....dialects.poly import ScopOp
from ....dialects.schedule import parse_steps
from ...context import CompileContext
from ..cost.describe import ScopDescriber
from ..task_key import task_key
from .choice import RULES, RuleChoice, alternatives
from .schedule import apply_recorded, choose_schedule

QUESTION = "schedule"
MOST_STATEMENTS = 16  # of larger kernels, one schedule takes long enough


def decide_schedule(scop: ScopOp, ctx: CompileContext) -> ScopOp:
    """Schedule `scop` and replace it by the variant that is taken, which is returned.

    What tuning recorded for it comes before what a model says, and that before the rules alone.
    """
    taken = recorded(scop, ctx) or predicted(scop, ctx)
    block = scop.parent_block()
    assert block is not None
    block.insert_op_before(taken, scop)
    scop.detach()  # type: ignore[no-untyped-call]
    return taken


def recorded(scop: ScopOp, ctx: CompileContext) -> ScopOp | None:
    """A copy of `scop` under its recorded schedule; None where there is none that applies."""
    text = ctx.recorded_schedule and ctx.recorded_schedule(task_key(scop))
    if not text:
        return None
    copy = scop.clone()
    try:
        apply_recorded(copy, ctx.machine, ctx.threads, text)
    except IllegalScheduleError as error:
        logging.getLogger(__name__).warning(
            "%s: its recorded schedule no longer applies, tune again: %s",
            scop.sym_name.data,
            error,
        )
        return None
    return copy


def predicted(scop: ScopOp, ctx: CompileContext) -> ScopOp:
    """A copy of `scop` as the rules schedule it, or under an alternative that the model is sure of;
    the decision is recorded."""
    offered = [(RULES, scheduled(scop, ctx, RULES))]
    if is_asked(ctx) and is_small(scop):
        offered += variants(scop, ctx, text_of(offered[0][1]))
    return offered[weighed(offered, ctx) if len(offered) > 1 else 0][1]


def is_asked(ctx: CompileContext) -> bool:
    """Whether there is a model, and it knows the machine."""
    model, hardware = ctx.cost_model, ctx.hardware
    return model is not None and hardware is not None and not is_out_of_place(model, hardware)


def is_small(scop: ScopOp) -> bool:
    """Whether several schedules may be made, and their features computed."""
    return not scop.parameters and len(list(scop.statements)) <= MOST_STATEMENTS


def scheduled(scop: ScopOp, ctx: CompileContext, choice: RuleChoice) -> ScopOp:
    """A copy of `scop` under the schedule of the rules with `choice`."""
    copy = scop.clone()
    choose_schedule(copy, ctx.machine, ctx.threads, choice)
    return copy


def variants(scop: ScopOp, ctx: CompileContext, known: str) -> list[tuple[RuleChoice, ScopOp]]:
    """The alternatives that differ from each other and from `known`."""
    seen, found = {known}, []
    for choice in alternatives(ctx.threads):
        variant = scheduled(scop, ctx, choice)
        text = text_of(variant)
        if text not in seen and variant.schedule is not None and variant.schedule.data:
            seen.add(text)
            found.append((choice, variant))
    return found


def text_of(scop: ScopOp) -> str:
    """Equal for equal scops under equal schedules."""
    return str(ModuleOp([scop.clone()]))


def weighed(offered: list[tuple[RuleChoice, ScopOp]], ctx: CompileContext) -> int:
    """The number of the variant to take; the decision is recorded."""
    assert ctx.cost_model is not None
    assert ctx.hardware is not None
    name = offered[0][1].sym_name.data
    try:
        programs = [described(variant, ctx.threads) for _, variant in offered]
    except IllegalScheduleError as error:
        logging.getLogger(__name__).info("%s: no features: %s", name, error)
        return 0
    candidates = Candidates.of(programs, ctx.hardware)
    labels = [str(choice) for choice, _ in offered]
    chosen, decision = decided(ctx.cost_model, name, QUESTION, labels, candidates)
    ctx.decisions.append(decision)
    return chosen


def described(variant: ScopOp, threads: int) -> ScheduledProgram:
    """What cost models are told about a scheduled scop."""
    assert variant.schedule is not None
    return ScopDescriber(variant, threads)(parse_steps(variant.schedule.data))


@dataclass(frozen=True)
class SchedulePass(ModulePass):
    """Choose a schedule for every scop."""

    name = "schedule"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        assert isinstance(ctx, CompileContext)
        for scop in list(op.ops):
            if isinstance(scop, ScopOp):
                decide_schedule(scop, ctx)
