"""Dependences as people read them: kind, statements, array, and distance or direction vectors."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

from ...dialects.poly import ScopOp
from ...passes.poly.dependences.dependences import Dependences, array_names, dependences_of
from ...passes.poly.sets import ends_of, isl, maps_of

MOST_VECTORS = 4  # more of them are summed up in one
LARGEST_BOX = 64  # of distances that are looked at one by one


@dataclass(frozen=True)
class DependenceFacts:
    """Instances of `sink` that must run after instances of `source`.

    `vectors` has one entry per loop that both share: how far the sink is from the source, a number
    where that is constant, else "+" (later), "0+" (not earlier), "-", "0-" or "*" (any).
    `is_reduction` marks updates that may be reordered.
    """

    kind: str
    source: str
    sink: str
    array: str
    loops: tuple[str, ...]
    vectors: tuple[tuple[str, ...], ...]
    is_reduction: bool


def dependence_facts(scop: ScopOp) -> list[DependenceFacts]:
    """All dependences of `scop` in original order: value-based flow, then anti and output."""
    dependences = dependences_of(scop)
    kinds = {"flow": dependences.flow, "anti": dependences.anti, "output": dependences.output}
    facts = []
    for kind, relation in kinds.items():
        for pair in maps_of(relation):
            facts.append(_facts(scop, kind, pair, dependences))
    return sorted(facts, key=lambda f: (f.kind != "flow", f.kind, f.source, f.sink))


def _facts(scop: ScopOp, kind: str, pair: Any, dependences: Dependences) -> DependenceFacts:
    source, sink = ends_of(pair)
    statements = {s.sym_name.data: s for s in scop.statements}
    written = statements[sink if kind == "anti" else source].target
    shared = shared_loops(scop, source, sink)
    first = _first_statement(scop, source, len(shared))
    return DependenceFacts(
        kind=kind,
        source=source,
        sink=sink,
        array=array_names(scop)[written],
        loops=tuple(f"{first[d]}.i{d}" for d in shared),
        vectors=distance_vectors(pair, len(shared)),
        is_reduction=bool(isl.UnionMap(pair).is_subset(dependences.reduction)),
    )


def shared_loops(scop: ScopOp, source: str, sink: str) -> range:
    """The loops that both statements stand in, by depth."""
    places = dict(zip((s.sym_name.data for s in scop.statements), scop.positions, strict=True))
    one, other = places[source], places[sink]
    if source == sink:
        return range(len(one) - 1)
    count = 0
    while count < min(len(one), len(other)) - 1 and one[count] == other[count]:
        count += 1
    return range(count)


def _first_statement(scop: ScopOp, statement: str, depth: int) -> list[str]:
    """For each of the `depth` loops around `statement`, the first statement in it: its name's."""
    placed = sorted(zip(scop.positions, (s.sym_name.data for s in scop.statements), strict=True))
    place = next(p for p, name in placed if name == statement)
    return [
        next(name for p, name in placed if len(p) > d + 1 and p[: d + 1] == place[: d + 1])
        for d in range(depth)
    ]


def distance_vectors(pair: Any, shared: int) -> tuple[tuple[str, ...], ...]:
    """Sink minus source in the `shared` outermost loops."""
    for kind in (isl.dim_type.in_, isl.dim_type.out):
        pair = pair.project_out(kind, shared, pair.dim(kind) - shared)
        pair = pair.set_tuple_name(kind, "I")
    distance = pair.deltas()
    distance = distance.project_out(isl.dim_type.param, 0, distance.dim(isl.dim_type.param))
    points = few_points(distance, shared)
    if points is not None:
        return tuple(tuple(map(str, point)) for point in points)
    parts: list[Any] = []
    distance.coalesce().foreach_basic_set(lambda part: parts.append(isl.Set.from_basic_set(part)))
    vectors = {_vector(part, shared): None for part in parts}
    return tuple(vectors) if len(vectors) <= MOST_VECTORS else (_vector(distance, shared),)


def few_points(distance: Any, shared: int) -> list[tuple[int, ...]] | None:
    """The points of `distance` in order, where they are few; None for more."""
    box = [(distance.dim_min_val(d), distance.dim_max_val(d)) for d in range(shared)]
    if not all(low.is_int() and high.is_int() for low, high in box):
        return None
    if prod(high.to_python() - low.to_python() + 1 for low, high in box) > LARGEST_BOX:
        return None
    points: list[tuple[int, ...]] = []

    def collect(point: Any) -> None:
        values = (point.get_coordinate_val(isl.dim_type.set, d) for d in range(shared))
        points.append(tuple(v.to_python() for v in values))

    distance.foreach_point(collect)
    return sorted(points) if len(points) <= MOST_VECTORS else None


def _vector(distance: Any, shared: int) -> tuple[str, ...]:
    return tuple(_entry(distance.dim_min_val(d), distance.dim_max_val(d)) for d in range(shared))


def _entry(low: Any, high: Any) -> str:
    if low.is_int() and high.is_int() and low.eq(high):
        return str(low.to_python())
    if low.is_int() and low.to_python() >= 0:
        return "+" if low.to_python() > 0 else "0+"
    if high.is_int() and high.to_python() <= 0:
        return "-" if high.to_python() < 0 else "0-"
    return "*"
