"""Which statements behind the sums of a tile get a loop of their own.

before: for tiles: { acc = sums ; out = f(acc) }
after:  for rows: { for tiles: t = sums ; for positions: out = f(t) }

A function such as exp is a few dozen instructions that wait for each other. A core overlaps calls
that follow each other closely, but it does not look across the sums of a tile: a vector of silu
takes 24 cycles behind a tile and 10 in a loop over a row of sums (Zen 3). Its constants leave the
registers to the tile, too. Tiles of many registers have so many calls that these overlap.
"""

from __future__ import annotations

from collections.abc import Sequence

from ....dialects.functions import is_function
from .loop_plan import LoopPlan


def slow_epilogue(plan: LoopPlan, run: Sequence[str], update: str) -> list[str]:
    """The statements of `run` behind the sums of `update` (in all passes), where they call
    functions and registers are few; else none."""
    rest = list(run[run.index(update) + 1 :])
    while rest and plan.statements[rest[0]].reduction is not None:  # adds up passes
        rest = rest[1:]
    calls = any(is_function(op) for name in rest for op in plan.statements[name].body.walk())
    return rest if calls and plan.machine.has_few_registers else []
