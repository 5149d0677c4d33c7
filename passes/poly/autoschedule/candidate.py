"""One automatic schedule of a scop: a loop order, tiles, vector loops, parallel loops."""

from __future__ import annotations

from ....costmodel.hardware import Machine
from ....dialects.errors import IllegalScheduleError
from ....dialects.poly import ScopOp
from ....dialects.schedule import Band, Chain, Node, Rearrange, Step, chain, compact_text
from ..dependences.dependences import Dependences, dependences_of
from ..dependences.legality import check_schedule_is_legal
from ..primitives import original_tree
from ..rewrites.expand import expand_temporaries
from .choice import Choice
from .column_blocks import block_columns
from .defaults import default_choice
from .distribute import distribute
from .isl_scheduler import Fusion, isl_tree
from .jam import unroll_and_jam
from .nest import ScheduledScop
from .parallel_loops import parallelize
from .peel import peeled
from .right_looking import right_looking
from .tiles import tile_permutable
from .time_tiles import TimeTile, tile_time
from .vector_loops import vectorize


def candidate(
    scop: ScopOp,
    dependences: Dependences,
    machine: Machine,
    threads: int,
    choice: Choice | None = None,
) -> list[Step]:
    """The steps of the schedule that `choice` describes, by default that of the machine.

    IllegalScheduleError where the choice does not apply: no time tiles, a scop too large for isl.
    """
    scheduled = ScheduledScop(scop, dependences)
    if choice is None:
        choice = default_choice(scheduled, machine, threads)
    rewrites: list[Step] = []
    if choice.expand:
        scop = scop.clone()
        rewrites += expand_temporaries(scop)
        if rewrites:
            dependences = dependences_of(scop)
            scheduled = ScheduledScop(scop, dependences)
    if choice.peel:
        scop, splits = peeled(scheduled)
        if splits:
            rewrites += splits
            dependences = dependences_of(scop)
            scheduled = ScheduledScop(scop, dependences)
    tree = base_tree(scheduled, choice)
    if choice.vectors:
        tree = vectorize(scheduled, right_looking(scheduled, tree), machine)
    workers = threads if choice.parallel else 1
    nodes = tree.children if isinstance(tree, Chain) else (tree,)
    finished = [_finish(scheduled, node, choice, workers) for node in nodes]
    if choice.time_tile is not None and all(tile is None for _, tile in finished):
        raise IllegalScheduleError(f"no loop can be tiled in time by {choice.time_tile}")
    tree = chain([node for node, _ in finished])
    check_schedule_is_legal(tree, dependences, scheduled.ranks)
    return [*rewrites, Rearrange(compact_text(tree))]


def base_tree(scheduled: ScheduledScop, choice: Choice) -> Node:
    """The loop order that `choice` starts from."""
    match choice.base:
        case "original":
            return original_tree(scheduled.scop)
        case "distributed":
            return distribute(scheduled, original_tree(scheduled.scop))
        case "isl-max":
            fusion: Fusion = "max"
        case "isl-none":
            fusion = "none"
    return isl_tree(scheduled.scop, scheduled.dependences, fusion, choice.outer_parallel)


def _finish(
    scheduled: ScheduledScop, node: Node, choice: Choice, threads: int
) -> tuple[Node, TimeTile | None]:
    """(a nest tiled and parallel, the time tile if it has one)."""
    tile = choice.time_tile
    if tile is not None and isinstance(node, Band):
        try:
            tiled = tile_time(scheduled, node, tile, threads > 1)
            return unroll_and_jam(scheduled, tiled, choice.jam), tile
        except IllegalScheduleError:
            pass  # another nest may have such tiles
    if choice.tile or choice.vector_tile:
        node = tile_permutable(scheduled, node, choice.tile, choice.vector_tile)
    node = block_columns(scheduled, parallelize(scheduled, node, threads))
    return unroll_and_jam(scheduled, node, choice.jam), None
