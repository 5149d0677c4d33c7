"""Register tiles for sums whose vector dim is one vector: convolutions and pools over blocks of
channels.

before: out[o, y, x, l] += in[k, y + r, x + q] * w[o, k, r, q, l]
after:  for tiles of y, x and o: accumulators of rows x columns x blocks stay in registers while the
        sum runs, one vector load per block and one broadcast per position

Tiles cover positions of the image as well as blocks, so that small images fill the registers too.
Where sums go in passes (`window_passes`), all positions of some rows walk through a pass, whose
vectors stay in the first-level cache, before the next one starts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import ceil, prod

from ....costmodel.hardware import Machine
from ....costmodel.tile_cost import LATENCY, TileCost
from ....dialects.poly import StatementOp
from ....dialects.schedule import Unroll, Vectorize
from ..access_patterns import block_of, contraction_of, lane_dim, summed_dims
from ..affine_maps import plain_dim
from ..storage import element_bytes
from .choice import choice_of
from .loop_plan import Loop, LoopPlan
from .reduced_blocks import open_blocks, reduced_blocks
from .slow_epilogues import slow_epilogue
from .window_passes import USUAL_BLOCKS, block_width

MOST_BLOCKS = 4
CONSTANTS = 1  # registers of what follows the sum, such as the zero of relu, which gcc keeps
IN_PART = -2  # the class of rows inside a thread's part, or of what goes through passes together
SUMS_SHARE = 8  # of the second-level cache: sums that go through passes together
AHEAD = 72  # multiply-adds that wait for others in a core (Zen 3: a window of 3x3, LATENCY times)
LARGEST_WINDOW = 25  # windows that are walked by straight-line code where nothing is contracted


@dataclass(frozen=True)
class WindowTile:
    """Classes and extents of a register tile, outermost first, and what it costs per term."""

    sizes: tuple[tuple[int, int], ...]
    cost: float


def window_update(plan: LoopPlan, run: Sequence[str]) -> str | None:
    """The only reduction of `run` (but for one that adds up its passes), if its vectors are
    `lane_dim`s and all of `run` share them."""
    found = [n for n in run if plan.statements[n].reduction is not None]
    parts = [plan.statements[n].target for n in found if _goes_in_passes(plan.statements[n])]
    found = [n for n in found if not any(a in parts for a in plan.statements[n].sources[1:])]
    if len(found) != 1:
        return None
    (name,) = found
    lane = lane_dim(plan.statements[name], plan.extents[name], plan.lanes)
    if lane is None or not all(plan.is_parallel(n, plan.class_of[name, lane]) for n in run):
        return None
    return name


def _goes_in_passes(statement: StatementOp) -> bool:
    """Whether a reduction has one sum for each block of its iterations."""
    return any(block_of(e) is not None for e in statement.write.data.results)


def tile_windows(plan: LoopPlan, run: Sequence[str], update: str) -> None:
    """Close all open loops of `run` as one nest around tiles of accumulators."""
    s = plan.statements[update]
    lane = lane_dim(s, plan.extents[update], plan.lanes)
    assert lane is not None
    lanes = plan.class_of[update, lane]
    shared = [c for c in plan.shared(run) if c != lanes]
    blocks = _block_classes(plan, update, shared)
    positions = [c for c in shared if c not in blocks]
    passes = reduced_blocks(plan, run)
    around, inside, extents = _loops_around(plan, run, update, blocks, positions)
    vectors = TileCost(plan.machine) if passes else _vectors_of(plan, update, blocks)
    terms = prod(plan.extents[update][d] for d in summed_dims(s))
    tile = _choose_tile(plan, extents, blocks, [*around, *inside], vectors, terms)
    apart = slow_epilogue(plan, run, update)
    groups, turn = open_blocks(plan, run, passes) if passes else ([], None)
    if apart and not passes:  # the innermost loop is one for each of two groups
        outer, innermost = around[:-1], around[-1:]
        if any(_trips(extents, tile, c) >= plan.threads for c in outer):
            around, inside = outer, innermost
            groups = [[name for name in run if name not in apart], apart]
        else:
            apart = []
    for name in run:
        first, last = _split_sums(plan, name) if name == update else ([], [])
        inner = []
        for cls, size in tile.sizes:
            if size > 1 and not (name in apart and cls in inside):
                inner.append(plan.split(name, cls, size))
                if name not in apart:
                    plan.step(Unroll(inner[-1]))
        inner.append(plan.close(name, lanes))
        turns = [loop.cls for loop in plan.open[name] if loop.cls == turn]
        plan.reorder(name, [*around, *turns, *inside, *first], [*last, *inner])
        plan.step(Vectorize(inner[-1], plan.lanes))
    for cls in around:
        plan.fuse(run, cls)
    for group in groups:
        for cls in [loop.cls for loop in plan.open[group[0]] if loop.cls in (turn, *inside)]:
            plan.fuse(group, cls)


def _trips(extents: Mapping[int, int], tile: WindowTile, cls: int) -> int:
    """Iterations of the loop of class `cls` around the tiles."""
    return ceil(extents[cls] / dict(tile.sizes).get(cls, 1))


def _loops_around(
    plan: LoopPlan,
    run: Sequence[str],
    update: str,
    blocks: Sequence[int],
    positions: Sequence[int],
) -> tuple[list[int], list[int], dict[int, int]]:
    """Classes of the loops around tiles, outermost first: all but what a pass goes through, and
    that; and their extents. Rows that threads share or that go through passes together are split.
    """
    order = _outer_order(plan, update, blocks, positions)
    extents = {c: plan.extent(update, c) for c in order}
    if _goes_in_passes(plan.statements[update]) and positions:
        rows_first, near = order[0] in positions, list(positions[-2:])
        rows = _rows_in_passes(plan, extents, near, plan.threads if rows_first else 1)
        around = [*blocks, *positions[:-2]]
        if rows < extents[near[0]]:
            around.insert(0 if rows_first else len(around), near[0])
            near[0] = _split_rows(plan, run, extents, near[0], rows)
        return around, near, extents
    part = None if blocks else _part_of_rows(plan, update, order)
    if part is not None:
        *others, rows, columns = order
        order = [rows, *others, _split_rows(plan, run, extents, rows, part), columns]
    return order, [], extents


def _split_rows(
    plan: LoopPlan, run: Sequence[str], extents: dict[int, int], rows: int, size: int
) -> int:
    """Split the loops of class `rows` into parts of `size` iterations, whose class is returned."""
    for name in run:
        within = plan.split(name, rows, size)
        plan.open[name].append(Loop(IN_PART, within))
    extents |= {rows: ceil(extents[rows] / size), IN_PART: size}
    return IN_PART


def _rows_in_passes(
    plan: LoopPlan, extents: Mapping[int, int], positions: Sequence[int], sharing: int
) -> int:
    """Iterations of the first of `positions` that go through the passes together: their sums stay
    in the second-level cache, and `sharing` threads have as many parts each."""
    rows, *columns = positions
    sums = prod(extents[c] for c in columns) * plan.machine.vector_bytes * USUAL_BLOCKS
    most = max(1, plan.machine.l2_bytes // SUMS_SHARE // sums)
    parts = ceil(ceil(extents[rows] / most) / sharing) * sharing
    return ceil(extents[rows] / parts)


def _part_of_rows(plan: LoopPlan, update: str, order: Sequence[int]) -> int | None:
    """Rows of an image for each thread, where threads can share them evenly: [channels, rows,
    columns] of a sum over each channel alone. Convolutions share rows too, so that a thread finds
    in its cache what it has written in the layer before."""
    if plan.threads == 1 or len(order) != 3:
        return None
    rows, extent = plan.dim(update, order[1]), plan.extent(update, order[1])
    source = plan.statements[update].read_maps[1]
    is_window = any(rows in e.used_dims() and plain_dim(e) is None for e in source.results)
    return extent // plan.threads if is_window and extent % plan.threads == 0 else None


def _block_classes(plan: LoopPlan, update: str, shared: Sequence[int]) -> list[int]:
    """Classes along which vectors are loaded anew while broadcasts are shared."""
    contraction = contraction_of(plan.statements[update])
    if contraction is None:
        return []
    used = plan.statements[update].read_maps[contraction.narrow].used_dims()
    return [c for c in shared if plan.dim(update, c) not in used]


def _split_sums(plan: LoopPlan, update: str) -> tuple[list[int], list[str]]:
    """The loops of the sum that come first (blocks of channels, around the window) and last:
    channels of one block; small windows, unrolled."""
    s, extents = plan.statements[update], plan.extents[update]
    dims = summed_dims(s)
    if contraction_of(s) is None:
        if prod(extents[d] for d in dims) > LARGEST_WINDOW:
            return [], []
        bands = [plan.close(update, plan.class_of[update, d]) for d in dims]
        for band in bands:
            plan.step(Unroll(band))
        return [], bands
    outer, inner = [], []
    for d in dims:
        width = block_width(s, d)
        if width is not None and extents[d] > width:
            outer.append(plan.class_of[update, d])
            inner.append(plan.split(update, outer[-1], width))
    return outer, inner


def _outer_order(
    plan: LoopPlan, update: str, blocks: Sequence[int], rows: Sequence[int]
) -> list[int]:
    """Rows outside while all weights stay in cache, else blocks, whose weights all rows share."""
    s = plan.statements[update]
    weights = [
        prod(plan.extents[update][d] for d in access.used_dims()) * element_bytes(array)
        for array, access in zip(s.sources[1:], s.read_maps[1:], strict=True)
        if any(plan.dim(update, c) in access.used_dims() for c in blocks)
    ]
    if (sum(weights) <= plan.machine.l2_bytes // 2) != choice_of(plan.machine).swap:
        return [*rows, *blocks]
    return [*blocks, *rows]


def _vectors_of(plan: LoopPlan, update: str, blocks: Sequence[int]) -> TileCost:
    """Whether the vectors that one block multiplies stay in the first-level cache."""
    s, extents = plan.statements[update], plan.extents[update]
    blocked = {plan.dim(update, c) for c in blocks}
    held = [
        prod(extents[d] for d in access.used_dims() if d not in blocked) * element_bytes(array)
        for array, access in zip(s.sources[1:], s.read_maps[1:], strict=True)
        if blocked & access.used_dims()
    ]
    return TileCost(plan.machine, is_streamed=sum(held) > plan.machine.l1_bytes // 2)


def _choose_tile(
    plan: LoopPlan,
    extents: Mapping[int, int],
    blocks: Sequence[int],
    order: Sequence[int],
    registers: TileCost,
    terms: int,
) -> WindowTile:
    """The tile of fewest cycles, by a count of multiply-adds, loads and latency, of the thread that
    takes longest.

    It spans the innermost blocks, and rows of positions; several rows only where they are whole.
    Every sum has `terms`.
    """
    # blocks innermost: a broadcast is used up before the next one
    rows = [c for c in order if c not in blocks][-2:]
    classes = [*rows, *blocks[-1:]]
    whole = [extents[c] for c in classes]
    most = plan.machine.vector_registers
    if not blocks:
        most = _positions_of_windows(plan.machine, terms)
    most_blocks = choice_of(plan.machine).window_blocks or MOST_BLOCKS
    limits = [
        min(n, most_blocks if c in blocks else most) for c, n in zip(classes, whole, strict=True)
    ]
    spread = len(rows)
    best: WindowTile | None = None
    for sizes in product(*(range(1, limit + 1) for limit in limits)):
        is_whole = sizes[:spread][-1:] == tuple(whole[:spread][-1:])
        used = prod(sizes) + (prod(sizes[spread:]) + 1 + CONSTANTS if blocks else 0)
        is_split = prod(sizes[: max(spread - 1, 0)]) > 1 and not is_whole
        if prod(sizes) > 1 and (used > most or is_split):
            continue
        trips = {**extents, **{c: -(-extents[c] // n) for c, n in zip(classes, sizes, strict=True)}}
        shared = next((c for c in order if trips[c] >= plan.threads), None)
        at = classes.index(shared) if shared in classes else None
        cost = _longest(registers, whole, sizes, spread, plan.threads, at)
        if best is None or cost < best.cost:
            best = WindowTile(tuple(zip(classes, sizes, strict=True)), cost)
    assert best is not None  # one accumulator is taken, whether it fits or not
    return best


def _positions_of_windows(machine: Machine, terms: int) -> int:
    """How many sums over windows of `terms` are a tile: neighbours share loads, for which there
    have to be registers.

    Many registers hold all weights too. Few hold one, and so many sums pay only for windows that
    are longer than what a core looks ahead, who else starts the next tiles meanwhile.
    """
    if machine.has_few_registers and terms * LATENCY > AHEAD:
        return (machine.vector_registers - 1 - CONSTANTS) // 2
    return max(1, machine.vector_registers // 3 - 2 - CONSTANTS)


def _longest(
    tile: TileCost,
    extents: Sequence[int],
    sizes: Sequence[int],
    spread: int,
    threads: int,
    shared: int | None,
) -> float:
    """Time of one term of all sums in the thread that takes longest; threads share the tiles along
    dim `shared`, which the first ones have one more of and the last one the partial one."""
    if threads == 1 or shared is None:
        return _total(tile, extents, sizes, spread)

    def of(extent: int) -> float:
        part = [*extents[:shared], extent, *extents[shared + 1 :]]
        return _total(tile, part, sizes, spread)

    size = sizes[shared]
    least, more = divmod(-(-extents[shared] // size), threads)
    rest = extents[shared] % size or size
    return max(of(size) * (least + (more > 0)), of(size) * (least - 1) + of(rest))


def _total(tile: TileCost, extents: Sequence[int], sizes: Sequence[int], spread: int) -> float:
    """Of one term of all sums, in full and partial tiles; the first `spread` dims are positions."""
    total = 0.0
    for parts in product(*(_parts(n, size) for n, size in zip(extents, sizes, strict=True))):
        tiles = prod(count for count, _ in parts)
        inside = [size for _, size in parts]
        total += tiles * tile.term(prod(inside[spread:]), prod(inside[:spread]))
    return total


def _parts(extent: int, size: int) -> list[tuple[int, int]]:
    """(count, size) of the full tiles and of the partial one."""
    full, rest = divmod(extent, size)
    return [part for part in ((full, size), (1, rest)) if part[0] and part[1]]
