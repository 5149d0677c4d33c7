"""Dependences as isl's scheduler wants them: few, the others following by transitivity.

A schedule that keeps each value's way from its writer to the next one keeps every pair of accesses
to one element. That does not hold where a reduction may reorder the writers in between, so arrays
that a reduction updates keep all their pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

from ....dialects.poly import ScopOp
from ..dependences.dependences import (
    Dependences,
    accesses_of,
    array_names,
    domains_of,
    original_schedule,
)
from ..dependences.updates import updates_of
from ..sets import UnionMap, ends_of, isl, maps_of, union_map


@dataclass(frozen=True)
class SchedulingDependences:
    """`validity` must not be reversed; `proximity` is worth keeping close."""

    validity: UnionMap
    proximity: UnionMap


def _parts(accesses: UnionMap, arrays: set[str]) -> tuple[UnionMap, UnionMap]:
    """(accesses to `arrays`, accesses to all others)."""
    inside = [one for one in maps_of(accesses) if ends_of(one)[1] in arrays]
    outside = [one for one in maps_of(accesses) if ends_of(one)[1] not in arrays]
    return union_map(inside), union_map(outside)


def scheduling_dependences(scop: ScopOp, dependences: Dependences) -> SchedulingDependences:
    """The pairs of `dependences` that imply all others; all of them where isl cannot tell."""
    names = array_names(scop)
    reduced = {names[updates.target] for updates in updates_of(scop)}
    order = original_schedule(scop).intersect_domain(domains_of(scop))
    (kept_reads, reads), (kept_writes, writes) = (_parts(a, reduced) for a in accesses_of(scop))
    try:
        flow = (
            isl.UnionAccessInfo.from_sink(reads)
            .set_must_source(writes)
            .set_schedule_map(order)
            .compute_flow()
            .get_must_dependence()
        )
        overwrites = (
            isl.UnionAccessInfo.from_sink(writes)
            .set_must_source(writes)
            .set_may_source(reads)
            .set_schedule_map(order)
            .compute_flow()
            .get_may_dependence()
        )
    except isl.Error:  # isl 0.27 stumbles over some unions of conditions
        return SchedulingDependences(dependences.order, dependences.flow)
    touched = kept_reads.union(kept_writes)
    same_element = touched.apply_range(touched.reverse())
    every = dependences.order.intersect(same_element)
    return SchedulingDependences(flow.union(overwrites).union(every), dependences.flow)
