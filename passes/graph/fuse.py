"""Divide main into kernels.

before: main computes with graph ops
after:  main holds graph.weight, graph.reshape and graph.launch; every other op is in a kernel
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.passes import ModulePass
from xdsl.transforms.dead_code_elimination import region_dce

from ...costmodel.decision import is_out_of_place
from ...costmodel.models.interface import Uncertain
from ...dialects.graph import LaunchOp
from ...dialects.graph.control import ControlOp, is_program
from ..context import CompileContext
from .fusion_rules import RuleGrouping
from .groups import Grouping, check_groups_are_legal, ordered_groups
from .outline import Outliner


def fuse(module: ModuleOp, main: FuncOp, grouping: Grouping, threads: int) -> None:
    """Outline the groups that `grouping` chooses; LoweringError if they are not legal.

    A main that launches kernels already, or only controls, is left alone.
    """
    if any(isinstance(op, LaunchOp | ControlOp) for op in main.body.block.ops):
        return
    region_dce(main.body)
    groups = grouping.groups(main, threads)
    check_groups_are_legal(groups, main)
    Outliner(module, main).outline(ordered_groups(groups, main))


@dataclass(frozen=True)
class FusePass(ModulePass):
    """Group the ops of `@main`, and of what control flow calls, into kernels: by fixed rules, which
    a cost model may improve on."""

    name = "fuse"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        threads = ctx.threads if isinstance(ctx, CompileContext) else 1
        for func in list(op.ops):
            if isinstance(func, FuncOp) and is_program(func):
                fuse(op, func, grouping_for(ctx), threads)


def grouping_for(ctx: Context) -> Grouping:
    """The rules' grouping, or the one of a model that knows how sure it is, about a machine whose
    speeds were measured.

    A budget for memory was planned with the kernels of the rules in view.
    """
    if not isinstance(ctx, CompileContext) or ctx.machine.is_gpu or ctx.max_memory is not None:
        return RuleGrouping()
    model, hardware = ctx.grouping_model, ctx.hardware
    if not isinstance(model, Uncertain) or hardware is None or is_out_of_place(model, hardware):
        return RuleGrouping()
    from .grouping_search.model_grouping import ModelGrouping  # brings in isl

    return ModelGrouping(ctx, model, hardware)
