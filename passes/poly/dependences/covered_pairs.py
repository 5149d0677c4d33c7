"""Drop the dependences that others imply, so that checking a schedule looks at few and small ones.

before: S[i] -> S[j] for all j > i
after:  S[i] -> S[i + 1]
"""

from __future__ import annotations

from ....dialects.errors import IllegalScheduleError
from ..sets import UnionMap, limited_operations, maps_of, union_map

LIMIT = 200_000  # of isl's operations: about 50 ms


def without_covered_pairs(order: UnionMap) -> UnionMap:
    """Pairs of `order` whose transitive closure is that of `order`.

    A pair a -> c is dropped where a -> b and b -> c exist: the original program runs b between a
    and c, so that a chain of pairs over ever shorter distances remains. A relation that would take
    more pieces without its covered pairs is kept whole.

    A loop tree that keeps all other pairs also runs b between a and c. Where a loop runs a and c in
    different iterations of the same outer ones, it runs b in one of these or between them: loops
    that carry none of the remaining pairs carry none of the dropped ones.

    All of `order` where finding out would take isl long.
    """
    order = order.coalesce()
    try:
        with limited_operations(LIMIT):
            sparse = order.subtract(order.apply_range(order)).coalesce()
    except IllegalScheduleError:
        return order
    kept = []
    for whole in maps_of(order):
        part = sparse.extract_map(whole.get_space())
        kept.append(part if part.n_basic_map() <= whole.n_basic_map() else whole)
    return union_map(kept)
