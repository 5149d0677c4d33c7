"""Keep the arena within `max_memory` bytes: stages run patch by patch (MCUNetV2), tensors are
computed again instead of kept (Moccasin).

before: %1 = graph.conv %x ; %2 = graph.conv %1                       (%1 does not fit)
after:  %1a = graph.conv (graph.view %x) ; %2a = graph.conv %1a       (one patch after the other)
        %1b = graph.conv (graph.view %x) ; %2b = graph.conv %1b ; %2 = graph.cat %2a, %2b

Which layers and how many patches is the answer of `patches/search.py`: the least extra arithmetic.
`recompute/plan.py` looks for plans that add less, or fit where patches do not, because they compute
some tensors again. A program that fits as it is stays as it is. One that does not keeps plain
layouts, which need no room for padding and unused lanes.

Kernels have buffers of their own, which only lowering knows. So the program is lowered first, and
the search counts what its kernels were found to keep; a plan counts as one that fits when its
program, lowered too, does.

Where weights are streamed, layers that are too large are cut along their outputs
(`cut_weights.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
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
from ..loops.program_plan import ProgramPlan
from .block_channels import KEEP_LAYOUT, BlockChannelsPass
from .cut_weights import LEAST_PIECE, CutWeights, cut_weights
from .patches.arithmetic import operations
from .patches.choice import MemoryChoice, PatchReport, PiecesReport, RecomputeReport
from .patches.rewrite import rewrite_stage
from .patches.search import PatchSearch
from .patches.steps import OwnArrays, Program, aligned
from .recompute.plan import Again, MemoryPlan, RecomputeSearch
from .recompute.rewrite import repeat_tensors
from .recompute.tensors import kept_tensors

MOST_TRIES = 4  # gaps between buffers may cost what the search did not see


@dataclass(eq=False)
class Attempt:
    """`start` under a plan, which is `main`. `tensors` are the bytes of an arena without buffers of
    kernels."""

    start: FuncOp
    main: FuncOp
    plan: MemoryPlan
    tensors: int
    ctx: CompileContext

    @cached_property
    def bytes(self) -> int:
        """What the arena takes."""
        planned = lowered_plan(self.main, self.ctx)
        return self.tensors if planned is None else planned.arena.bytes

    def excess(self, budget: int) -> int:
        """Bytes that are missing; the program is lowered where its tensors fit."""
        return (self.tensors if self.tensors > budget else self.bytes) - budget


class MemoryLimit:
    """The search for one main, with the buffers of its kernels in view or, not `buffers`, without:
    those of patches may be smaller than they are taken to be."""

    def __init__(self, main: FuncOp, ctx: CompileContext, buffers: bool = True) -> None:
        self.main, self.ctx = main, ctx
        program = program_of(main, ctx)
        own = own_arrays(program, ctx) if buffers else None
        self.search = PatchSearch(program_of(main, ctx, own) if own else program)
        self.recompute = RecomputeSearch(self.search)
        self.attempts: dict[Hashable, Attempt | None] = {}

    @cached_property
    def without_buffers(self) -> MemoryLimit | None:
        """The same search that does not know them, where there are any."""
        known = any(arrays.buffers for arrays in self.search.program.own_arrays)
        return MemoryLimit(self.main, self.ctx, buffers=False) if known else None

    def within(self, budget: int) -> Attempt | None:
        """The cheapest plan whose arena, with its gaps, keeps `budget`; where the search for it
        finds none, one that a larger budget leads to."""
        found = self.either(budget)
        return found or next((one for one in self.smaller_and_smaller if one.bytes <= budget), None)

    def either(self, budget: int) -> Attempt | None:
        """The plan found with buffers in view, or else without."""
        found, other = self.cheapest(budget), self.without_buffers
        return found if found is not None or other is None else other.cheapest(budget)

    def cheapest(self, budget: int) -> Attempt | None:
        """The plan that patches and recomputation find for `budget`."""
        patched = self.fitting(budget, self.patched_plan)
        if patched is None and self.smallest.excess(budget) <= 0:
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
            if attempt is None:
                return None
            excess = attempt.excess(budget)
            if excess <= 0:
                return attempt
            aim -= excess
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
        key = plan.changes
        if key not in self.attempts:
            self.attempts[key] = self._attempt(plan)
        return self.attempts[key]

    def _attempt(self, plan: MemoryPlan) -> Attempt | None:
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
        return Attempt(self.main, copy, plan, program_of(copy, self.ctx).plan().bytes, self.ctx)

    @cached_property
    def smaller_and_smaller(self) -> list[Attempt]:
        """Plans from the smallest division on, each for less than the one before takes."""
        found = [self.smallest]
        while (smaller := self.either(found[-1].bytes - 1)) is not None:
            found.append(smaller)  # gaps may differ where the bytes in use do not
        return found

    def least(self) -> int:
        """The smallest arena that a plan was found for."""
        return self.smaller_and_smaller[-1].bytes


def program_of(
    main: FuncOp, ctx: CompileContext, own_arrays: Sequence[OwnArrays] | None = None
) -> Program:
    """The steps of `main` as they will run."""
    return Program(main, ctx.threads, ctx.stream_weights, own_arrays)


def lowered_plan(main: FuncOp, ctx: CompileContext) -> ProgramPlan | None:
    """Where the arrays of `main`, in plain layouts, will live; None without a pipeline to ask."""
    if ctx.plan_arena is None:
        return None
    copy = main.clone()
    copy.attributes[KEEP_LAYOUT] = UnitAttr()
    return ctx.plan_arena(ModuleOp([copy]))


def own_arrays(program: Program, ctx: CompileContext) -> list[OwnArrays] | None:
    """What the kernel of each step needs besides tensors; None where it is not known, or where
    later passes (those that round) make other kernels."""
    planned = lowered_plan(program.main, ctx)
    if planned is None or len(planned.program.launches) != len(program.steps):
        return None
    found = []
    for launch in planned.program.launches:
        fetched = planned.program.fetched(launch)
        sizes = [(aligned(n), p in fetched) for p, n in planned.program.own_arrays(launch)]
        found.append(OwnArrays(*(sum(n for n, f in sizes if f is kind) for kind in (False, True))))
    return found


def plain_plan(module: ModuleOp, ctx: CompileContext) -> int:
    """Bytes of the arena without a budget, in the layout that would be chosen then."""
    if ctx.plan_arena is not None:
        return ctx.plan_arena(module).arena.bytes
    copy = module.clone()
    blocked = CompileContext()
    blocked.weights, blocked.machine = WeightStore(dict(ctx.weights)), ctx.machine
    BlockChannelsPass().apply(blocked, copy)
    main = next(f for f in copy.ops if isinstance(f, FuncOp) and f.sym_name.data == "main")
    return program_of(main, ctx).plan().bytes


def starts(
    main: FuncOp, ctx: CompileContext, budget: int
) -> Iterator[tuple[FuncOp, list[CutWeights]]]:
    """Programs to search in: `main`; where weights are streamed, with large layers in pieces, too,
    last in the smallest there are, which do not depend on the budget."""
    yield main, []
    before: list[CutWeights] = []
    for most in (budget // 2, budget // 8, LEAST_PIECE) if ctx.stream_weights else ():
        copy = main.clone()
        cut = cut_weights(copy, ctx.weights, most)
        if [c.pieces for c in cut] != [c.pieces for c in before]:
            yield copy, cut
        before = cut


def fitted(
    main: FuncOp, ctx: CompileContext, budget: int, plain: int
) -> tuple[Attempt, list[CutWeights]]:
    """The first program that some plan brings to `budget`; MemoryBudgetError where there is none,
    with the least that was reached."""
    limits: list[MemoryLimit] = []
    for start, cut in starts(main, ctx, budget):
        limits.append(MemoryLimit(start, ctx))
        attempt = limits[-1].within(budget)
        if attempt is not None:
            return attempt, cut
    least = min(limits[0].least(), limits[-1].least())  # those can be had by asking for so much
    raise MemoryBudgetError(
        f"max_memory: expected at least {least} bytes, the least that this model can be brought "
        f"to (without a budget: {plain}), found {budget}; give it more, or make the model or its "
        "input smaller"
    )


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
        program = program_of(main, ctx)
        arithmetic = sum(operations(o) for step in program.steps for o in step.ops)
        if plain <= budget:
            ctx.memory = MemoryChoice(budget, plain, plain, arithmetic, 0.0, ())
            return
        attempt, cut = fitted(main, ctx, budget, plain)
        attempt.main.attributes[KEEP_LAYOUT] = UnitAttr()
        op.body.block.insert_op_before(attempt.main, main)
        op.body.block.erase_op(main)
        steps = program_of(attempt.start, ctx).steps
        extra = attempt.plan.extra / max(1, arithmetic)
        stages = tuple(PatchReport.of(patched, arithmetic) for patched in attempt.plan.stages)
        again = tuple(
            RecomputeReport.of(one, steps[one.step].ops[0], arithmetic)
            for one in attempt.plan.again
        )
        pieces = tuple(map(PiecesReport.of, cut))
        ctx.memory = MemoryChoice(
            budget, plain, attempt.bytes, arithmetic, extra, stages, again, pieces
        )
