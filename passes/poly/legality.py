"""Whether a schedule tree keeps every dependence; names the loop and instances that do not."""

from __future__ import annotations

from typing import Any

from ...dialects.errors import IllegalScheduleError
from ...dialects.schedule import Band, Chain, Leaf, Node, statements_of
from .dependences import Dependences
from .sets import UnionMap, dim_aff, isl

Pairs = dict[tuple[str, str], Any]


def _split_pairs(dependences: UnionMap) -> Pairs:
    pairs: Pairs = {}

    def add(one: Any) -> None:
        key = (one.get_tuple_name(isl.dim_type.in_), one.get_tuple_name(isl.dim_type.out))
        pairs[key] = pairs[key].union(one) if key in pairs else one

    dependences.foreach_map(add)
    return pairs


def _refuse(band: Band | None, source: str, sink: str, pair: Any, why: str) -> None:
    where = f"loop {band.axis!r}" if band is not None else "a sequence"
    sample = pair.sample()
    raise IllegalScheduleError(
        f"{where} {why}: {sink} depends on {source}, for example {sample}; "
        "keep this order or choose another loop"
    )


def _delta(pair: Any, band: Band, ranks: dict[str, int], source: str, sink: str) -> tuple[Any, ...]:
    """The parts of `pair` whose loop value goes forward, stays, and goes backward."""
    exprs = dict(band.exprs)
    before = isl.Map.from_pw_aff(dim_aff(source, ranks[source], exprs[source]))
    after = isl.Map.from_pw_aff(dim_aff(sink, ranks[sink], exprs[sink]))
    space = before.range().get_space()
    parts = []
    for relation in (isl.Map.lex_lt, isl.Map.identity, isl.Map.lex_gt):
        if relation is isl.Map.identity:
            order = isl.Map.identity(space.map_from_set())
        else:
            order = relation(space)
        parts.append(pair.intersect(before.apply_range(order).apply_range(after.reverse())))
    return tuple(parts)


def _check(node: Node, pairs: Pairs, relaxed: Pairs, ranks: dict[str, int]) -> None:
    match node:
        case Leaf():
            return
        case Chain(children):
            position = {s: k for k, child in enumerate(children) for s in statements_of(child)}
            for (source, sink), pair in pairs.items():
                if position[source] > position[sink]:
                    _refuse(None, source, sink, pair, "reverses a dependence")
            for k, child in enumerate(children):
                _check(child, _inside(pairs, position, k), _inside(relaxed, position, k), ranks)
        case Band():
            rest, rest_relaxed = Pairs(), Pairs()
            for (source, sink), pair in pairs.items():
                forward, stays, backward = _delta(pair, node, ranks, source, sink)
                if not backward.is_empty():
                    _refuse(node, source, sink, backward, "reverses a dependence")
                if node.kind in ("parallel", "vector") and not forward.is_empty():
                    _refuse(node, source, sink, forward, f"carries a dependence, so no {node.kind}")
                if not stays.is_empty():
                    rest[source, sink] = stays
            for (source, sink), pair in relaxed.items():
                forward, stays, backward = _delta(pair, node, ranks, source, sink)
                if node.kind == "parallel" and not forward.union(backward).is_empty():
                    _refuse(node, source, sink, forward, "carries a reduction, so no parallel")
                if not stays.is_empty():
                    rest_relaxed[source, sink] = stays
            _check(node.body, rest, rest_relaxed, ranks)


def _inside(pairs: Pairs, position: dict[str, int], k: int) -> Pairs:
    return {(a, b): pair for (a, b), pair in pairs.items() if position[a] == k and position[b] == k}


def check_schedule_is_legal(tree: Node, dependences: Dependences, ranks: dict[str, int]) -> None:
    """Raise IllegalScheduleError where `tree` reverses a dependence, or a parallel or vector loop
    carries one. `ranks` are the statements' numbers of dims."""
    _check(tree, _split_pairs(dependences.order), _split_pairs(dependences.reduction), ranks)
