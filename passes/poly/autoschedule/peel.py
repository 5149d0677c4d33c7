"""Split domains where a few instances feed all others of the same iteration of an outer loop.

before: for k: for i: for j: S(k, i, j)         S(k, i, j) reads what S(k, i, k), S(k, k, j) write
after:  S over j < k, j = k, j > k, each over i < k, i = k, i > k: nine statements, whose loops
        over i and j no longer carry dependences once they are distributed

(Index-set splitting, Griebl, Feautrier & Lengauer 2000; peeling in Kennedy & Allen 1987.)
"""

from __future__ import annotations

from typing import Any

from ....dialects.poly import ScopOp
from ....dialects.schedule import Band, SplitDomain, bands_of
from ..dependences.dependences import array_names
from ..primitives import original_tree
from ..rewrites import apply_rewrite
from ..sets import IslSet, dims, isl, pairs_of
from .advance import pairs_at_equal
from .nest import ScheduledScop

MOST_EQUALITIES = 2  # each splits every statement in three


def peeled(scheduled: ScheduledScop) -> tuple[ScopOp, list[SplitDomain]]:
    """(a copy of the scop with its self-dependences peeled, the steps that do it)."""
    scop = scheduled.scop.clone()
    steps: list[SplitDomain] = []
    for name in scheduled.statements:
        equalities = _feeding(scheduled, name)
        if not 0 < len(equalities) <= MOST_EQUALITIES:
            continue
        parts = [name]
        for serial, text in enumerate(equalities):
            for part in list(parts):
                for relation, suffix in (("<", "below"), ("=", "at")):
                    inside = f"{part}_{suffix}{serial}"
                    step = SplitDomain(part, f"{text} {relation} 0", inside)
                    apply_rewrite(scop, step)
                    steps.append(step)
                    parts.append(inside)
    return scop, steps


def _feeding(scheduled: ScheduledScop, name: str) -> list[str]:
    """Expressions that are zero in the instances of `name` that others of `name` depend on inside
    one iteration of its outermost loop."""
    band = next((b for b in bands_of(original_tree(scheduled.scop)) if _has(b, name)), None)
    if band is None or scheduled.ranks[name] < 2:
        return []
    written = array_names(scheduled.scop)[scheduled.scop.statement(name).target]
    own = pairs_of(scheduled.dependences.values.between(frozenset((name,))).through(written))
    inside = pairs_at_equal(own, [band], scheduled.ranks)
    if not inside:
        return []
    found: list[str] = []
    for source in _basic_sets(inside[name, name].domain().coalesce()):
        texts = _equalities(source, scheduled.domains[name])
        if len(texts) != 1:
            return []
        found += [text for text in texts if text not in found]
    return found


def _has(band: Band, name: str) -> bool:
    return any(statement == name for statement, _ in band.exprs)


def _basic_sets(domain: IslSet) -> list[Any]:
    found: list[Any] = []
    domain.foreach_basic_set(found.append)
    return found


def _equalities(source: Any, domain: IslSet) -> list[str]:
    """The equations of `source` that do not hold all over `domain`, as expressions."""
    rank = domain.dim(isl.dim_type.set)
    found = []
    for constraint in source.affine_hull().get_constraints():
        if not constraint.is_equality():
            continue
        terms = [
            f"{constraint.get_coefficient_val(isl.dim_type.set, d).to_python()}*{name}"
            for d, name in enumerate(dims(rank))
            if not constraint.get_coefficient_val(isl.dim_type.set, d).is_zero()
        ]
        text = " + ".join([*terms, str(constraint.get_constant_val().to_python())])
        plane = isl.Set(f"{{ [{', '.join(dims(rank))}] : {text} = 0 }}")
        if not domain.reset_tuple_id().is_subset(plane):
            found.append(text)
    return found
