"""Whether a loop tree has one place for every instance of every statement."""

from __future__ import annotations

from collections.abc import Collection

from ....dialects.errors import IllegalScheduleError
from ....dialects.poly import ScopOp
from ....dialects.schedule import Band, Chain, Leaf, Node, statements_of
from ..parameters import context_of
from ..primitives.loop_values import recombined
from ..sets import IslMap, dims, domain_set, isl
from .broken_dependence import example_of, instance_text
from .loop_values import LoopValues


class InstancePlaces:
    """Checks loop trees of one scop; what it found about a statement's loops is remembered."""

    def __init__(self, scop: ScopOp, values: LoopValues) -> None:
        self._values = values
        context = context_of(scop)
        self._domains = {
            s.sym_name.data: domain_set(s.domain.data, s.sym_name.data).intersect_params(context)
            for s in scop.statements
        }
        self._distinct: set[tuple[str, frozenset[str]]] = set()

    def check(self, tree: Node) -> None:
        """Raise IllegalScheduleError unless each statement has one leaf, and each two instances of
        it differ in the value of a loop around it."""
        found = statements_of(tree)
        if sorted(found) != sorted(self._domains):
            raise IllegalScheduleError(
                f"expected one leaf for each of {', '.join(sorted(self._domains))} in the loop "
                f"tree, found {', '.join(sorted(found))}"
            )
        self._visit(tree, ())

    def _visit(self, node: Node, path: tuple[Band, ...]) -> None:
        match node:
            case Leaf(statement):
                self._check_statement(statement, path)
            case Chain(children):
                for child in children:
                    self._visit(child, path)
            case Band():
                self._visit(node.body, (*path, node))

    def _check_statement(self, name: str, path: tuple[Band, ...]) -> None:
        exprs = frozenset(dict(band.exprs)[name] for band in path)
        if (name, exprs) in self._distinct:
            return
        for text in exprs:
            self._values.aff(name, text)
        if not self._differ(name, recombined(exprs)):
            same = self._together(name, exprs)
            if not same.is_empty():
                example = example_of(same)
                first, second = (instance_text(x) for x in (example.source, example.sink))
                loops = ", ".join(repr(band.axis) for band in path) or "no loop"
                raise IllegalScheduleError(
                    f"{first} and {second} have the same place in the loop tree ({loops})"
                    f"{example.sizes_text()}; "
                    "add a loop whose value tells them apart"
                )
        self._distinct.add((name, exprs))

    def _differ(self, name: str, exprs: set[str]) -> bool:
        """Whether the values without quotients and remainders tell all instances apart."""
        if exprs.issuperset(dims(self._values.ranks[name])):
            return True
        linear = [e for e in exprs if "floor" not in e]
        return bool(self._together(name, linear).is_empty())

    def _together(self, name: str, exprs: Collection[str]) -> IslMap:
        """Pairs of different instances with equal values of `exprs`."""
        domain = self._domains[name]
        pairs = isl.Map.from_domain_and_range(domain, domain)
        pairs = pairs.intersect(isl.Map.lex_lt(domain.get_space()))
        for text in sorted(exprs):
            value = self._values.aff(name, text)
            pairs = pairs.intersect(value.eq_map(value))
        return pairs
