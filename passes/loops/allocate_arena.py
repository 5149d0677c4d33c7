"""Offsets in one arena for buffers with lifetimes: best fit, largest buffers first.

The problem is offline dynamic storage allocation; placing by decreasing size is within a few
percent of the lower bound on the lifetimes of neural networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

ALIGNMENT = 64
# Pairs of buffers compared in further tries: a second or so.
MOST_PLACED = 2_000_000


@dataclass(frozen=True)
class Lifetime:
    """A buffer of `bytes` that is in use at steps first..last, both included."""

    bytes: int
    first: int
    last: int

    def overlaps(self, other: Lifetime) -> bool:
        """Whether both are in use at some step."""
        return self.first <= other.last and other.first <= self.last

    @property
    def aligned_bytes(self) -> int:
        """Size rounded up so that the next buffer is aligned."""
        return -(-self.bytes // ALIGNMENT) * ALIGNMENT


@dataclass(frozen=True)
class ArenaPlan:
    """An offset per buffer, the size of the arena, and the peak of live bytes at any step."""

    offsets: tuple[int, ...]
    bytes: int
    lower_bound: int


def allocate_arena(lifetimes: Sequence[Lifetime]) -> ArenaPlan:
    """Offsets such that buffers in use at the same step never share a byte.

    Where the first order of placing leaves gaps, the buffer that ends highest goes first in the
    next one, until the arena is as small as can be or nothing is left to try.
    """
    bound = peak_of_live_bytes(lifetimes)
    order = sorted(
        range(len(lifetimes)), key=lambda k: (-lifetimes[k].bytes, lifetimes[k].first, k)
    )
    offsets = place_in_order(lifetimes, order)
    ends = [offset + t.aligned_bytes for offset, t in zip(offsets, lifetimes, strict=True)]
    best = ArenaPlan(tuple(offsets), max(ends, default=0), bound)
    tried = {tuple(order)}
    for _ in range(MOST_PLACED // max(1, len(lifetimes) ** 2)):
        if best.bytes == bound:
            break
        highest = max(order, key=lambda k: (ends[k], -k))
        order = [highest, *(k for k in order if k != highest)]
        if tuple(order) in tried:
            break
        tried.add(tuple(order))
        offsets = place_in_order(lifetimes, order)
        ends = [offset + t.aligned_bytes for offset, t in zip(offsets, lifetimes, strict=True)]
        if max(ends) < best.bytes:
            best = ArenaPlan(tuple(offsets), max(ends), bound)
    return best


def place_in_order(lifetimes: Sequence[Lifetime], order: Sequence[int]) -> list[int]:
    """Offsets by best fit, buffer after buffer."""
    offsets: dict[int, int] = {}
    for k in order:
        neighbours = sorted(
            (offsets[other], lifetimes[other].aligned_bytes)
            for other in offsets
            if lifetimes[other].overlaps(lifetimes[k])
        )
        offsets[k] = best_gap(neighbours, lifetimes[k].aligned_bytes)
    return [offsets[k] for k in range(len(lifetimes))]


def best_gap(occupied: Sequence[tuple[int, int]], size: int) -> int:
    """The start of the smallest gap of at least `size` between (offset, bytes), else the end."""
    end, best, best_room = 0, -1, 0
    for offset, length in occupied:
        room = offset - end
        if room >= size and (best < 0 or room < best_room):
            best, best_room = end, room
        end = max(end, offset + length)
    return best if best >= 0 else end


def peak_of_live_bytes(lifetimes: Sequence[Lifetime]) -> int:
    """The largest sum of sizes in use at one step: no plan can be smaller."""
    changes: dict[int, int] = {}
    for lifetime in lifetimes:
        changes[lifetime.first] = changes.get(lifetime.first, 0) + lifetime.aligned_bytes
        changes[lifetime.last + 1] = changes.get(lifetime.last + 1, 0) - lifetime.aligned_bytes
    live = peak = 0
    for step in sorted(changes):
        live += changes[step]
        peak = max(peak, live)
    return peak
