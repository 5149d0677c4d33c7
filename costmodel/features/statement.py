"""The features of one statement under many schedules, and the time that each resource takes.

The times are those of a roofline: arithmetic at the lanes and chains that the innermost loops have,
and per level of memory the lines that a cache of the level below cannot keep.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..speeds import Level
from .footprints import DEPTH, LINE_BYTES, Footprints, Loops, footprints, stacked, strides
from .hardware import Hardware
from .nests import KINDS, OPERATIONS, Array, StatementFacts, StatementNest

PARALLEL, UNROLL, VECTOR = KINDS.index("parallel"), KINDS.index("unroll"), KINDS.index("vector")
WEIGHTS = {"div": 12.0, "special": 20.0}  # in multiplications
PIPELINE = 8.0  # vector operations in flight that hide the latency of a chain
WAY_BYTES = 4096  # addresses that far apart share a set of the first cache
USABLE = 0.8  # share of a cache that one working set may fill
SERVED: tuple[tuple[str, Level], ...] = (("l1", "l2"), ("l2", "l3"), ("l3", "memory"))
TIMES = (
    "seconds_arithmetic",
    "seconds_l1",
    *(f"seconds_{level}" for _, level in SERVED),
    "seconds_regions",
)
STATEMENT_NAMES = (
    *TIMES,
    "seconds",
    *(f"log_{name}" for name in OPERATIONS),
    *("log_instances", "element_bytes", "is_reduction", "accesses"),
    *("log_iterations", "log_innermost_trips", "innermost_is_loop", "log_unrolled", "log_vectors"),
    *("lanes", "lane_use", "log_accumulators", "log_body_loads", "register_pressure", "chain"),
    *("contiguous", "broadcast", "strided", "write_stride", "log_operations_per_load"),
    *("recurrence", "compiler_may_vectorize", "log_gathers", "far", "aliased"),
    *("has_parallel", "log_parallel_trips", "parallel_balance", "log_regions", "parallel_depth"),
    *(f"log_traffic_{cache}" for cache, _ in SERVED),
    *(f"depth_{cache}" for cache, _ in SERVED),
    *(f"fill_{cache}" for cache, _ in SERVED),
    *("log_footprint", "log_temporaries", "intensity", "depth"),
)


def statement_features(
    facts: StatementFacts, nests: Sequence[StatementNest], threads: int, hardware: Hardware
) -> Array:
    """B x len(STATEMENT_NAMES) features of one statement in B schedules."""
    loops = stacked(nests)
    touched = footprints(facts.accesses, loops.free)
    columns = {name: np.zeros(len(nests)) for name in STATEMENT_NAMES}
    _describe_work(columns, facts)
    body = _innermost(columns, facts, loops, touched, hardware)
    sharing = _parallel(columns, facts, loops, threads, hardware)
    _memory(columns, facts, loops, touched, body, sharing, hardware, threads)
    cpu = np.maximum(columns["seconds_arithmetic"], columns["seconds_l1"])
    served = np.max([columns[f"seconds_{level}"] for _, level in SERVED], axis=0)
    columns["seconds"] = np.maximum(cpu, served) + columns["seconds_regions"]
    return np.stack([columns[name] for name in STATEMENT_NAMES], axis=1)


def _describe_work(columns: dict[str, Array], facts: StatementFacts) -> None:
    for name in OPERATIONS:
        columns[f"log_{name}"] += np.log1p(facts.operations.get(name, 0))
    columns["log_instances"] += np.log1p(facts.instances)
    columns["element_bytes"] += facts.accesses[0].element_bytes
    columns["is_reduction"] += facts.is_reduction
    columns["accesses"] += len(facts.accesses)


def _innermost(
    columns: dict[str, Array],
    facts: StatementFacts,
    loops: Loops,
    touched: Footprints,
    hardware: Hardware,
) -> np.ndarray:
    """The place of the innermost body: inside the last loop that is not unrolled and no vector."""
    rows = np.arange(len(loops.trips))
    plain = (loops.trips > 1.001) & (loops.kinds != UNROLL) & (loops.kinds != VECTOR)
    body = np.where(plain.any(axis=1), DEPTH - np.argmax(plain[:, ::-1], axis=1), 0)
    inside = np.arange(DEPTH)[None, :] >= body[:, None]
    is_vector = inside & (loops.kinds == VECTOR)
    lanes = np.where(is_vector, loops.lanes, 1).max(axis=1).astype(np.float64)
    vector_trips = np.where(is_vector, loops.trips, 1.0).prod(axis=1)
    vectors = np.ceil(vector_trips / lanes - 1e-9)
    unrolled = np.where(inside & (loops.kinds == UNROLL), loops.trips, 1.0).prod(axis=1)
    at_body = touched.elements[rows, body]
    full = max(hardware.machine.lanes(facts.accesses[0].element_bytes), 1)

    moved = strides(facts.accesses, loops.steps)
    lane_loop = np.where(
        is_vector.any(axis=1),
        DEPTH - 1 - np.argmax(is_vector[:, ::-1], axis=1),
        np.maximum(body - 1, 0),
    )
    along = moved[rows, lane_loop]
    registers = np.where(along == 0, at_body, np.ceil(at_body / lanes[:, None]))
    step = moved[rows, np.maximum(body - 1, 0)]
    # What the innermost loop does not move stays in registers.
    stays = (step == 0) & (body > 0)[:, None]
    loads = np.where(stays, 0.0, np.where(along > 1, at_body, registers)).sum(axis=1)
    is_chain = facts.is_reduction & (step[:, 0] == 0) & (body > 0)
    accumulators = np.maximum(registers[:, 0], 1.0)
    chain = np.where(is_chain, np.maximum(1.0, PIPELINE / accumulators), 1.0)
    recurrence = recurrences(facts, loops.steps[rows, np.maximum(body - 1, 0)])
    chain = np.maximum(chain, PIPELINE * recurrence)
    work = sum(WEIGHTS.get(n, 1.0) * c for n, c in facts.operations.items())
    use = vector_trips / (vectors * lanes)
    peak = (
        hardware.speeds.peak(facts.element) * np.minimum(lanes, full) / full * np.maximum(use, 0.05)
    )
    columns["seconds_arithmetic"] = facts.instances * max(work, 0.5) * chain / peak
    per_body = loads * np.where(lanes > 1, lanes, 1) * facts.accesses[0].element_bytes
    entered = facts.instances / np.maximum(unrolled * vector_trips, 1.0)
    l1 = hardware.speeds.bandwidth("l1", 1).read * np.minimum(lanes, full) / full
    columns["seconds_l1"] = entered * per_body / l1

    columns["log_iterations"] = np.log1p(entered)
    columns["log_innermost_trips"] = np.log1p(loops.trips[rows, np.maximum(body - 1, 0)])
    columns["innermost_is_loop"] = (body > 0).astype(np.float64)
    columns["log_unrolled"] = np.log1p(unrolled)
    columns["log_vectors"] = np.log1p(vectors)
    columns["lanes"], columns["lane_use"] = lanes, use
    columns["log_accumulators"] = np.log1p(registers[:, 0])
    columns["log_body_loads"] = np.log1p(loads)
    kept = registers[:, 0] + np.where(
        registers.shape[1] > 1, registers[:, 1:].min(axis=1, initial=1e9), 0
    )
    columns["register_pressure"] = np.minimum(
        kept / max(hardware.machine.vector_registers, 1), 16.0
    )
    columns["chain"] = chain
    share = 1.0 / along.shape[1]
    columns["contiguous"] = (along == 1).sum(axis=1) * share
    columns["broadcast"] = (along == 0).sum(axis=1) * share
    columns["strided"] = (along > 1).sum(axis=1) * share
    columns["write_stride"] = np.log1p(along[:, 0])
    columns["log_operations_per_load"] = np.log1p(
        work * unrolled * vectors / np.maximum(loads, 1.0)
    )
    _unusual(columns, facts, lanes, along, step, at_body)
    columns["recurrence"] = recurrence
    may = (lanes == 1) & (body > 0) & ~is_chain & (recurrence == 0) & (along[:, 0] == 1)
    columns["compiler_may_vectorize"] = (may & (along <= 1).all(axis=1)).astype(np.float64)
    columns["depth"] = (loops.trips > 1.001).sum(axis=1).astype(np.float64)
    return body


def _unusual(
    columns: dict[str, Array],
    facts: StatementFacts,
    lanes: Array,
    along: Array,
    step: Array,
    at_body: Array,
) -> None:
    """Lanes that are loaded one by one, from lines of their own, or from places of a cache that
    few lines share."""
    sizes = np.array([a.element_bytes for a in facts.accesses])
    share = 1.0 / len(sizes)
    gathers = np.where((along > 1) & (lanes > 1)[:, None], at_body, 0.0).sum(axis=1)
    columns["log_gathers"] = np.log1p(gathers)
    columns["far"] = (along * sizes >= LINE_BYTES).sum(axis=1) * share
    collide = [(moved > 0) & (moved * sizes % WAY_BYTES == 0) for moved in (along, step)]
    columns["aliased"] = (collide[0] | collide[1]).sum(axis=1) * share


def recurrences(facts: StatementFacts, step: Array) -> Array:
    """B: 1 / n where an iteration of a loop, which moves the dims by `step`, reads what the
    statement wrote n iterations before, so that it cannot begin earlier; 0 where it does not."""
    write, *reads = facts.accesses
    found = np.zeros(len(step))
    for read in reads:
        if read.array != write.array or read.indices != write.indices:
            continue
        distance = np.full(len(step), np.nan)
        is_one = np.ones(len(step), bool)
        for terms, at, back in zip(write.indices, write.offsets, read.offsets, strict=True):
            moved = sum((step @ np.array(t.coefficients) for t in terms), np.zeros(len(step)))
            with np.errstate(divide="ignore", invalid="ignore"):
                iterations = (at - back) / moved
            stays = moved == 0
            is_one &= np.where(stays, at == back, True)
            agrees = np.isnan(distance) | (distance == iterations)
            is_one &= stays | agrees
            distance = np.where(stays, distance, iterations)
        is_one &= (distance >= 1) & (distance % 1 == 0)
        found = np.maximum(found, np.where(is_one, 1 / np.where(is_one, distance, 1.0), 0.0))
    return found


def _parallel(
    columns: dict[str, Array], facts: StatementFacts, loops: Loops, threads: int, hardware: Hardware
) -> Array:
    """How many threads share the work, on average."""
    rows = np.arange(len(loops.trips))
    is_parallel = loops.kinds == PARALLEL
    some = is_parallel.any(axis=1)
    first = np.argmax(is_parallel, axis=1)
    trips = np.where(some, loops.trips[rows, first], 1.0)
    sharing = np.where(some, trips / np.ceil(np.ceil(trips) / threads - 1e-9), 1.0)
    sharing = np.clip(sharing, 1.0, threads)
    regions = np.where(some, loops.outer[rows, first], 0.0)
    columns["seconds_arithmetic"] /= sharing
    columns["seconds_l1"] /= sharing
    columns["seconds_regions"] = regions * hardware.speeds.region_seconds(threads)
    columns["has_parallel"] = some.astype(np.float64)
    columns["log_parallel_trips"] = np.log1p(trips)
    columns["parallel_balance"] = sharing / threads
    columns["log_regions"] = np.log1p(regions)
    columns["parallel_depth"] = np.where(some, first, -1.0)
    return sharing


def _memory(
    columns: dict[str, Array],
    facts: StatementFacts,
    loops: Loops,
    touched: Footprints,
    body: np.ndarray,
    sharing: Array,
    hardware: Hardware,
    threads: int,
) -> None:
    """Lines that each cache has to fetch: all that one pass through the largest place that fits
    touches, as often as the place is entered."""
    rows = np.arange(len(loops.trips))
    working_set = _distinct(facts, touched.line_bytes)
    outer = loops.outer * (facts.instances / np.maximum(loops.outer[:, -1:], 1.0))
    outer = np.maximum(np.minimum(outer, loops.outer), 1.0)
    sizes = {
        "l1": hardware.machine.l1_bytes,
        "l2": hardware.machine.l2_bytes,
        "l3": hardware.machine.l3_bytes,
    }
    for cache, level in SERVED:
        fits = working_set <= USABLE * sizes[cache]
        place = np.where(fits.any(axis=1), np.argmax(fits, axis=1), DEPTH)
        traffic = working_set[rows, place] * outer[rows, place]
        rate = np.where(
            sharing > 1.0,
            hardware.speeds.bandwidth(level, threads).read,
            hardware.speeds.bandwidth(level, 1).read,
        )
        columns[f"seconds_{level}"] = traffic / rate
        columns[f"log_traffic_{cache}"] = np.log1p(traffic)
        columns[f"depth_{cache}"] = place.astype(np.float64)
        columns[f"fill_{cache}"] = np.minimum(working_set[rows, body] / sizes[cache], 16.0)
    columns["log_footprint"] = np.log1p(working_set[:, 0])
    temporary = np.array([a.is_temporary for a in facts.accesses])
    columns["log_temporaries"] = np.log1p(touched.line_bytes[:, 0][:, temporary].sum(axis=1))
    total = facts.instances * max(sum(facts.operations.values()), 1)
    columns["intensity"] = np.log(total / np.maximum(working_set[:, 0], LINE_BYTES))


def _distinct(facts: StatementFacts, line_bytes: Array) -> Array:
    """B x K: bytes of all arrays, of several accesses to one array the largest."""
    numbers = [a.array for a in facts.accesses]
    members = [np.flatnonzero(np.equal(numbers, n)) for n in sorted(set(numbers))]
    found: Array = np.sum([line_bytes[:, :, m].max(axis=2) for m in members], axis=0)
    return found
