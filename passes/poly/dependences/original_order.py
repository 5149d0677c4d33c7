"""Which instance of two runs first in the original program, asked pair of statements by pair.

The whole order of a program has as many relations as it has pairs of statements, most of which
share no array.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ....dialects.poly import ScopOp
from ..sets import IslMap, UnionMap, ends_of, isl, maps_of, union_map

EVERY = ""  # the condition that holds


@dataclass(frozen=True)
class OriginalOrder:
    """The place of each statement: its position in every loop around it, and in the innermost."""

    places: Mapping[str, tuple[int, ...]]

    @staticmethod
    def of(scop: ScopOp) -> OriginalOrder:
        """The order of `scop` as it was written."""
        names = (s.sym_name.data for s in scop.statements)
        return OriginalOrder(dict(zip(names, scop.positions, strict=True)))

    def forward(self, pairs: UnionMap) -> UnionMap:
        """Those of `pairs` whose source runs before their sink; no pair of statements without."""
        kept = [self._forward(one) for one in maps_of(pairs)]
        return union_map([one for one in kept if one is not None and not one.is_empty()])

    def _forward(self, pairs: IslMap) -> IslMap | None:
        source, sink = ends_of(pairs)
        first, second = self.places[source], self.places[sink]
        cases = list(earlier(first, second))
        if not cases or EVERY in cases:
            return pairs if cases else None
        ends = (
            f"{name}[{', '.join(iterators(letter, place))}]"
            for name, letter, place in ((source, "i", first), (sink, "j", second))
        )
        return pairs.intersect(isl.Map(f"{{ {' -> '.join(ends)} : {' or '.join(cases)} }}"))


def iterators(letter: str, place: Sequence[int]) -> list[str]:
    """Names of the loops around a statement."""
    return [f"{letter}{d}" for d in range(len(place) - 1)]


def earlier(first: Sequence[int], second: Sequence[int]) -> Iterator[str]:
    """When i of a statement at place `first` runs before j of one at `second`: one condition for
    each loop that may tell, and one where they stand in different places of it."""
    same: list[str] = []
    for d, (one, other) in enumerate(zip(first, second, strict=False)):
        if one != other:
            if one < other:
                yield " and ".join(same)
            return
        if d + 1 < min(len(first), len(second)):
            yield " and ".join([*same, f"i{d} < j{d}"])
            same.append(f"i{d} = j{d}")
