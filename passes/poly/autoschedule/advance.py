"""How far dependences move forward along an expression: what skewing and tiling rest on.

An expression gives each statement a quasi-affine value over its dims i0, i1, ... (as in a band).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from ....dialects.schedule import Band
from ..sets import IslMap, dims, isl, values_of

Expressions = Mapping[str, str]
Pairs = dict[tuple[str, str], IslMap]


def pairs_between(pairs: Pairs, statements: Iterable[str]) -> Pairs:
    """The pairs both of whose ends belong to `statements`."""
    names = set(statements)
    return {key: pair for key, pair in pairs.items() if names.issuperset(key)}


def advance(
    pair: IslMap, source: tuple[str, int, str], sink: tuple[str, int, str]
) -> tuple[int, int]:
    """(least, most) difference of the sink's value and the source's over a pair that is not empty.

    `source` and `sink` are (statement, rank, expression).
    """
    (from_name, from_rank, before), (to_name, to_rank, after) = source, sink
    after = re.sub(r"\bi(\d+)", r"o\1", _explicit(after))
    space = (
        f"[{from_name}[{', '.join(dims(from_rank))}] -> "
        f"{to_name}[{', '.join(f'o{d}' for d in range(to_rank))}]]"
    )
    difference = isl.PwAff(f"{{ {space} -> [({after}) - ({_explicit(before)})] }}")
    values = values_of(difference.intersect_domain(pair.wrap()))
    return values.dim_min_val(0).to_python(), values.dim_max_val(0).to_python()


def _explicit(expr: str) -> str:
    """`expr` with 2i0 written as 2*i0."""
    return re.sub(r"(\d)(i\d)", r"\1*\2", expr)


def least_advance(pairs: Pairs, exprs: Expressions, ranks: Mapping[str, int]) -> int | None:
    """The least advance of `exprs` over all pairs; None where there is no pair."""
    values = [_of(pairs, key, exprs, ranks)[0] for key in pairs]
    return min(values, default=None)


def is_constant_on(pairs: Pairs, exprs: Expressions, ranks: Mapping[str, int]) -> bool:
    """Whether both instances of every pair have the same value: a loop over it is parallel."""
    return all(_of(pairs, key, exprs, ranks) == (0, 0) for key in pairs)


def _of(
    pairs: Pairs, key: tuple[str, str], exprs: Expressions, ranks: Mapping[str, int]
) -> tuple[int, int]:
    source, sink = key
    return advance(
        pairs[key], (source, ranks[source], exprs[source]), (sink, ranks[sink], exprs[sink])
    )


def shifts_that_keep(
    pairs: Pairs, exprs: Expressions, ranks: Mapping[str, int]
) -> dict[str, int] | None:
    """The least constants c >= 0 for which no pair goes backward along exprs + c; None where there
    are none.

    Each pair asks for c[sink] - c[source] >= -(least advance): longest paths (Bellman & Ford).
    """
    shifts = dict.fromkeys(exprs, 0)
    needs = [(a, b, -_of(pairs, (a, b), exprs, ranks)[0]) for a, b in pairs]
    for _ in range(len(shifts) + 1):
        changed = False
        for source, sink, need in needs:
            if shifts[sink] < shifts[source] + need:
                if source == sink:
                    return None
                shifts[sink] = shifts[source] + need
                changed = True
        if not changed:
            return shifts
    return None


def pairs_at_equal(pairs: Pairs, bands: Iterable[Band], ranks: Mapping[str, int]) -> Pairs:
    """The parts of `pairs` that stay inside one iteration of all of `bands`."""
    rest = dict(pairs)
    for band in bands:
        exprs = dict(band.exprs)
        inside: Pairs = {}
        for (source, sink), pair in rest.items():
            before = _value(source, ranks[source], exprs[source])
            after = _value(sink, ranks[sink], exprs[sink])
            kept = pair.intersect(before.apply_range(after.reverse()))
            if not kept.is_empty():
                inside[source, sink] = kept
        rest = inside
    return rest


def _value(statement: str, rank: int, expr: str) -> IslMap:
    return isl.Map(f"{{ {statement}[{', '.join(dims(rank))}] -> [{expr}] }}")
