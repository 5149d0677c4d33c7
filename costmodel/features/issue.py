"""What a core has to do besides arithmetic: instructions of the innermost body, cycles to enter its
loop, vectors that lie in two lines, streams that a prefetcher has to follow."""

from __future__ import annotations

import numpy as np

from .body import UNROLL, Body
from .footprints import LINE_BYTES, Footprints, Loops
from .hardware import Hardware
from .nests import Array, StatementFacts

WIDTH = 4.0  # instructions per cycle
ENTRY = 2.0  # cycles lost where a loop ends and the next one begins
IDLE = 4.0  # cycles of an iteration in which a statement has nothing to do
HORIZONTAL = 4.0  # cycles to sum the lanes of a register
FORWARDED = 12.0  # cycles until what was stored can be loaded, longer where a mask was in between
WEIGHTS = {"div": 12.0, "special": 20.0}  # in multiplications


def describe_issue(
    columns: dict[str, Array],
    facts: StatementFacts,
    loops: Loops,
    body: Body,
    touched: Footprints,
    hardware: Hardware,
    entered: Array,
) -> None:
    """Seconds of one thread; `entered` is how often the body is."""
    rows = np.arange(len(loops.trips))
    clock = hardware.clock(facts.element, facts.accesses[0].element_bytes)
    operations = sum(WEIGHTS.get(n, 1.0) * c for n, c in facts.operations.items())
    fused = min(facts.operations.get("mul", 0), facts.operations.get("add", 0))
    written = body.loads[:, 0]
    instructions = (
        max(operations - fused, 0.5) * body.unrolled * body.vectors
        + body.loads.sum(axis=1)
        + written * facts.is_reduction
        + 2.0 * (body.place > 0)
    )
    columns["seconds_issue"] = entered * instructions / (WIDTH * clock)
    is_kept = (body.step[:, 0] == 0) & (body.place > 0)
    kept = np.where(is_kept, body.registers[:, 0], 0.0)
    across = facts.is_reduction & (body.along[:, 0] == 0) & (body.lanes > 1)
    around = body.moved[rows, np.maximum(body.place - 2, 0), 0]
    through_memory = facts.is_reduction & (body.step[:, 0] > 0) & (around == 0) & (body.place > 1)
    forwarded = np.where(through_memory, FORWARDED * (1.0 + (body.use < 1.0)), 0.0)
    each = ENTRY + kept / 2 + np.where(across, HORIZONTAL * kept, 0.0) + forwarded
    trips = np.maximum(loops.trips[rows, np.maximum(body.place - 1, 0)], 1.0)
    entries = np.where(body.place > 0, entered / trips, 0.0)
    sums = np.where(across & ~is_kept, HORIZONTAL * body.registers[:, 0], 0.0)
    columns["seconds_entries"] = (entries * each + entered * sums) / clock
    columns["seconds_idle"] = empty(facts, loops) / clock
    columns["through_memory"] = through_memory.astype(np.float64)
    columns["log_instructions"] = np.log1p(instructions)
    columns["log_split_loads"] = np.log1p(split_loads(facts, body))
    streams = np.where(body.step > 0, touched.rows[rows, body.place], 0.0).sum(axis=1)
    columns["log_streams"] = np.log1p(streams)
    inside = np.arange(loops.trips.shape[1])[None, :] >= body.place[:, None]
    jammed = inside & (loops.kinds == UNROLL)
    columns["unroll_use"] = np.where(jammed, loops.trips / np.ceil(loops.trips - 1e-9), 1.0).prod(
        axis=1
    )


def empty(facts: StatementFacts, loops: Loops) -> Array:
    """Cycles for iterations in which a statement has nothing to do, beyond those of the box around
    its instances: loops that it shares with others, or that skip values, ask before each one."""
    idle = loops.outer[:, -1] - float(np.prod(facts.extents))
    found: Array = IDLE * np.maximum(idle, 0.0)
    return found


def split_loads(facts: StatementFacts, body: Body) -> Array:
    """Vectors of one body that begin anywhere in a line, by how likely they cross its end."""
    sizes = np.array([a.element_bytes for a in facts.accesses])
    offsets = np.array(
        [sum(o * s for o, s in zip(a.offsets, a.strides, strict=True)) for a in facts.accesses]
    )
    lanes = body.lanes[:, None]
    others = np.arange(body.moved.shape[1])[None, :] != body.lane_loop[:, None]
    shifted = (others[:, :, None] & (body.moved % lanes[:, :, None] != 0)).any(axis=1)
    is_split = (body.along == 1) & (lanes > 1) & (shifted | (offsets % lanes != 0))
    share = np.minimum(lanes * sizes / LINE_BYTES, 1.0)
    found: Array = np.where(is_split, body.registers * share, 0.0).sum(axis=1)
    return found
