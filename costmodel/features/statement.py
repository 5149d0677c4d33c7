"""The features of one statement under many schedules, and the time that each resource takes.

The times are those of a roofline: arithmetic at the lanes and chains that the innermost loops have,
what has to be issued for it, and per level of memory the lines that a cache of the level below
cannot keep. Programs are measured again and again, so what fits into a cache is there already.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .footprints import Loops, footprints, stacked
from .hardware import Hardware
from .innermost import describe_body
from .memory import SERVED, describe_memory
from .nests import KINDS, OPERATIONS, Array, StatementFacts, StatementNest
from .reuse import Surroundings

PARALLEL = KINDS.index("parallel")
OF_THREADS = (
    "seconds_arithmetic",
    "seconds_l1",
    "seconds_issue",
    "seconds_entries",
    "seconds_idle",
)
CACHES = ("seconds_conflicts", *(f"seconds_{level}" for _, level in SERVED))
# How far the time of each resource goes by its estimate, and what share of it is seen even where
# another one takes longer.
WEIGHTS = {
    "seconds_arithmetic": 1.0,
    "seconds_l1": 1.2,
    "seconds_issue": 1.2,
    "seconds_conflicts": 0.2,
    "seconds_l2": 0.3,
    "seconds_l3": 0.6,
    "seconds_memory": 1.5,
}
HIDDEN = {"seconds_issue": 0.05, "seconds_conflicts": 0.1, "seconds_l2": 0.1, "seconds_l3": 0.05}
REGION = 1.8  # times what an empty region takes: threads also wait for the slowest, and for data
TIMES = (*OF_THREADS, *CACHES, "seconds_regions")
STATEMENT_NAMES = (
    *TIMES,
    "seconds",
    *(f"log_{name}" for name in OPERATIONS),
    *("log_instances", "element_bytes", "is_reduction", "accesses", "log_box_share"),
    *("log_iterations", "log_innermost_trips", "innermost_is_loop", "log_unrolled", "log_vectors"),
    *("lanes", "vector_share", "lane_use", "log_accumulators", "log_body_loads"),
    *("register_pressure", "chain", "mates", "recurrence", "through_memory"),
    *("contiguous", "broadcast", "strided", "write_stride", "log_operations_per_load"),
    *("compiler_may_vectorize", "compiler_lanes", "compiler_outer", "watched", "log_overrun"),
    *("log_gathers", "far", "aliased", "collides", "log_pages"),
    *("log_instructions", "log_split_loads", "log_streams", "unroll_use"),
    *("has_parallel", "log_parallel_trips", "parallel_balance", "log_regions", "parallel_depth"),
    *(f"log_traffic_{cache}" for cache, _ in SERVED),
    *(f"depth_{cache}" for cache, _ in SERVED),
    *(f"fill_{cache}" for cache, _ in SERVED),
    *("pass_l1", "pass_l2", "kept_share"),
    *("log_footprint", "log_temporaries", "intensity", "depth"),
)


def statement_features(
    facts: StatementFacts,
    nests: Sequence[StatementNest],
    around: Surroundings,
    threads: int,
    hardware: Hardware,
) -> Array:
    """B x len(STATEMENT_NAMES) features of one statement in B schedules."""
    loops = stacked(nests)
    touched = footprints(facts.accesses, loops.free)
    columns = {name: np.zeros(len(nests)) for name in STATEMENT_NAMES}
    _describe_work(columns, facts)
    body = describe_body(columns, facts, loops, touched, around, hardware)
    sharing = _parallel(columns, loops, around, threads, hardware)
    describe_memory(columns, facts, loops, touched, around, body, sharing, hardware, threads)
    issued = columns["seconds_issue"] + columns["seconds_entries"] + columns["seconds_idle"]
    busy = {**{n: columns[n] for n in WEIGHTS}, "seconds_issue": issued}
    longest = np.max([w * busy[n] for n, w in WEIGHTS.items()], axis=0)
    hidden = sum(w * busy[n] for n, w in HIDDEN.items())
    columns["seconds"] = longest + hidden + columns["seconds_regions"]
    return np.stack([columns[name] for name in STATEMENT_NAMES], axis=1)


def _describe_work(columns: dict[str, Array], facts: StatementFacts) -> None:
    for name in OPERATIONS:
        columns[f"log_{name}"] += np.log1p(facts.operations.get(name, 0))
    columns["log_instances"] += np.log1p(facts.instances)
    columns["element_bytes"] += facts.accesses[0].element_bytes
    columns["is_reduction"] += facts.is_reduction
    columns["accesses"] += len(facts.accesses)
    volume = max(float(np.prod(facts.extents)), 1.0)
    columns["log_box_share"] += np.log(max(facts.instances, 1.0) / volume)


def _parallel(
    columns: dict[str, Array],
    loops: Loops,
    around: Surroundings,
    threads: int,
    hardware: Hardware,
) -> Array:
    """How many threads share the work, on average."""
    rows = np.arange(len(loops.trips))
    is_parallel = loops.kinds == PARALLEL
    some = is_parallel.any(axis=1)
    first = np.argmax(is_parallel, axis=1)
    trips = np.where(some, loops.trips[rows, first], 1.0)
    # The thread that has most: its iterations are whole ones, as the last of all may not be.
    most = np.ceil(np.ceil(trips) / threads - 1e-9) * loops.largest[rows, first]
    sharing = np.where(some, trips / np.minimum(most, trips), 1.0)
    sharing = np.clip(sharing, 1.0, threads)
    regions = np.where(is_parallel, loops.outer[:, :-1], 0.0).sum(axis=1)
    for name in OF_THREADS:
        columns[name] /= sharing
    # A region is one for all statements in it.
    seconds = regions * REGION * hardware.speeds.region_seconds(threads) / around.sharers
    columns["seconds_regions"] = seconds
    columns["has_parallel"] = some.astype(np.float64)
    columns["log_parallel_trips"] = np.log1p(trips)
    columns["parallel_balance"] = sharing / threads
    columns["log_regions"] = np.log1p(regions)
    columns["parallel_depth"] = np.where(some, first, -1.0)
    return sharing
