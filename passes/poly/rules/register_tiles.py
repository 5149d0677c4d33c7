"""The innermost loops of a nest: register tiles of a contraction, or plain vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, prod

from ....costmodel.hardware import Machine
from ....costmodel.matrix_unit import LEAST_ROWS, ROWS, WORDS, has_matrix_unit, most_rows
from ....dialects.pairs import DotOp
from ....dialects.poly import StatementOp
from ....dialects.schedule import Split, Unroll, Vectorize
from ..access_patterns import Contraction, columns_dim, panel_width, reduction_dims, stride
from ..affine_maps import plain_dim
from ..array_shapes import shape_of
from ..sets import Extent, box_extents
from ..storage import element_bytes
from .choice import choice_of
from .loop_plan import Loop, LoopPlan
from .row_blocks import RowBlocks, row_blocks

UNROLL_LIMIT = 8  # loops of at most this many vectors are unrolled, so that arrays become registers
IN_BLOCK = -1  # the class of row tiles inside a block of rows
TRANSPOSED_TILES = 4  # square tiles side by side that are transposed before the next rows are read
TILE_START = 16  # rows that starting a tile costs, times registers: it is hidden by long steps
POINTWISE_VECTORS = 4  # vectors per iteration where nothing is accumulated


@dataclass(frozen=True)
class RegisterTile:
    """Rows x vectors of accumulators that stay in registers."""

    rows: int
    vectors: int


def register_tile(
    machine: Machine, lanes: int, rows: int, columns: int, in_unit: bool = False
) -> RegisterTile:
    """The tile for a contraction with `rows` x `columns` results.

    Accumulators, one row of the wide operand and a broadcast of the narrow one fit the registers;
    rows are balanced so that the last tile is not much smaller than the others. With `in_unit`,
    accumulators are those of the matrix unit.
    """
    registers = machine.vector_registers
    in_unit = in_unit and rows >= LEAST_ROWS
    if in_unit:
        vectors = min(ceil(columns / lanes), 2 if rows > ROWS else 4)
    elif lanes == 1:
        vectors = min(columns, 4)
    elif rows == 1:
        vectors = min(ceil(columns / lanes), 8)  # enough chains to hide the latency of fma
    elif rows < 7:  # one tile, so that the wide operand is read once
        vectors = min(ceil(columns / lanes), 4 if 4 * (rows + 1) < registers else 2)
    else:
        vectors = min(ceil(columns / lanes), 2)
    choice = choice_of(machine)
    if choice.tile_vectors:
        vectors = min(ceil(columns / lanes), choice.tile_vectors)
    most = most_rows(vectors) if in_unit else max(1, (registers - vectors - 1) // vectors)
    if choice.tile_rows:
        most = min(most, choice.tile_rows)
    return RegisterTile(ceil(rows / ceil(rows / most)), vectors)


def is_for_matrix_unit(machine: Machine, lanes: int, s: StatementOp, narrow: int) -> bool:
    """Whether `machine` has a matrix unit that can sum the products of `s`: those of pairs that lie
    side by side along the last dim that is summed over."""
    if not has_matrix_unit(machine) or lanes != WORDS:
        return False
    if not any(isinstance(op, DotOp) for op in s.body.block.ops):
        return False
    reduced, extents = reduction_dims(s), box_extents(s.domain.data)
    if not reduced or extents is None or extents[reduced[-1]] < WORDS:  # sums of blocks, short sums
        return False
    return stride(s.sources[narrow], s.read_maps[narrow], reduced[-1]) == 1


def tile_of(plan: LoopPlan, name: str, contraction: Contraction, rows: int) -> RegisterTile:
    """The register tile of `rows` rows of a planned contraction."""
    in_unit = is_for_matrix_unit(
        plan.machine, plan.lanes, plan.statements[name], contraction.narrow
    )
    columns = plan.extents[name][contraction.vector_dim]
    return register_tile(plan.machine, plan.lanes, rows, columns, in_unit)


def rows_class(plan: LoopPlan, group: Sequence[str], candidates: Sequence[int]) -> int | None:
    """The class in `candidates` that makes rows of the first contraction of `group` to have one."""
    for name in group:
        if name in plan.contractions:
            for d in reversed(plan.contractions[name].rows):
                if plan.class_of[name, d] in candidates:
                    return plan.class_of[name, d]
    return None


def rows_per_tile(plan: LoopPlan, group: Sequence[str], rows: int) -> int:
    """Rows of a register tile that suits every contraction of `group`."""
    sizes = []
    for name, contraction in plan.contractions.items():
        if name in group and plan.dim(name, rows) is not None:
            sizes.append(tile_of(plan, name, contraction, plan.extent(name, rows)).rows)
    return min(sizes)


def tile_nest(plan: LoopPlan, group: Sequence[str], row_block: int | None) -> None:
    """Close all open loops of `group` as one nest that ends in register tiles or vectors.

    `row_block` is a class whose open loops are one tile of rows already.
    """
    shared = [c for c in plan.shared(group) if c != row_block]
    vector = next((c for c in shared if all(plan.vector_class(n) == c for n in group)), None)
    main = next((n for n in group if n in plan.contractions), None)
    if vector is None or main is None:
        outer = shared if row_block is None else [row_block, *shared]
        _tile_vectors(plan, group, outer, vector)
    else:
        _tile_registers(plan, group, shared, vector, main, row_block)
    for name in group:
        _vectorize_alone(plan, name)


def _tile_vectors(
    plan: LoopPlan, group: Sequence[str], outer: Sequence[int], vector: int | None
) -> None:
    """Fuse `outer`, the vector loop innermost."""
    order = [c for c in outer if c != vector]
    across = None
    columns = None if vector is None else _columns_class(plan, group, vector)
    if vector is not None:
        order = [c for c in order if c != columns]
        most = choice_of(plan.machine).wide or POINTWISE_VECTORS
        vectors = min(most, max(1, plan.extent(group[-1], vector) // plan.lanes))
        panel = panel_of_copy(plan, group[0]) if len(group) == 1 else None
        order.insert(len(order) if panel is None else 0, vector)
        across = _transposed_class(plan, group, order, vector)
        if panel is not None:
            vectors = panel // plan.lanes
        elif across is not None:
            vectors = 1
    if across is not None:
        order.append(IN_BLOCK)
    for name in group:
        inner = [] if columns is None else [_unrolled(plan, name, columns)]
        inner += [] if across is None else _split_columns(plan, name, across)
        inner += [] if vector is None else _split_vectors(plan, name, vector, vectors)
        plan.reorder(name, order, inner)
    for cls in order:
        plan.fuse(group, cls)


def _transposed_class(
    plan: LoopPlan, group: Sequence[str], outer: Sequence[int], vector: int
) -> int | None:
    """The class along which something lies contiguously that `vector` would have to gather.

    A square block of both is read in rows and transposed in registers.
    """
    if plan.lanes == 1 or len(group) > 1 or plan.extent(group[0], vector) < plan.lanes:
        return None
    name = group[0]
    s = plan.statements[name]
    lane = plan.dim(name, vector)
    assert lane is not None
    for array, access in zip(s.sources, s.read_maps, strict=True):
        is_gathered = stride(array, access, lane) not in (0, 1, None)
        for cls in outer:
            dim = plan.dim(name, cls)
            if is_gathered and dim is not None and stride(array, access, dim) == 1:
                return cls if plan.extents[name][dim] >= plan.lanes else None
    return None


def _split_columns(plan: LoopPlan, name: str, cls: int) -> list[str]:
    """Blocks of some tiles of as many columns as there are lanes; the columns of one unrolled.

    A block reads several cache lines of each row before it goes on to the next, which spares TLB
    entries; the loop over the tiles of a block stays open.
    """
    block = plan.split(name, cls, TRANSPOSED_TILES * plan.lanes)
    plan.open[name].append(Loop(IN_BLOCK, block))
    column = plan.split(name, IN_BLOCK, plan.lanes)
    plan.step(Unroll(column))
    return [column]


def _columns_class(plan: LoopPlan, group: Sequence[str], vector: int) -> int | None:
    """The class of the columns that vectors of class `vector` are interleaved with, where all of
    `group` have them."""
    found = set()
    for name in group:
        dim = plan.dim(name, vector)
        assert dim is not None
        columns = columns_dim(plan.statements[name], plan.extents[name], dim)
        found.add(None if columns is None else plan.class_of[name, columns])
    cls = found.pop()
    is_open = cls is not None and all(plan.band(name, cls) is not None for name in group)
    return cls if is_open and not found and plan.lanes > 1 else None


def _unrolled(plan: LoopPlan, name: str, cls: int) -> str:
    """The loop of `cls`, closed and unrolled."""
    band = plan.close(name, cls)
    plan.step(Unroll(band))
    return band


def panel_of_copy(plan: LoopPlan, name: str) -> int | None:
    """The width of the panels that `name` writes along its vector loop; None where it does not."""
    vector = plan.vector_class(name)
    dim = None if vector is None else plan.dim(name, vector)
    if dim is None:
        return None
    width = panel_width(plan.statements[name].write.data, dim)
    return width if width is not None and width % plan.lanes == 0 else None


def _tile_registers(
    plan: LoopPlan,
    group: Sequence[str],
    shared: Sequence[int],
    vector: int,
    main: str,
    row_block: int | None,
) -> None:
    """Fuse the tiles of rows and columns; inside, every statement walks one tile, unrolled."""
    columns = plan.extent(main, vector)
    tiled = row_block is not None and plan.dim(main, row_block) is not None
    rows = row_block if tiled else rows_class(plan, [main], shared)
    height = plan.extent(main, rows) if rows is not None else 1
    tile = tile_of(plan, main, plan.contractions[main], height)
    others = [c for c in shared if c not in (vector, rows)]
    order = [*others, vector]
    block = 0
    if rows is not None and not tiled:
        # A block of rows of the narrow operand stays in cache while all columns pass by.
        outside, inside = _around_block(plan, main, others)
        blocks = _row_blocks(plan, main, rows, tile, columns, outside)
        tile, block = replace(tile, rows=blocks.height), blocks.rows
        order = [*outside, rows, *inside, vector, IN_BLOCK]
        if choice_of(plan.machine).swap or _shares_columns(plan, main, rows, columns, tile):
            order = [*outside, vector, rows, *inside, IN_BLOCK]
    for name in group:
        inner: list[str] = []
        if rows is not None and tiled:
            inner.append(plan.close(name, rows))
        elif rows is not None:
            within = plan.split(name, rows, block)
            plan.open[name].append(Loop(IN_BLOCK, within))
            inner.append(plan.split(name, IN_BLOCK, tile.rows))
        for band in inner:
            plan.step(Unroll(band))
        inner += _split_vectors(plan, name, vector, tile.vectors)
        plan.reorder(name, order, inner)
    for cls in order:
        plan.fuse(group, cls)


def _shares_columns(plan: LoopPlan, main: str, rows: int, columns: int, tile: RegisterTile) -> bool:
    """Whether threads share columns: of how many rows there are, nothing but a bound is known."""
    panels = columns // (tile.vectors * plan.lanes)
    if plan.threads == 1 or isinstance(columns, Extent) or panels < 2 * plan.threads:
        return False
    return isinstance(plan.extent(main, rows), Extent)


def _row_blocks(
    plan: LoopPlan, main: str, rows: int, tile: RegisterTile, columns: int, outside: Sequence[int]
) -> RowBlocks:
    """Blocks whose rows of the narrow operand fill at most a third of the second-level cache, or
    what a panel leaves of it; shared by the threads if no loop of the classes `outside` is."""
    s, contraction = plan.statements[main], plan.contractions[main]
    row = plan.dim(main, rows)
    used = s.read_maps[contraction.narrow].used_dims()
    elements = prod(plan.extents[main][d] for d in used if d != row)
    row_bytes = elements * element_bytes(s.sources[contraction.narrow])
    width = tile.vectors * plan.lanes
    panel_bytes = elements * width * element_bytes(s.sources[contraction.wide])
    is_shared = all(plan.extent(main, c) < plan.threads for c in outside)
    return row_blocks(
        plan.extent(main, rows),
        tile.rows,
        plan.machine.l2_bytes // 3 // row_bytes,
        plan.threads if is_shared else 1,
        max(1, columns // width),
        (plan.machine.l2_bytes - panel_bytes) // row_bytes,
        TILE_START / plan.machine.vector_registers,
    )


def _around_block(plan: LoopPlan, main: str, classes: Sequence[int]) -> tuple[list[int], list[int]]:
    """(classes that the narrow operand depends on, others, which reuse a block of its rows)."""
    s, contraction = plan.statements[main], plan.contractions[main]
    used = {plan.class_of[main, d] for d in s.read_maps[contraction.narrow].used_dims()}
    return [c for c in classes if c in used], [c for c in classes if c not in used]


def _split_vectors(plan: LoopPlan, name: str, cls: int, vectors: int) -> list[str]:
    """Split `vectors` vectors off the loop of `cls`: an unrolled loop over lanes."""
    inner = plan.split(name, cls, vectors * plan.lanes)
    if plan.lanes == 1:
        plan.step(Unroll(inner))
        return [inner]
    plan.step(Split(inner, plan.lanes, f"{inner}u", f"{inner}l"))
    plan.step(Unroll(f"{inner}u"))
    plan.step(Vectorize(f"{inner}l", plan.lanes))
    return [f"{inner}u", f"{inner}l"]


def _vectorize_alone(plan: LoopPlan, name: str) -> None:
    """Vectorize a loop that only `name` has: lanes of a factored reduction, or a last dim."""
    cls = plan.vector_class(name)
    if plan.lanes == 1 or cls is None:
        return
    band = plan.band(name, cls)
    if band is None:
        return
    extent = plan.extent(name, cls)
    width = _factor_width(plan, name, cls)
    if width is not None and width < extent:
        band, extent = plan.split(name, cls, width), width
    else:
        plan.close(name, cls)
    plan.step(Split(band, plan.lanes, f"{band}u", f"{band}l"))
    plan.reorder(name, [], [f"{band}u", f"{band}l"])
    if ceil(extent / plan.lanes) <= (choice_of(plan.machine).unroll or UNROLL_LIMIT):
        plan.step(Unroll(f"{band}u"))
    plan.step(Vectorize(f"{band}l", plan.lanes))


def _factor_width(plan: LoopPlan, name: str, cls: int) -> int | None:
    """F where `name` accumulates into lanes `k mod F` along class `cls`; None otherwise."""
    s = plan.statements[name]
    d = plan.dim(name, cls)
    is_folded = d not in reduction_dims(s) and d not in [plain_dim(e) for e in s.write.data.results]
    return shape_of(s.target)[-1] if s.reduction is not None and is_folded else None
