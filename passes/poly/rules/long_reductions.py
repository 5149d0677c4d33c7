"""Blocks of a product's long reduction, so that both operands stay in the caches meanwhile.

before: acc[m, n] += x[m, k] * w[k, n]
after:  xp[k / KC, m, k mod KC] = x[m, k] ; wp[n / NR, k, n mod NR] = w[k, n]
        t[k / KC, m, n] += xp[..] * wp[..] ; acc[m, n] += t[kb, m, n]

(Goto & van de Geijn 2008.) KC depends on the shape alone, so that results do not depend on threads.

Where only the columns of `w` do not stay, because its rows lie so far apart that few sets of the
cache are used, or where its rows are no whole vectors, so that many of these lie in two lines, `w`
alone is copied to panels. With 16 registers a tile reads two vectors every 6 cycles; products of
768 and 769 cubed took 1.3 times as long, those of 1021 and 1536 cubed 1.6 times.

Few rows are not worth a copy of `w`, and one strip of it after the other is a line here and a line
there, which no prefetcher follows. Sums over a few rows of `w` at a time, for all columns, read it
in order: 4 x 4096 x 4096 takes 2.7 times less, 7 x 4096 x 4096 3.7 times, 23 x 2048 x 2048 1.7.
"""

from __future__ import annotations

from math import ceil, gcd

from xdsl.dialects.builtin import MemRefType
from xdsl.ir import BlockArgument, SSAValue

from ....costmodel.hardware import Machine
from ....dialects.poly import ScopOp, StatementOp
from ....dialects.schedule import Pack, Rewrite, SplitReduction
from ..access_patterns import Contraction, contraction_of, panel_width, reduction_dims, stride
from ..affine_maps import plain_dim
from ..sets import box_extents
from ..storage import LINE_BYTES, element_bytes
from .choice import choice_of
from .register_tiles import RegisterTile, register_tile

DEPTH = 384  # terms per block: a panel of the wide operand then stays near the first-level cache
ALIAS_BYTES = 4096  # rows this far apart (or a multiple) share the sets of a first-level cache
PANEL_SHARE = 4  # of the second-level cache: panels of whole columns that are larger are cut
OPERAND_SHARE = 2  # of the second-level cache: wide operands that are smaller are not copied
STRIP_SHARE = 2  # of the first-level cache: smaller strips stay for the next rows
WAYS = 8  # lines per set of a second-level cache
TILES_PER_COPY = 4  # register tiles that read a panel, at least, where it is copied
TILES_OF_FEW_ROWS = 8  # from so many on copies cost less than sums that are stored meanwhile
STREAMS = 16  # rows of a wide operand read side by side; prefetchers follow no more of them


def block_long_reductions(scop: ScopOp, machine: Machine, lanes: int) -> list[Rewrite]:
    """The steps for every product in `scop` whose rows or columns do not stay in the caches.

    Both operands come from outside of the kernel: what it computes itself is near already.
    """
    steps: list[Rewrite] = []
    for s in scop.statements:
        contraction, extents = contraction_of(s), box_extents(s.domain.data)
        if contraction is None or extents is None or not contraction.rows:
            continue
        steps += _steps(scop, s, contraction, extents, machine, lanes)
    return steps


