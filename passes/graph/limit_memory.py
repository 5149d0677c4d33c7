"""Keep the arena within `max_memory` bytes by running stages patch by patch (MCUNetV2).

before: %1 = graph.conv %x ; %2 = graph.conv %1                       (%1 does not fit)
after:  %1a = graph.conv (graph.view %x) ; %2a = graph.conv %1a       (one patch after the other)
        %1b = graph.conv (graph.view %x) ; %2b = graph.conv %1b ; %2 = graph.cat %2a, %2b

Which layers and how many patches is the answer of `patches/search.py`: the least extra arithmetic.
A program that fits as it is stays as it is. One that is cut keeps plain layouts, which need no
room for padding and unused lanes.
"""

from __future__ import annotations

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
from .patches.choice import MemoryChoice, PatchReport
from .patches.rewrite import rewrite_stage
from .patches.search import PatchSearch, Path
from .patches.steps import Program

MOST_TRIES = 4  # gaps between buffers may cost what the search did not see


@dataclass(frozen=True)
class Attempt:
    """`main` under a division into stages, and the arena it takes."""

    main: FuncOp
    path: Path
    bytes: int


class MemoryLimit:
    """The search for one main."""

    def __init__(self, main: FuncOp, ctx: CompileContext) -> None:
        self.main, self.ctx = main, ctx
        self.search = PatchSearch(program_of(main, ctx))

    def within(self, budget: int) -> Attempt | None:
        """The cheapest division whose arena, with its gaps, keeps `budget`."""
        aim = budget
        for _ in range(MOST_TRIES):
            path = self.search.cheapest(aim)
            if path is None:
                break
            attempt = self.attempt(path)
            if attempt.bytes <= budget:
                return attempt
            aim -= attempt.bytes - budget
        return self.smallest if self.smallest.bytes <= budget else None

    @cached_property
    def smallest(self) -> Attempt:
        """The division that has the fewest bytes in use."""
        path = self.search.cheapest(self.search.least())
        assert path is not None
        return self.attempt(path)

    def attempt(self, path: Path) -> Attempt:
        """The program with the stages of `path` cut, in a copy of main."""
        copy = self.main.clone()
        search = PatchSearch(program_of(copy, self.ctx))
        for patched in path:
            stage = search.stage(patched.stage.first, patched.stage.end)
            assert stage is not None
            rewrite_stage(stage, patched.grid)
        return Attempt(copy, path, program_of(copy, self.ctx).plan().bytes)

    def least(self) -> int:
        """The smallest arena that a division was found for."""
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
        extra = sum(patched.extra for patched in attempt.path) / max(1, arithmetic)
        stages = tuple(PatchReport.of(patched, arithmetic) for patched in attempt.path)
        ctx.memory = MemoryChoice(budget, plain, attempt.bytes, arithmetic, extra, stages)
