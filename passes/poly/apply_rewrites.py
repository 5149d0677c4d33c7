"""Apply the steps of a schedule that change statements, and leave the others.

before: poly.scop {schedule = "accumulate(S1, 2, 256)\\nsplit(S1.i0, 4, o, i)"}
after:  the scop with S1_load, S1 and S1_store {schedule = "split(S1.i0, 4, o, i)"}
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.passes import ModulePass

from ...dialects.poly import ScopOp
from ...dialects.schedule import Rewrite, parse_steps
from .rewrites import apply_rewrite


@dataclass(frozen=True)
class ApplyRewritesPass(ModulePass):
    """Rewrite the statements of every scop by its schedule."""

    name = "apply-rewrites"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for scop in op.ops:
            if not isinstance(scop, ScopOp) or scop.schedule is None:
                continue
            steps = parse_steps(scop.schedule.data)
            for step in steps:
                if isinstance(step, Rewrite):
                    apply_rewrite(scop, step)
            rest = [str(s) for s in steps if not isinstance(s, Rewrite)]
            scop.properties["schedule"] = StringAttr("\n".join(rest))
