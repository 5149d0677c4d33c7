"""What each cache has to fetch for a statement under many schedules, and how long that takes."""

from __future__ import annotations

import numpy as np

from ..speeds import Level
from .body import Body
from .footprints import DEPTH, LINE_BYTES, WAY_BYTES, Footprints, Loops
from .hardware import Hardware
from .nests import Array, StatementFacts
from .reuse import Surroundings, arrays_in

SERVED: tuple[tuple[str, Level], ...] = (("l1", "l2"), ("l2", "l3"), ("l3", "memory"))
CROWDED = 3.5  # more lines per set than ways, over the ways: none is there when it is read again
AGAIN = 1.5  # times more lines in all passes than there are: most are read again
CONFLICT = 10.0  # cycles for such a line, whose neighbours come from the next level in 2
USABLE = 0.8  # share of a cache that one working set may fill


def describe_memory(
    columns: dict[str, Array],
    facts: StatementFacts,
    loops: Loops,
    touched: Footprints,
    around: Surroundings,
    inner: Body,
    sharing: Array,
    hardware: Hardware,
    threads: int,
) -> None:
    """Lines that each cache has to fetch: where one iteration of a loop fits, its neighbours find
    what they share, so that a pass through the loop fetches each line once; but for what an earlier
    statement left there."""
    rows, body = np.arange(len(loops.trips)), inner.place
    lines = _distinct(facts, touched.line_bytes)
    working_set = lines.sum(axis=2)
    outer = loops.outer * (facts.instances / np.maximum(loops.outer[:, -1:], 1.0))
    outer = np.maximum(np.minimum(outer, loops.outer), 1.0)
    sizes = {
        "l1": hardware.machine.l1_bytes,
        "l2": hardware.machine.l2_bytes,
        "l3": hardware.machine.l3_bytes,
    }
    shared = np.minimum(around.shared, DEPTH)
    everything = np.maximum(working_set[:, :1], around.program_bytes[:, None])
    conflicts, crowded = _conflicts(touched, inner, outer, sizes["l1"])
    clock = hardware.clock(facts.element, facts.accesses[0].element_bytes)
    columns["seconds_conflicts"] = conflicts * CONFLICT / clock / sharing
    for cache, level in SERVED:
        capacity = USABLE * sizes[cache]
        fits = working_set <= capacity
        place = np.where(fits.any(axis=1), np.argmax(fits, axis=1), DEPTH)
        # Between two statements in a loop that both are in, one iteration's data has to stay.
        is_left = (shared > 0) & fits[rows[:, None], np.maximum(shared, 0)]
        is_left |= everything <= capacity
        around_place = np.maximum(place - 1, 0)
        fetched = np.where(is_left, 0.0, lines[rows, around_place])
        traffic = fetched.sum(axis=1) * outer[rows, around_place]
        rate = np.where(
            sharing > 1.0,
            hardware.speeds.bandwidth(level, threads).read,
            hardware.speeds.bandwidth(level, 1).read,
        )
        columns[f"seconds_{level}"] = traffic / rate
        columns[f"log_traffic_{cache}"] = np.log1p(traffic)
        columns[f"depth_{cache}"] = place.astype(np.float64)
        columns[f"fill_{cache}"] = np.minimum(working_set[rows, body] / sizes[cache], 16.0)
    pages = touched.pages[rows, np.maximum(body - 1, 0)].sum(axis=1)
    columns["log_pages"] = np.log1p(pages)
    around_body = working_set[rows, np.maximum(body - 1, 0)]
    columns["pass_l1"] = np.minimum(around_body / sizes["l1"], 16.0)
    two = working_set[rows, np.maximum(body - 2, 0)]
    columns["pass_l2"] = np.minimum(two / sizes["l2"], 16.0)
    columns["collides"] = crowded
    columns["kept_share"] = (shared > 0).mean(axis=1)
    columns["log_footprint"] = np.log1p(working_set[:, 0])
    temporary = np.array([a.is_temporary for a in facts.accesses])
    columns["log_temporaries"] = np.log1p(touched.line_bytes[:, 0][:, temporary].sum(axis=1))
    total = max(facts.instances, 1.0) * max(sum(facts.operations.values()), 1)
    columns["intensity"] = np.log(total / np.maximum(working_set[:, 0], LINE_BYTES))


def _conflicts(touched: Footprints, body: Body, outer: Array, l1_bytes: int) -> tuple[Array, Array]:
    """(lines that are fetched again because the rows of an access lie in few sets of the first
    cache, the largest share of its lines that an access loses so), per schedule."""
    ways = l1_bytes // WAY_BYTES
    lines = touched.line_bytes / LINE_BYTES
    is_few = (touched.rows > 1.0) & (touched.sets < WAY_BYTES // LINE_BYTES)
    # What the body has in registers is no matter of caches.
    is_few &= np.arange(lines.shape[1])[None, :, None] <= body.place[:, None, None]
    is_few &= body.loads[:, None, :] > 0
    crowd = np.where(is_few, lines / (ways * touched.sets), 0.0)
    lost = np.clip((crowd - 1.0) / CROWDED, 0.0, 1.0)
    # Inside the deepest place where they do not fit, every pass finds what the last one left.
    deepest = lost.shape[1] - 1 - np.argmax((lost > 0)[:, ::-1], axis=1)
    places = deepest[:, None, :]
    share = np.take_along_axis(lost, places, axis=1)[:, 0]
    total = lines * outer[:, :, None]
    passed = np.take_along_axis(total, places, axis=1)[:, 0]
    around = np.take_along_axis(total, np.maximum(places - 1, 0), axis=1)[:, 0]
    share = np.where(passed > AGAIN * around, share, 0.0)
    return (passed * share).sum(axis=1), share.max(axis=1)


def _distinct(facts: StatementFacts, line_bytes: Array) -> Array:
    """B x K x arrays: bytes of each array, of several accesses to one the largest."""
    numbers = [a.array for a in facts.accesses]
    members = [np.flatnonzero(np.equal(numbers, n)) for n in arrays_in(facts)]
    return np.stack([line_bytes[:, :, m].max(axis=2) for m in members], axis=2)
