"""The pairs of a dependence that loops have not ordered yet, remembered for schedules to come.

Schedules that are tried on one scop share most of their outer loops; what those leave of a
dependence is computed once.
"""

from __future__ import annotations

from ..sets import IslMap
from .loop_values import LoopOrder, LoopValues

LIMIT = 50_000  # relations remembered per scop


class Memory:
    """What all dependences of one scop share: parsed loop values, orders, and how much is kept."""

    def __init__(self, values: LoopValues) -> None:
        self.values = values
        self.kept = 0  # relations remembered
        self._orders: dict[tuple[str, str, str, str], LoopOrder] = {}

    @property
    def is_full(self) -> bool:
        """Whether it is time to forget."""
        return self.kept > LIMIT

    def order(self, source: str, before: str, sink: str, after: str) -> LoopOrder:
        """How a loop with value `before` in `source` and `after` in `sink` orders them."""
        key = (source, before, sink, after)
        if key not in self._orders:
            values = self.values
            self._orders[key] = LoopOrder(values.aff(source, before), values.aff(sink, after))
        return self._orders[key]


class AlivePairs:
    """Pairs source -> sink of one dependence in the same iteration of some loops."""

    def __init__(self, source: str, sink: str, relation: IslMap, memory: Memory) -> None:
        self.source, self.sink, self.relation = source, sink, relation
        self._memory = memory
        self._inside: dict[tuple[str, str], Ordered] = {}

    def under(self, before: str, after: str) -> Ordered:
        """These pairs under one more loop, with value `before` at the source, `after` at the
        sink."""
        key = (before, after)
        if key not in self._inside:
            order = self._memory.order(self.source, before, self.sink, after)
            self._memory.kept += 1
            self._inside[key] = Ordered(self, order, self._memory)
        return self._inside[key]

    def forget(self) -> None:
        """Drop what is remembered."""
        self._inside.clear()


class Ordered:
    """Pairs under one more loop."""

    def __init__(self, pairs: AlivePairs, order: LoopOrder, memory: Memory) -> None:
        relation = pairs.relation
        backward = relation.intersect(order.later)
        self.backward: IslMap | None = None if backward.is_empty() else backward
        same = relation.intersect(order.same)
        self.rest: AlivePairs | None = None
        if not same.is_empty():
            self.rest = AlivePairs(pairs.source, pairs.sink, same, memory)
        self._relation, self._order = relation, order
        self._forward: IslMap | None = None

    @property
    def forward(self) -> IslMap:
        """The pairs whose sink runs in a later iteration; may be empty."""
        if self._forward is None:
            self._forward = self._relation.intersect(self._order.earlier)
        return self._forward
