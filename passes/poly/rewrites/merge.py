"""The inverse of split_domain: two statements that do the same become one.

before: for i: { for j < i: S: A[i, j] = f(i, j);  for j >= i: T: A[i, j] = f(i, j) }
after:  for i: for j: S: A[i, j] = f(i, j)
"""

from __future__ import annotations

from xdsl.dialects.builtin import StringAttr
from xdsl.rewriter import Rewriter

from ....dialects.errors import IllegalScheduleError
from ....dialects.poly import ScopOp, StatementOp
from ....dialects.schedule import Merge
from ..dependences.dependences import dependences_of
from ..dependences.legality import check_schedule_is_legal
from ..positions import set_positions
from ..primitives import original_tree
from ..sets import domain_text, isl
from .find import find_statement, refuse


def _do_the_same(one: StatementOp, other: StatementOp) -> bool:
    """Whether the two have equal accesses and bodies."""
    return (
        one.target is other.target
        and one.write == other.write
        and tuple(one.sources) == tuple(other.sources)
        and one.reads == other.reads
        and one.reduction == other.reduction
        and one.body.is_structurally_equivalent(other.body)
    )


def merge(scop: ScopOp, step: Merge) -> None:
    """Apply `step`: the instances of `other` join the loops of `statement`; IllegalScheduleError
    where that breaks a dependence."""
    statement, other = find_statement(scop, step.statement), find_statement(scop, step.other)
    if statement is other or not _do_the_same(statement, other):
        raise refuse(step, "expected two statements with equal accesses and bodies")
    domain, joining = isl.Set(statement.domain.data), isl.Set(other.domain.data)
    if not domain.is_disjoint(joining):
        raise refuse(step, "instances in common would run once instead of twice")
    trial = scop.clone()
    places = dict(zip(trial.statements, trial.positions, strict=True))
    places = {s: tuple(2 * entry for entry in p) for s, p in places.items()}
    first, second = (trial.statement(name) for name in (step.statement, step.other))
    places[second] = (*places[first][:-1], places[first][-1] + 1)
    dependences = dependences_of(trial)
    set_positions(trial, places)
    try:
        check_schedule_is_legal(original_tree(trial), dependences, trial.ranks)
    except IllegalScheduleError as error:
        raise refuse(step, f"{step.other} cannot join these loops: {error}") from None
    statement.properties["domain"] = StringAttr(domain_text(domain.union(joining)))
    kept = dict(zip(scop.statements, scop.positions, strict=True))
    del kept[other]
    Rewriter.erase_op(other)
    set_positions(scop, kept)
