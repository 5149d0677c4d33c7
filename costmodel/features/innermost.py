"""The innermost body of a statement under many schedules: lanes, registers, chains, loads, and the
seconds of one thread that arithmetic and the first cache take."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .body import Body, innermost_body
from .footprints import LINE_BYTES, WAY_BYTES, Footprints, Loops
from .hardware import Hardware
from .issue import WEIGHTS, describe_issue
from .nests import Array, StatementFacts
from .reuse import Surroundings

LATENCY = 4.0  # cycles of a multiply-add
SUM_LATENCY = 3.0  # of an addition
THROUGH_MEMORY = 9.0  # more where a sum is stored and loaded again
WINDOW = 256.0  # instructions among which a core finds one that can begin
MOST_VECTORS = 4  # accumulators of a sum over lanes
COMPILER_BYTES = (16, 32)  # vectors that the C compiler uses on its own
BRANCH = 4.0  # cycles of a choice between two numbers in scalar code, which nobody can foresee
MASKED = 28.0  # cycles until what was stored under a mask can be loaded
MASKS = 4.0  # vectors with a mask for each that is missing: these miss a quarter of their lanes
GATHER = 1.0  # times that of loading a whole vector for each lane that lies elsewhere
SHORT = 0.5  # of the time that loading a whole vector takes
STORE = 1.5  # times that of loading it


def describe_body(
    columns: dict[str, Array],
    facts: StatementFacts,
    loops: Loops,
    touched: Footprints,
    around: Surroundings,
    hardware: Hardware,
) -> Body:
    """The innermost body."""
    rows = np.arange(len(loops.trips))
    found = innermost_body(facts, loops, touched)
    body, registers, step, along = found.place, found.registers, found.step, found.along
    size = facts.accesses[0].element_bytes
    full = hardware.lanes(size)
    trips = loops.trips[rows, np.maximum(body - 1, 0)]
    is_chain = facts.is_reduction & (step[:, 0] == 0) & (body > 0)
    steps = loops.steps[rows, np.maximum(body - 1, 0)]
    recurrence, cycles = recurrences(facts, steps, found.unrolled)
    may, beside, by_compiler = vectorized_by_compiler(
        facts, loops, found, around, is_chain, recurrence
    )
    lanes = found.lanes * by_compiler  # where it vectorizes, the schedule does not
    is_short = lanes * 2 <= full
    # Of vectors that take two units, twice as many short ones begin in a cycle.
    units = np.where(is_short, 2.0, hardware.units)
    work = sum(WEIGHTS.get(n, 1.0) * c for n, c in facts.operations.items())
    # Of two integers, compilers choose without a branch.
    is_moved = facts.is_reduction or not element_is_float(facts)
    choices = 0 if is_moved else facts.operations.get("compare", 0)
    branches = np.where(lanes == 1, BRANCH * choices, 0.0)
    chain = chained(facts, found, around, is_chain, trips, cycles, units, work)
    used = np.maximum(found.use, 0.05)
    clock = hardware.clock(facts.element, size)
    columns["seconds_arithmetic"] = (
        facts.instances * max(work, 0.5) * chain / (2 * lanes * used * units * clock)
    ) + facts.instances * branches / clock
    entered = facts.instances / np.maximum(found.unrolled * found.vectors * found.lanes * used, 1.0)
    loads = found.loads.sum(axis=1)
    whole = full * size / hardware.speeds.bandwidth("l1", 1).read
    busy = loads_at_once(facts, found, is_short)
    columns["seconds_l1"] = entered * found.lanes / lanes * busy * whole
    describe_issue(columns, facts, loops, found, touched, hardware, entered)
    columns["seconds_issue"] *= found.lanes / lanes

    columns["log_iterations"] = np.log1p(entered)
    columns["log_innermost_trips"] = np.log1p(trips)
    columns["innermost_is_loop"] = (body > 0).astype(np.float64)
    columns["log_unrolled"] = np.log1p(found.unrolled)
    columns["log_vectors"] = np.log1p(found.vectors)
    columns["lanes"], columns["lane_use"] = found.lanes, found.use
    columns["vector_share"] = found.lanes / full
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
        work * found.unrolled * found.vectors / np.maximum(loads, 1.0)
    )
    _unusual(columns, facts, found.lanes, along, step, found.elements)
    columns["recurrence"] = recurrence
    columns["compiler_may_vectorize"] = may.astype(np.float64)
    columns["compiler_lanes"] = by_compiler
    columns["watched"] = around.is_watched.astype(np.float64)
    columns["compiler_outer"] = beside.astype(np.float64)
    columns["mates"] = around.mates
    total = np.maximum(loops.outer[:, -1] / max(facts.instances, 1.0), 1.0)
    columns["log_overrun"] = np.log(total)
    columns["depth"] = (loops.trips > 1.001).sum(axis=1).astype(np.float64)
    return found


def chained(
    facts: StatementFacts,
    found: Body,
    around: Surroundings,
    is_chain: npt.NDArray[np.bool_],
    trips: Array,
    cycles: Array,
    units: Array,
    work: float,
) -> Array:
    """B: how many times as long as its `work` an instance takes, because it waits: in a sum of
    `trips` iterations for the accumulator, in a recurrence `cycles`, in a row of vectors for the
    masked end of the row before."""
    registers, half = found.registers[:, 0], max(work, 0.5) / 2
    # Sums over lanes have several accumulators.
    parts = np.clip(np.floor(trips / 2), 1.0, MOST_VECTORS)
    across = (found.along[:, 0] == 0) & (found.lanes > 1)
    accumulators = np.where(across, parts, np.maximum(registers, 1.0))
    instructions = max(work, 0.5) * found.unrolled * found.vectors + 2.0
    fullness = np.sqrt(max(facts.instances, 1.0) / max(float(np.prod(facts.extents)), 1.0))
    overlap = np.maximum(1.0, WINDOW / (trips * min(fullness, 1.0) * instructions))
    # Statements in one loop wait at the same time, and so do its next iterations; but where another
    # one touches the sum, it goes through memory every time.
    mates = np.where(around.is_watched, 1.0, around.mates)
    is_fused = facts.operations.get("mul", 0) > 0 and element_is_float(facts)
    latency = (LATENCY if is_fused else SUM_LATENCY) + THROUGH_MEMORY * around.is_watched
    waits = latency * units / (accumulators * (overlap * mates)) / half
    chain = np.where(is_chain, np.maximum(1.0, waits), 1.0)
    # An iteration needs what the one before wrote, which compilers keep in a register.
    chain = np.maximum(chain, cycles * units / mates / half)
    waits = MASKED * units / registers / half
    waiting: Array = chain + overlapped_rows(facts, found) * np.maximum(waits - chain, 0.0)
    return waiting


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


def vectorized_by_compiler(
    facts: StatementFacts,
    loops: Loops,
    found: Body,
    around: Surroundings,
    is_chain: npt.NDArray[np.bool_],
    recurrence: Array,
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_], Array]:
    """B: (whether the C compiler may vectorize the innermost loop; the loop around a sum that is
    alone there; how many lanes it then uses, 1 where none)."""
    rows, body, along = np.arange(len(loops.trips)), found.place, found.along
    size = facts.accesses[0].element_bytes
    is_box = float(np.prod(facts.extents)) == facts.instances
    may = (found.lanes == 1) & (body > 0) & ~is_chain & (recurrence == 0) & (along[:, 0] == 1)
    may &= (along <= 1).all(axis=1) & (not touches_own_array(facts)) & is_box
    may &= ~around.is_watched & (found.unrolled == 1)
    outside = found.moved[rows, np.maximum(body - 2, 0)]
    beside = (body > 1) & (outside[:, 0] == 1) & (outside <= 1).all(axis=1) & (found.lanes == 1)
    beside &= is_chain & (around.mates == 1) & (found.unrolled == 1) & is_box
    inner, outer = (loops.trips[rows, np.maximum(body - k, 0)] for k in (1, 2))
    lanes = np.where(may, compiler_lanes(inner, size), 1.0)
    return may, beside, np.where(beside, compiler_lanes(outer, size), lanes)


def loads_at_once(facts: StatementFacts, found: Body, is_short: npt.NDArray[np.bool_]) -> Array:
    """B: how long a pass through the body keeps the first cache busy, in loads of whole vectors."""
    # A number for all lanes is a short load; stores take longer, beside the loads.
    short = (found.along == 0) | is_short[:, None]
    # What is gathered is loaded lane by lane, whatever the length of the vector.
    gathered = (found.along > 1) & (found.lanes > 1)[:, None]
    moved = np.where(gathered, GATHER, np.where(short, SHORT, 1.0)) * found.loads
    loaded = moved[:, 1:].sum(axis=1) + facts.is_reduction * moved[:, 0]
    busy: Array = np.maximum(loaded, STORE * moved[:, 0])
    return busy


def overlapped_rows(facts: StatementFacts, body: Body) -> Array:
    """B: the share of vectors of a sum whose mask reaches into the next ones: these wait until they
    are stored."""
    next_to = (body.step[:, 0] > 0) & (body.step[:, 0] < body.lanes) & (body.lanes > 1)
    share = np.clip(MASKS * (1.0 - body.use), 0.0, 1.0)
    found: Array = np.where(next_to & facts.is_reduction, share, 0.0)
    return found


def recurrences(facts: StatementFacts, step: Array, unrolled: Array) -> tuple[Array, Array]:
    """B: (1 / n where an instance reads what the statement wrote n instances before, in an earlier
    iteration of a loop that moves the dims by `step` or among the `unrolled` ones of the same, so
    that it cannot begin earlier; 0 where it does not; the cycles that an instance then takes)."""
    write, *reads = facts.accesses
    share, cycles = np.zeros(len(step)), np.zeros(len(step))
    for read, path in zip(reads, facts.paths, strict=True):
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
        before = (distance >= 1) & (distance % 1 == 0)
        with np.errstate(divide="ignore"):
            before |= (distance > 0) & (distance < 1) & (1 / distance <= np.ceil(unrolled))
        is_one &= before
        found = np.where(is_one, 1 / np.where(is_one, distance, 1.0), 0.0)
        share, cycles = np.maximum(share, found), np.maximum(cycles, found * path)
    beside = np.maximum(unrolled, 1.0)
    return np.minimum(share / beside, 1.0), cycles / beside


def element_is_float(facts: StatementFacts) -> bool:
    """Whether a multiply-add can do the statement's sum."""
    return facts.element.startswith("f")


def touches_own_array(facts: StatementFacts) -> bool:
    """Whether a statement reads elsewhere in the array that it writes: a C compiler cannot tell
    whether iterations depend on each other then."""
    write, *reads = facts.accesses
    here = (write.indices, write.offsets)
    return any(r.array == write.array and (r.indices, r.offsets) != here for r in reads)


def compiler_lanes(trips: Array, element_bytes: int) -> Array:
    """Lanes of the vectors that a C compiler makes of a scalar loop: it does where no iteration is
    left over."""
    found = np.ones(len(trips))
    for width in COMPILER_BYTES:
        lanes = max(1, width // element_bytes)
        found = np.where(np.abs(trips / lanes - np.round(trips / lanes)) < 1e-6, lanes, found)
    return found
