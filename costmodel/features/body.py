"""Where the innermost body of a statement is under many schedules, and what is inside."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .footprints import DEPTH, Footprints, Loops, broken, strides
from .nests import KINDS, Array, StatementFacts

UNROLL, VECTOR = KINDS.index("unroll"), KINDS.index("vector")


@dataclass(frozen=True, eq=False)
class Body:
    """The innermost body of a statement in B schedules: inside the last loop that is not unrolled
    and no vector.

    `place` counts the loops outside of it, `use` is the share of lanes in use. Per access, `along`
    is the stride of the lanes, `step` that of the last loop outside, `moved` that of each loop,
    `elements` and `registers` how much of it there is inside, `loads` how much of that is loaded
    in every iteration."""

    place: np.ndarray
    lanes: Array
    use: Array
    vectors: Array
    unrolled: Array
    lane_loop: np.ndarray
    moved: Array
    along: Array
    step: Array
    elements: Array
    registers: Array
    loads: Array


def innermost_body(facts: StatementFacts, loops: Loops, touched: Footprints) -> Body:
    """What is inside the last loop that is not unrolled and no vector."""
    rows = np.arange(len(loops.trips))
    plain = (loops.trips > 1.001) & (loops.kinds != UNROLL) & (loops.kinds != VECTOR)
    body = np.where(plain.any(axis=1), DEPTH - np.argmax(plain[:, ::-1], axis=1), 0)
    inside = np.arange(DEPTH)[None, :] >= body[:, None]
    is_vector = inside & (loops.kinds == VECTOR)
    lanes = np.where(is_vector, loops.lanes, 1).max(axis=1).astype(np.float64)
    vector_trips = np.where(is_vector, loops.trips, 1.0).prod(axis=1)
    vectors = np.ceil(vector_trips / lanes - 1e-9)
    use = vector_trips / (vectors * lanes)
    unrolled = np.where(inside & (loops.kinds == UNROLL), loops.trips, 1.0).prod(axis=1)
    elements = touched.elements[rows, body]
    moved = strides(facts.accesses, loops.steps)
    lane_loop = np.where(
        is_vector.any(axis=1),
        DEPTH - 1 - np.argmax(is_vector[:, ::-1], axis=1),
        np.maximum(body - 1, 0),
    )
    along = moved[rows, lane_loop]
    apart = broken(facts.accesses, loops.steps[rows, lane_loop], lanes)
    along = np.where((lanes > 1)[:, None] & apart, np.maximum(along, 2.0), along)
    registers = np.where(along == 0, elements, np.ceil(elements / lanes[:, None]))
    step = moved[rows, np.maximum(body - 1, 0)]
    # What the innermost loop does not move stays in registers, but for gathers: C compilers do not
    # move these out of a loop.
    gathered = (along > 1) & (lanes > 1)[:, None]
    stays = (step == 0) & (body > 0)[:, None] & ~gathered
    loads = np.where(stays, 0.0, np.where(along > 1, elements, registers))
    return Body(
        body,
        lanes,
        use,
        vectors,
        unrolled,
        lane_loop,
        moved,
        along,
        step,
        elements,
        registers,
        loads,
    )
