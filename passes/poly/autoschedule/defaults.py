"""The choice that the machine suggests for a scop, without a search."""

from __future__ import annotations

from math import prod

from xdsl.dialects.builtin import MemRefType
from xdsl.ir import SSAValue

from ....costmodel.hardware import Machine
from ....dialects.errors import IllegalScheduleError
from ....dialects.schedule import Band, Chain, Node
from ..primitives import original_tree
from ..storage import element_bytes
from .choice import Choice
from .hyperplanes import TimeLoop, time_loop
from .nest import ScheduledScop
from .parallel_loops import shares_pay
from .time_tiles import Shape, TimeTile, tile_time

FEWEST_STEPS = 8  # time steps below which tiles have no time to pay
JAM = 4  # rows that share loads: more take too many registers
ROWS = 8  # tiles of whole blocks of rows that `jam` makes
TILES_PER_THREAD = 2  # on a diagonal, so that few iterations wait for the last of them
SHORT_EDGE = 16  # extent of a tile along hyperplanes that cannot hold whole planes


def default_choice(scheduled: ScheduledScop, machine: Machine, threads: int) -> Choice:
    """Time tiles that fit into the second-level cache where there are time loops; else separate
    nests, of which deep ones are tiled."""
    tile = default_time_tile(scheduled, machine, threads)
    if tile is not None:
        return Choice(base="original", time_tile=tile, jam=JAM)
    return Choice(base="distributed", expand=True, peel=True, tile=32, vector_tile=512, jam=JAM)


def default_time_tile(scheduled: ScheduledScop, machine: Machine, threads: int) -> TimeTile | None:
    """Tiles for the first loop over time that has any and gains from them: its arrays do not fit
    into the first-level cache, or diagonals of tiles are worth sharing among threads."""
    for band in top_level_bands(original_tree(scheduled.scop)):
        loop = time_loop(scheduled.scop, band)
        if loop is None or scheduled.extent(band) < FEWEST_STEPS:
            continue
        bytes_used = sum(prod(_shape(a)) * element_bytes(a) for a in _arrays(scheduled, loop))
        shapes: tuple[Shape, ...] = ("diamond", "leaning")
        for shape in shapes:
            tile = _sized(scheduled, loop, machine, threads, shape)
            try:
                tiled = tile_time(scheduled, band, tile, parallel=False)
            except IllegalScheduleError:
                continue
            if bytes_used > machine.l1_bytes or shares_pay(scheduled, tiled, threads):
                return tile
    return None


def top_level_bands(tree: Node) -> list[Band]:
    """The bands that no other band is around."""
    nodes = tree.children if isinstance(tree, Chain) else (tree,)
    return [node for node in nodes if isinstance(node, Band)]


def _arrays(scheduled: ScheduledScop, loop: TimeLoop) -> set[SSAValue]:
    """The arrays that extend over the whole space of `loop`."""
    return {
        array
        for name, _ in loop.band.exprs
        for array in (scheduled.statements[name].target, *scheduled.statements[name].sources)
        if len(_shape(array)) == len(loop.space)
    }


def _sized(
    scheduled: ScheduledScop, loop: TimeLoop, machine: Machine, threads: int, shape: Shape
) -> TimeTile:
    """A tile of the kind `shape` that keeps the second-level cache three quarters full, or a
    smaller one where threads would have nothing to share on a diagonal of tiles."""
    arrays = _arrays(scheduled, loop)
    budget = 3 * machine.l2_bytes // 4
    planes = sum(prod(_shape(a)[1:]) * element_bytes(a) for a in arrays)
    edge = budget // max(1, planes)
    height = scheduled.extent(loop.band)
    width = scheduled.extent(Band("x", tuple(loop.space[0].items()), loop.band.body))
    if threads > 1:
        height, width = (n // (TILES_PER_THREAD * threads) for n in (height, width))
        width = max(ROWS, width - width % ROWS)
        height = max(ROWS, height)
    if len(loop.space) == 1:
        edge = min(edge // 2, width)
        return TimeTile(shape, (min(edge, height), edge) if shape == "leaning" else (edge, edge))
    if edge >= SHORT_EDGE:
        edge -= edge % ROWS
        if shape == "leaning":
            return TimeTile(shape, (min(edge // 2, height), min(edge // 2 // ROWS * ROWS, width)))
        return TimeTile(shape, (min(edge, width), min(edge, width)))
    lines = sum(prod(_shape(a)[2:]) * element_bytes(a) for a in arrays)
    # A tile leans by its height as it goes up, so its base is wider than its cross-section.
    width = max(4, budget // max(1, lines * SHORT_EDGE) - SHORT_EDGE)
    return TimeTile(shape, (SHORT_EDGE, SHORT_EDGE, width - width % 4))


def _shape(array: SSAValue) -> tuple[int, ...]:
    assert isinstance(array.type, MemRefType)
    return array.type.get_shape()
