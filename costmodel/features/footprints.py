"""What the accesses of a statement touch inside each of its loops, for many schedules at a time.

Shapes: B schedules, K = DEPTH + 1 places (inside the first k loops), A accesses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .nests import KINDS, Access, Array, StatementNest, Term

DEPTH = 12  # loops that are told apart; of deeper nests the outermost ones count as one
LINE_BYTES = 64
PAGE_BYTES = 4096
WAY_BYTES = 4096  # addresses that far apart share a set of the first cache
MOVES = 1.0001
VECTOR, STRIP = KINDS.index("vector"), KINDS.index("for")


@dataclass(frozen=True, eq=False)
class Loops:
    """The loops around one statement in B schedules, nests padded inside with single iterations."""

    trips: Array
    kinds: npt.NDArray[np.int64]
    lanes: npt.NDArray[np.int64]
    axes: npt.NDArray[np.int64]
    free: Array
    largest: Array

    @property
    def outer(self) -> Array:
        """B x K: how often each place is entered."""
        ones = np.ones((len(self.trips), 1))
        return np.concatenate([ones, np.cumprod(self.trips, axis=1)], axis=1)

    @property
    def steps(self) -> Array:
        """B x DEPTH x dims: by how much an iteration of a loop moves each dim, on average."""
        moving = self.free[:, :-1] > MOVES * self.free[:, 1:]
        found: Array = np.where(moving, np.floor(self.free[:, 1:] + 0.5), 0.0)
        return found


def stacked(nests: Sequence[StatementNest]) -> Loops:
    """The loops of `nests`, which are of one statement."""
    count, rank = len(nests), nests[0].free.shape[1]
    trips, largest = np.ones((count, DEPTH)), np.ones((count, DEPTH))
    kinds, lanes = np.zeros((count, DEPTH), np.int64), np.zeros((count, DEPTH), np.int64)
    axes = np.full((count, DEPTH), -1, np.int64)
    free = np.empty((count, DEPTH + 1, rank))
    for b, nest in enumerate(nests):
        extra = max(0, len(nest.trips) - DEPTH)
        depth = len(nest.trips) - extra
        trips[b, :depth] = nest.trips[extra:]
        kinds[b, :depth], lanes[b, :depth] = nest.kinds[extra:], nest.lanes[extra:]
        axes[b, :depth], largest[b, :depth] = nest.axes[extra:], nest.largest[extra:]
        free[b, : depth + 1] = nest.free[extra:]
        free[b, depth + 1 :] = nest.free[-1]
        if extra:
            trips[b, 0] *= nest.trips[:extra].prod()
            free[b, 0] = nest.free[0]
    return in_strips(Loops(trips, kinds, lanes, axes, free, largest))


def in_strips(loops: Loops) -> Loops:
    """The loops with one over vectors around the lanes of each, as they are emitted, where a loop
    has more iterations than lanes; of several in a nest, the innermost one."""
    longer = (loops.kinds == VECTOR) & (loops.trips > loops.lanes * MOVES)
    longer &= (loops.trips[:, -1:] < MOVES) & (loops.kinds[:, -1:] != VECTOR)  # there is room
    some = np.flatnonzero(longer.any(axis=1))
    if not len(some):
        return loops
    at = DEPTH - 1 - np.argmax(longer[some, ::-1], axis=1)
    places = np.arange(DEPTH + 1)[None, :]
    source = np.where(places > at[:, None], places - 1, places)
    found = Loops(
        loops.trips.copy(),
        loops.kinds.copy(),
        loops.lanes.copy(),
        loops.axes.copy(),
        loops.free.copy(),
        loops.largest.copy(),
    )
    by_loop: list[npt.NDArray[Any]] = [found.trips, found.kinds, found.lanes, found.axes]
    for array in [*by_loop, found.largest]:
        array[some] = np.take_along_axis(array[some], source[:, :DEPTH], axis=1)
    count = np.ceil(loops.trips[some, at] / loops.lanes[some, at] - 1e-9)
    found.trips[some, at], found.kinds[some, at], found.lanes[some, at] = count, STRIP, 1
    found.trips[some, at + 1] /= count
    outside, inside = loops.free[some, at], loops.free[some, at + 1]
    found.free[some] = np.take_along_axis(loops.free[some], source[:, :, None], axis=1)
    found.free[some, at + 1] = np.where(
        outside > MOVES * inside, np.maximum(outside / count[:, None], inside), inside
    )
    return found


@dataclass(frozen=True, eq=False)
class Footprints:
    """Elements, cache lines as bytes, and rows of memory that each access touches, B x K x A;
    `sets` are the places of the first cache, of each way, that these lines can be in; `pages` are
    those that translations are kept of."""

    elements: Array
    line_bytes: Array
    rows: Array
    sets: Array
    pages: Array


def footprints(accesses: Sequence[Access], free: Array) -> Footprints:
    """What one pass through the inside of each place touches."""
    elements, lines, rows, sets, pages = [], [], [], [], []
    for access in accesses:
        extents = [
            _extent(terms, free, n) for terms, n in zip(access.indices, access.shape, strict=True)
        ]
        count = np.ones(free.shape[:2])
        for extent in extents:
            count = count * extent
        row = extents[-1] if extents else np.ones(free.shape[:2])
        per_row = np.minimum(row, np.ceil(row * access.element_bytes / LINE_BYTES))
        elements.append(count)
        lines.append(blocks(access, extents, LINE_BYTES, count) * LINE_BYTES)
        pages.append(blocks(access, extents, PAGE_BYTES, count))
        rows.append(count / row)
        # Rows that begin a multiple of `apart` from each other: few sets where it is a large power
        # of two.
        apart = np.full(free.shape[:2], WAY_BYTES)
        for extent, stride in zip(extents[:-1], access.strides, strict=False):
            apart = np.where(extent > 1, np.gcd(apart, stride * access.element_bytes), apart)
        starts = WAY_BYTES / np.maximum(apart, 1)
        sets.append(np.minimum(starts * np.ceil(per_row), WAY_BYTES // LINE_BYTES))
    return Footprints(*(np.stack(found, axis=2) for found in (elements, lines, rows, sets, pages)))


def blocks(access: Access, extents: Sequence[Array], size: int, elements: Array) -> Array:
    """How many aligned blocks of `size` bytes a box of an array lies in. Rows that leave no block
    between them untouched are one piece."""
    span: Array = np.full((1, 1), float(access.element_bytes))
    pieces: Array = np.ones((1, 1))
    for extent, stride in reversed(list(zip(extents, access.strides, strict=True))):
        apart = float(stride * access.element_bytes)
        joined = (pieces == 1) & (span > apart - size)
        if joined.all():
            span = span + (extent - 1) * apart
        elif not joined.any():
            pieces = pieces * extent
        else:
            span = span + joined * (extent - 1) * apart
            pieces = np.where(joined, pieces, pieces * extent)
    return np.minimum(elements, pieces * np.ceil(span / size))


def _extent(terms: Sequence[Term], free: Array, size: int) -> Array:
    """How many values an index takes."""
    total = np.ones(free.shape[:2])
    for term in terms:
        used = np.flatnonzero(term.coefficients)
        steps = np.abs(np.asarray(term.coefficients, dtype=np.float64)[used])
        dims = free[:, :, used]
        reached = np.minimum(1 + (dims - 1) @ steps, dims.prod(axis=2) * max(term.divisor, 1))
        values = np.ceil(np.maximum(reached, 1.0) / term.divisor)
        if term.modulus:
            values = np.minimum(values, term.modulus)
        total += (
            values - 1
            if abs(term.factor) == 1 or len(terms) == 1
            else abs(term.factor) * (values - 1)
        )
    return np.clip(total, 1.0, max(size, 1))


def broken(accesses: Sequence[Access], steps: Array, lanes: Array) -> npt.NDArray[np.bool_]:
    """B x A: whether `lanes` neighbours, each of which moves the dims by `steps`, are neither one
    element nor a row of them, because an index goes on every few lanes only, or begins again."""
    found = np.zeros((len(steps), len(accesses)), bool)
    for k, access in enumerate(accesses):
        terms = [t for index in access.indices for t in index]
        for term in terms:
            moved = np.abs(steps @ np.asarray(term.coefficients, dtype=np.float64))
            reach = moved * lanes
            if term.divisor > 1:
                found[:, k] |= (moved % term.divisor > 0) & (reach > term.divisor)
            elif term.modulus:
                found[:, k] |= (moved % term.modulus > 0) & (reach > term.modulus)
    return found


def strides(accesses: Sequence[Access], steps: Array) -> Array:
    """B x DEPTH x A: elements between what neighbouring iterations of a loop access."""
    found = []
    for access in accesses:
        total = np.zeros(steps.shape[:2])
        for terms, unit in zip(access.indices, access.strides, strict=True):
            for term in terms:
                moved = np.abs(steps @ np.asarray(term.coefficients, dtype=np.float64))
                moved = np.floor(moved / term.divisor)
                if term.modulus:
                    moved = np.mod(moved, term.modulus)
                total += abs(term.factor) * moved * unit
        found.append(total)
    return np.stack(found, axis=2)
