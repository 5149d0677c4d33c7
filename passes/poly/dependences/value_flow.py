"""Which write gives which read its value, by isl dataflow, array by array when it is asked for.

Exact dataflow over the statements of a blocked factorization takes isl a second, and most arrays
are never asked about: legality knows pairs by memory alone.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace

from ..sets import UnionMap, ends_of, isl, maps_of, union_map
from .original_order import OriginalOrder


def flow_between(sink: UnionMap, source: UnionMap, schedule: UnionMap) -> UnionMap:
    """Value-based: the last write before each read; memory-based where isl cannot tell."""
    info = isl.UnionAccessInfo.from_sink(sink).set_must_source(source)
    try:
        return info.set_schedule_map(schedule).compute_flow().get_must_dependence()
    except isl.Error:  # isl 0.27 stumbles over some unions of conditions; more pairs are sound
        return source.apply_range(sink.reverse()).intersect(schedule.lex_lt_union_map(schedule))


def memory_between(sink: UnionMap, source: UnionMap, order: OriginalOrder) -> UnionMap:
    """Memory-based: every earlier access to the same element."""
    return order.forward(source.apply_range(sink.reverse()))


@dataclass(frozen=True)
class ValueFlow:
    """Pairs instance that wrote -> instance that reads, of `statements` (None: of all)."""

    reads: UnionMap
    writes: UnionMap
    schedule: UnionMap
    statements: frozenset[str] | None = None
    _found: dict[str, UnionMap] = field(default_factory=dict, compare=False)

    def through(self, array: str) -> UnionMap:
        """The pairs whose value is in the array called `array`."""
        if array not in self._found:
            reads, writes = (_of(accesses, array) for accesses in (self.reads, self.writes))
            instances = reads.domain().union(writes.domain())
            order = self.schedule.intersect_domain(instances)
            self._found[array] = flow_between(reads, writes, order)
        pairs = self._found[array]
        return pairs if self.statements is None else pairs_between(pairs, self.statements)

    def whole(self) -> UnionMap:
        """The pairs of all arrays."""
        arrays = dict.fromkeys(ends_of(one)[1] for one in maps_of(self.reads))
        return union_map([one for array in arrays for one in maps_of(self.through(array))])

    def between(self, statements: frozenset[str]) -> ValueFlow:
        """Those pairs both of whose instances belong to `statements`."""
        return replace(self, statements=statements)


def _of(accesses: UnionMap, array: str) -> UnionMap:
    return union_map([one for one in maps_of(accesses) if ends_of(one)[1] == array])


def pairs_between(pairs: UnionMap, statements: Collection[str]) -> UnionMap:
    """The pairs both of whose instances belong to `statements`."""
    return union_map([one for one in maps_of(pairs) if set(ends_of(one)) <= set(statements)])