def _steps(
    scop: ScopOp,
    update: StatementOp,
    contraction: Contraction,
    extents: tuple[int, ...],
    machine: Machine,
    lanes: int,
) -> list[Rewrite]:
    summed, choice = reduction_dims(update), choice_of(machine)
    if len(summed) != 1 or len(update.sources) != 3 or choice.cut == "never":
        return []
    depth, narrow, wide = summed[0], contraction.narrow, contraction.wide
    rows, columns = extents[contraction.rows[-1]], extents[contraction.vector_dim]
    tile = register_tile(machine, lanes, rows, columns)
    width = tile.vectors * lanes
    name = update.sym_name.data
    if _reads_scattered_strips(scop, update, contraction, extents, machine, tile):
        return [SplitReduction(name, depth, STREAMS)]
    if rows <= tile.rows:
        return []
    pack_wide: list[Rewrite] = []
    if panel_width(update.read_maps[wide], contraction.vector_dim) is None:
        column = _plain_position(scop, update, wide, contraction.vector_dim)
        if column is None:
            return []
        pack_wide.append(Pack(name, wide, column, width))
    position = _plain_position(scop, update, narrow, depth)
    row_bytes = _stride_bytes(update, narrow, contraction.rows[-1])
    panel_bytes = extents[depth] * width * element_bytes(update.sources[wide])
    is_near = row_bytes % ALIAS_BYTES != 0 and panel_bytes * PANEL_SHARE <= machine.l2_bytes
    about = choice.depth or DEPTH
    cut_here = choice.cut == "always" or not is_near
    if position is not None and extents[depth] >= 2 * about and cut_here:
        size = _block_size(extents[depth], lanes, about)
        return [*pack_wide, Pack(name, narrow, position, size), SplitReduction(name, depth, size)]
    step_bytes = _stride_bytes(update, wide, depth)
    is_far = _is_far(machine, extents[depth], step_bytes)
    is_read_often = machine.has_few_registers and rows >= TILES_PER_COPY * tile.rows
    crosses_lines = step_bytes % machine.vector_bytes != 0
    crowds = share_sets(extents[depth], step_bytes, machine.l2_bytes)
    return pack_wide if is_far and is_read_often and (crosses_lines or crowds) else []


def _reads_scattered_strips(
    scop: ScopOp,
    update: StatementOp,
    contraction: Contraction,
    extents: tuple[int, ...],
    machine: Machine,
    tile: RegisterTile,
) -> bool:
    """Whether register tiles of few rows walk down columns of a large wide operand in memory."""
    (depth,), wide, column = reduction_dims(update), contraction.wide, contraction.vector_dim
    rows, element = extents[contraction.rows[-1]], element_bytes(update.sources[wide])
    strip = tile.vectors * machine.vector_bytes
    step_bytes = _stride_bytes(update, wide, depth)
    given = _plain_position(scop, update, wide, depth) is not None
    is_scattered = step_bytes > strip and _stride_bytes(update, wide, column) == element
    is_far = _is_far(machine, extents[depth], step_bytes)
    if not (given and is_scattered and is_far) or rows < 2 or extents[depth] < 2 * STREAMS:
        return False
    if rows <= tile.rows:
        return True
    stays = extents[depth] * strip * STRIP_SHARE < machine.l1_bytes
    return machine.has_few_registers and rows < TILES_OF_FEW_ROWS * tile.rows and not stays


def _is_far(machine: Machine, rows: int, step_bytes: int) -> bool:
    """Whether a wide operand of so many rows does not stay in the second-level cache."""
    return rows * step_bytes * OPERAND_SHARE > machine.l2_bytes


def share_sets(count: int, step_bytes: int, cache_bytes: int) -> bool:
    """Whether `count` lines that lie `step_bytes` apart are more than the sets of a cache hold
    which they fall into: with 8 ways, 256 lines of 2048 bytes fill those of 512 KiB."""
    if step_bytes % LINE_BYTES:
        return False
    sets = cache_bytes // (WAYS * LINE_BYTES)
    return count > WAYS * sets // gcd(step_bytes // LINE_BYTES, sets)


def _plain_position(scop: ScopOp, update: StatementOp, k: int, dim: int) -> int | None:
    """The only array dim of argument `k` that `dim` indexes, plainly; None for anything else."""
    array: SSAValue = update.sources[k]
    if not isinstance(array, BlockArgument) or scop.roles.data[array.index].data != "in":
        return None
    users = [p for p, e in enumerate(update.read_maps[k].results) if dim in e.used_dims()]
    if len(users) != 1 or plain_dim(update.read_maps[k].results[users[0]]) != dim:
        return None
    return users[0]


def _stride_bytes(update: StatementOp, k: int, dim: int) -> int:
    array = update.sources[k]
    assert isinstance(array.type, MemRefType)
    return (stride(array, update.read_maps[k], dim) or 0) * element_bytes(array)


def _block_size(extent: int, lanes: int, depth: int) -> int:
    """Blocks of about `depth` iterations, as equal as whole vectors are, an odd number of these:
    rows of such blocks lie in different cache sets."""
    blocks = round(extent / depth)
    vectors = ceil(extent / blocks / lanes)
    return lanes * (vectors + 1 - vectors % 2)
