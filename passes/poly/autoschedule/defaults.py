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
from .time_tiles import Shape, TimeTile, tile_time

FEWEST_STEPS = 8  # time steps below which tiles have no time to pay
JAM = 4  # rows that share loads: more take too many registers
SHORT_EDGE = 16  # extent of a tile along hyperplanes that cannot hold whole planes


def default_choice(scheduled: ScheduledScop, machine: Machine, threads: int) -> Choice:
    """Time tiles that fit into the second-level cache where there are time loops; else separate
    nests, of which deep ones are tiled."""
    tile = default_time_tile(scheduled, machine)
    if tile is not None:
        return Choice(base="original", time_tile=tile, jam=JAM)
    return Choice(base="distributed", peel=True, tile=32, vector_tile=512, jam=JAM)


def default_time_tile(scheduled: ScheduledScop, machine: Machine) -> TimeTile | None:
    """Tiles for the first loop over time that has any and whose arrays do not fit into the
    first-level cache."""
    for band in top_level_bands(original_tree(scheduled.scop)):
        loop = time_loop(scheduled.scop, band)
        if loop is None or scheduled.extent(band) < FEWEST_STEPS:
            continue
        shapes: tuple[Shape, ...] = ("diamond", "leaning")
        for shape in shapes:
            tile = _sized(scheduled, loop, machine, shape)
            if tile is None:
                continue
            try:
                tile_time(scheduled, band, tile, parallel=False)
            except IllegalScheduleError:
                continue
            return tile
    return None


def top_level_bands(tree: Node) -> list[Band]:
    """The bands that no other band is around."""
    nodes = tree.children if isinstance(tree, Chain) else (tree,)
    return [node for node in nodes if isinstance(node, Band)]


def _sized(
    scheduled: ScheduledScop, loop: TimeLoop, machine: Machine, shape: Shape
) -> TimeTile | None:
    """A tile of the kind `shape` that keeps the second-level cache three quarters full."""
    arrays: set[SSAValue] = {
        array
        for name, _ in loop.band.exprs
        for array in (scheduled.statements[name].target, *scheduled.statements[name].sources)
        if len(_shape(array)) == len(loop.space)
    }
    if sum(prod(_shape(a)) * element_bytes(a) for a in arrays) <= machine.l1_bytes:
        return None
    budget = 3 * machine.l2_bytes // 4
    planes = sum(prod(_shape(a)[1:]) * element_bytes(a) for a in arrays)
    edge = budget // max(1, planes)
    if len(loop.space) == 1:
        edge = budget // (2 * sum(element_bytes(a) for a in arrays))
        height = min(edge, scheduled.extent(loop.band))
        return TimeTile(shape, (height, edge) if shape == "leaning" else (height, height))
    if edge >= SHORT_EDGE:
        edge -= edge % 4
        return TimeTile(shape, (edge // 2, edge // 2) if shape == "leaning" else (edge, edge))
    lines = sum(prod(_shape(a)[2:]) * element_bytes(a) for a in arrays)
    # A tile leans by its height as it goes up, so its base is wider than its cross-section.
    width = max(4, budget // max(1, lines * SHORT_EDGE) - SHORT_EDGE)
    return TimeTile(shape, (SHORT_EDGE, SHORT_EDGE, width - width % 4))


def _shape(array: SSAValue) -> tuple[int, ...]:
    assert isinstance(array.type, MemRefType)
    return array.type.get_shape()
