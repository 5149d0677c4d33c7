"""Keep the arena within `max_memory` bytes: stages run patch by patch (MCUNetV2), tensors are
computed again instead of kept (Moccasin).

before: %1 = graph.conv %x ; %2 = graph.conv %1                       (%1 does not fit)
after:  %1a = graph.conv (graph.view %x) ; %2a = graph.conv %1a       (one patch after the other)
        %1b = graph.conv (graph.view %x) ; %2b = graph.conv %1b ; %2 = graph.cat %2a, %2b

Which layers and how many patches is the answer of `patches/search.py`: the least extra arithmetic.
`recompute/plan.py` looks for plans that add less, or fit where patches do not, because they compute
some tensors again. A program that fits as it is stays as it is. One that does not keeps plain
layouts, which need no room for padding and unused lanes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, UnitAttr
from xdsl.dialects.func import FuncOp
from xdsl.passes import ModulePass

from ...dialects.errors import MemoryBudgetError, OptionError
from ...dialects.graph import is_dynamic
from ...dialects.graph.control import ControlOp
from ...dialects.weights import WeightStore
from ..context import CompileContext
from .block_channels import KEEP_LAYOUT, BlockChannelsPass
from .patches.arithmetic import operations
from .patches.choice import MemoryChoice, PatchReport, RecomputeReport
from .patches.rewrite import rewrite_stage
from .patches.search import PatchSearch
from .patches.steps import Program
from .recompute.plan import Again, MemoryPlan, RecomputeSearch
from .recompute.rewrite import repeat_tensors
from .recompute.tensors import kept_tensors

MOST_TRIES = 4  # gaps between buffers may cost what the search did not see


@dataclass(frozen=True)
class Attempt:
    """`main` under a plan, and the arena it takes."""

    main: FuncOp
    plan: MemoryPlan
    bytes: int


class MemoryLimit:
    """The search for one main."""

    def __init__(self, main: FuncOp, ctx: CompileContext) -> None:
        self.main, self.ctx = main, ctx
        self.search = PatchSearch(program_of(main, ctx))
        self.recompute = RecomputeSearch(self.search)

    def within(self, budget: int) -> Attempt | None:
        """The cheapest plan whose arena, with its gaps, keeps `budget`."""
        patched = self.fitting(budget, self.patched_plan)
        if patched is None and self.smallest.bytes <= budget:
            patched = self.smallest
        below = None if patched is None else patched.plan.extra
        if below == 0:
            return patched
        again = self.fitting(budget, lambda aim: self.recompute.cheapest(aim, below))
        return again or patched

    def fitting(
        self, budget: int, plan_within: Callable[[int], MemoryPlan | None]
    ) -> Attempt | None:
        """The program under a plan that keeps the budget, aiming lower where gaps exceed it."""
        aim = budget
        for _ in range(MOST_TRIES):
            plan = plan_within(aim)
            attempt = None if plan is None else self.attempt(plan)
            if attempt is None or attempt.bytes <= budget:
                return attempt
            aim -= attempt.bytes - budget
        return None

    def patched_plan(self, budget: int) -> MemoryPlan | None:
        """The cheapest plan of patches alone."""
        path = self.search.cheapest(budget)
        return None if path is None else MemoryPlan(path)

    @cached_property
    def smallest(self) -> Attempt:
        """The division into patches that has the fewest bytes in use."""
        plan = self.patched_plan(self.search.least())
        assert plan is not None
        attempt = self.attempt(plan)
        assert attempt is not None
        return attempt

    def attempt(self, plan: MemoryPlan) -> Attempt | None:
        """A copy of main under `plan`; None where recomputation changed the steps of a stage."""
        copy = self.main.clone()
        search = PatchSearch(program_of(copy, self.ctx))
        places = [(s.stage.first, s.stage.end) for s in plan.stages]
        if plan.again:
            steps = search.program.steps
            tensors = kept_tensors(search.program)
            position = self.recompute.at
            again = [Again(tensors[position[a.tensor.op]], a.step) for a in plan.again]
            ends = [(steps[first].ops[0], steps[end - 1].ops[-1]) for first, end in places]
            copies = repeat_tensors(search.program, again)
            search = PatchSearch(program_of(copy, self.ctx))
            home = search.program.home
            places = [(home[copies[one]], home[copies[other]] + 1) for one, other in ends]
        for patched, (first, end) in zip(plan.stages, places, strict=True):
            stage = search.stage(first, end)
            if stage is None:
                return None
            rewrite_stage(stage, patched.grid)
        return Attempt(copy, plan, program_of(copy, self.ctx).plan().bytes)

    def least(self) -> int:
        """The smallest arena that a plan was found for."""
        found: Attempt | None = self.smallest
        least = 0
        while found is not None:  # gaps may differ where the bytes in use do not
            least = found.bytes
            found = self.within(least - 1)
        return least


def program_of(main: FuncOp, ctx: CompileContext) -> Program:
    """The steps of `main` as they will run."""
    return Program(main, ctx.threads, ctx.stream_weights)


def plain_plan(module: ModuleOp, ctx: CompileContext) -> int:
    """Bytes of the arena without a budget, in the layout that would be chosen then."""
    copy = module.clone()
    blocked = CompileContext()
    blocked.weights, blocked.machine = WeightStore(dict(ctx.weights)), ctx.machine
    BlockChannelsPass().apply(blocked, copy)
    main = next(f for f in copy.ops if isinstance(f, FuncOp) and f.sym_name.data == "main")
    return program_of(main, ctx).plan().bytes


@dataclass(frozen=True)
class LimitMemoryPass(ModulePass):
    """Cut stages of `@main` where its arena would exceed the budget of the context."""

    name = "limit-memory"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        assert isinstance(ctx, CompileContext)
        budget = ctx.max_memory
        main = next(
            (f for f in op.ops if isinstance(f, FuncOp) and f.sym_name.data == "main"), None
        )
        if budget is None or main is None:
            return
        for inner in main.body.block.ops:
            if isinstance(inner, ControlOp) or any(is_dynamic(r.type) for r in inner.results):
                raise OptionError(
                    "max_memory: expected a program of fixed shapes without control flow, found "
                    f"{inner.name}; leave out max_memory, dynamic_shapes or the control flow"
                )
        plain = plain_plan(op, ctx)
        limit = MemoryLimit(main, ctx)
        program = limit.search.program
        arithmetic = sum(operations(o) for step in program.steps for o in step.ops)
        if plain <= budget:
            ctx.memory = MemoryChoice(budget, plain, plain, arithmetic, 0.0, ())
            return
        attempt = limit.within(budget)
        if attempt is None:
            raise MemoryBudgetError(
                f"max_memory: expected at least {limit.least()} bytes, the least that this model "
                f"can be brought to (without a budget: {plain}), found {budget}; give it more, or "
                "make the model or its input smaller"
            )
        attempt.main.attributes[KEEP_LAYOUT] = UnitAttr()
        op.body.block.insert_op_before(attempt.main, main)
        op.body.block.erase_op(main)
        extra = attempt.plan.extra / max(1, arithmetic)
        stages = tuple(PatchReport.of(patched, arithmetic) for patched in attempt.plan.stages)
        again = tuple(
            RecomputeReport.of(one, program.steps[one.step].ops[0], arithmetic)
            for one in attempt.plan.again
        )
        ctx.memory = MemoryChoice(budget, plain, attempt.bytes, arithmetic, extra, stages, again)
