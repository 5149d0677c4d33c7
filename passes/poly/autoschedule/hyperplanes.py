"""Hyperplanes of time-iterated loops: tile coordinates that no dependence crosses backward.

In a stencil, a dependence from element x at time t reaches x + d at a later time. Along
a * t + x + c, with a slope a that outruns d and a shift c per statement, nothing goes backward; nor
along a * t - x + c'. The first makes tiles that lean (Irigoin & Triolet 1988), both together make
diamonds, all of which on one diagonal may start at the same time (Bandishti et al. 2012).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ....dialects.poly import ScopOp, StatementOp
from ....dialects.schedule import Band, statements_of
from ..sets import expr_text
from .advance import Expressions, Pairs, least_advance, shifts_that_keep

STEEPEST = 4  # slopes beyond are no longer worth tiling for


@dataclass(frozen=True)
class TimeLoop:
    """A loop `band` that writes the same elements in every iteration.

    `space[p]` gives each statement's place along dim p of the arrays that they write.
    """

    band: Band
    space: tuple[Expressions, ...]

    @property
    def time(self) -> Expressions:
        """The value of the loop for each statement."""
        return dict(self.band.exprs)


def time_loop(scop: ScopOp, band: Band) -> TimeLoop | None:
    """`band` as a time loop; None where it is none, or its statements write different ranks."""
    by_name = {s.sym_name.data: s for s in scop.statements}
    inside = [by_name[name] for name in statements_of(band)]
    ranks = {len(s.write.data.results) for s in inside}
    if len(ranks) != 1 or 0 in ranks:
        return None
    if any(_writes_along(s, dict(band.exprs)[s.sym_name.data]) for s in inside):
        return None
    (rank,) = ranks
    space = tuple(
        {s.sym_name.data: expr_text(s.write.data.results[p]) for s in inside} for p in range(rank)
    )
    return TimeLoop(band, space)


def _writes_along(statement: StatementOp, expr: str) -> bool:
    """Whether iterations of a loop over `expr` write different elements."""
    if not expr.startswith("i") or not expr[1:].isdigit():
        return True
    return int(expr[1:]) in statement.write.data.used_dims()


def leaning(
    loop: TimeLoop, dim: int, sign: int, pairs: Pairs, ranks: Mapping[str, int]
) -> Expressions | None:
    """a * time + sign * space[dim] + shift with the least slope a that is legal; None for none."""
    for slope in range(1, STEEPEST + 1):
        exprs = {
            s: f"{slope}*({loop.time[s]}) {'+' if sign > 0 else '-'} ({place})"
            for s, place in loop.space[dim].items()
        }
        shifts = shifts_that_keep(pairs, exprs, ranks)
        if shifts is not None:
            return {s: f"{e} + {shifts[s]}" if shifts[s] else e for s, e in exprs.items()}
    return None


def upright(loop: TimeLoop, pairs: Pairs, ranks: Mapping[str, int]) -> Expressions | None:
    """The time itself, where no dependence goes backward in it."""
    least = least_advance(pairs, loop.time, ranks)
    return loop.time if least is None or least >= 0 else None
