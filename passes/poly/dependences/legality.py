"""Whether a loop tree keeps every dependence; names the loop and the instances that do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ....dialects.poly import ScopOp
from ....dialects.schedule import Band, Chain, Leaf, Node, statements_of
from ..sets import IslMap
from .alive_pairs import AlivePairs, Memory
from .broken_dependence import refuse_loop, refuse_sequence
from .dependences import Dependences, Ends, dependences_of
from .instance_places import InstancePlaces
from .loop_values import LoopValues

CONCURRENT = ("parallel", "vector", "block.x", "block.y", "thread.x", "thread.y")


class OrderChecker:
    """Checks loop trees against dependences.

    `ranks` are the statements' numbers of dims. `is_used_once` spares what pays over many trees.
    """

    def __init__(
        self, dependences: Dependences, ranks: Mapping[str, int], is_used_once: bool = False
    ) -> None:
        self.values = LoopValues(ranks)
        self._memory = Memory(self.values)
        self._ordered = self._alive(dependences.ordered if is_used_once else dependences.sparse)
        self._updates = self._alive(dependences.relaxed)

    def _alive(self, relations: Mapping[Ends, IslMap]) -> list[AlivePairs]:
        return [AlivePairs(*ends, one, self._memory) for ends, one in relations.items()]

    def check(self, tree: Node) -> None:
        """Raise BrokenDependenceError where `tree` reverses a dependence, or a parallel or vector
        loop carries one."""
        if self._memory.is_full:
            for pairs in (*self._ordered, *self._updates):
                pairs.forget()
            self._memory.kept = 0
        self._check(tree, self._ordered, self._updates)

    def _check(self, node: Node, ordered: list[AlivePairs], updates: list[AlivePairs]) -> None:
        if not ordered and not updates:
            return
        match node:
            case Leaf():
                return
            case Chain(children):
                self._check_chain(children, ordered, updates)
            case Band():
                self._check_band(node, ordered, updates)

    def _check_chain(
        self, children: Sequence[Node], ordered: list[AlivePairs], updates: list[AlivePairs]
    ) -> None:
        place = {s: k for k, child in enumerate(children) for s in statements_of(child)}
        for pairs in ordered:
            if place[pairs.source] > place[pairs.sink]:
                refuse_sequence(pairs.relation)
        for k, child in enumerate(children):
            inside = [p for p in ordered if place[p.source] == place[p.sink] == k]
            still = [p for p in updates if place[p.source] == place[p.sink] == k]
            self._check(child, inside, still)

    def _check_band(self, band: Band, ordered: list[AlivePairs], updates: list[AlivePairs]) -> None:
        exprs = dict(band.exprs)
        rest: list[AlivePairs] = []
        for pairs in ordered:
            under = pairs.under(exprs[pairs.source], exprs[pairs.sink])
            if under.backward is not None:
                refuse_loop(band, under.backward, self.values, "reverses")
            if band.kind in CONCURRENT and not under.forward.is_empty():
                refuse_loop(band, under.forward, self.values, "carries")
            if under.rest is not None:
                rest.append(under.rest)
        still: list[AlivePairs] = []
        for pairs in (
            updates
        ):  # in any order, but not at the same time; lanes of one statement are added up later
            under = pairs.under(exprs[pairs.source], exprs[pairs.sink])
            if band.kind in CONCURRENT and (band.kind != "vector" or pairs.source != pairs.sink):
                apart = under.forward if under.backward is None else under.backward
                if not apart.is_empty():
                    refuse_loop(band, apart, self.values, "updates")
            if under.rest is not None:
                still.append(under.rest)
        self._check(band.body, rest, still)


class LegalityChecker:
    """Checks loop trees of one scop: each instance has its place, and runs after what it needs.

    Make one and ask it for every candidate of a search: dependences that others imply are dropped
    first, and what candidates have in common is computed once.
    """

    def __init__(self, scop: ScopOp, dependences: Dependences | None = None) -> None:
        self.dependences = dependences_of(scop) if dependences is None else dependences
        ranks = scop.ranks
        self._order = OrderChecker(self.dependences, ranks)
        self._places = InstancePlaces(scop, self._order.values)

    def check(self, tree: Node) -> None:
        """Raise IllegalScheduleError for a tree that does not run `scop`: two instances in one
        place, a reversed dependence, one that a parallel or vector loop carries."""
        self._places.check(tree)
        self._order.check(tree)


def check_schedule_is_legal(tree: Node, dependences: Dependences, ranks: Mapping[str, int]) -> None:
    """Raise BrokenDependenceError where `tree` reverses a dependence, or a parallel or vector loop
    carries one. `ranks` are the statements' numbers of dims.

    A tree is checked once: it is chosen first, and lowered later. For many trees use a
    LegalityChecker. `tree` may be a part of the scop's tree, `dependences` then those between its
    statements.
    """
    if tree not in dependences.kept_by:
        OrderChecker(dependences, ranks, is_used_once=True).check(tree)
        dependences.kept_by.add(tree)


def check_places(tree: Node, scop: ScopOp) -> None:
    """Raise IllegalScheduleError unless `tree` has one place for every instance of `scop`."""
    ranks = scop.ranks
    InstancePlaces(scop, LoopValues(ranks)).check(tree)
