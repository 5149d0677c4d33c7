"""Sums over blocks of channels in passes, each over the channels whose vectors stay in the
first-level cache while all positions go by.

before: acc[o, y, x, l] += in[k, y + r, x + q] * w[o, k, r, q, l]
after:  t[k / KC, o, y, x, l] += in[..] * w[..] ; acc[o, y, x, l] += t[kb, o, y, x, l]

A tile of 12 sums reads two vectors per step: from the second-level cache they come at half of the
speed that 16 registers multiply them at. Tiles of 32 registers read each of them less often.
KC depends on the shape and the machine alone, so that results do not depend on threads.
"""

from __future__ import annotations

from math import ceil, prod

from ....costmodel.hardware import Machine
from ....dialects.poly import ScopOp, StatementOp
from ....dialects.schedule import Rewrite, SplitReduction
from ..access_patterns import contraction_of, lane_dim, panel_width, reduction_dims
from ..sets import box_extents
from ..storage import element_bytes
from .choice import choice_of

USUAL_BLOCKS = 2  # of channels in a tile
PASS_SHARE = 4  # of the first-level cache: the vectors of a pass


def block_width(update: StatementOp, dim: int) -> int | None:
    """The least width of the panels that `update` reads along `dim`; None where there are none."""
    widths = (panel_width(access, dim) for access in update.read_maps[1:])
    return min((w for w in widths if w is not None), default=None)


def cut_into_passes(scop: ScopOp, machine: Machine, lanes: int) -> list[Rewrite]:
    """The steps for every sum of `scop` whose vectors leave the first-level cache."""
    if not machine.has_few_registers or choice_of(machine).cut == "never":
        return []
    found = (_step(s, machine, lanes) for s in scop.statements)
    return [step for step in found if step is not None]


def _step(update: StatementOp, machine: Machine, lanes: int) -> Rewrite | None:
    extents, contraction = box_extents(update.domain.data), contraction_of(update)
    if extents is None or contraction is None or lane_dim(update, extents, lanes) is None:
        return None
    rows = prod(extents[d] for d in contraction.rows)
    if rows <= machine.vector_registers // USUAL_BLOCKS:  # one tile reads its vectors once
        return None
    summed = reduction_dims(update)
    in_blocks = [(d, w) for d in summed if (w := block_width(update, d)) and extents[d] > w]
    if not in_blocks:
        return None
    dim, width = in_blocks[0]
    inside = {*summed, contraction.vector_dim} & update.read_maps[contraction.wide].used_dims()
    vectors = prod(extents[d] for d in inside) * element_bytes(update.sources[contraction.wide])
    passes = ceil(USUAL_BLOCKS * vectors * PASS_SHARE / machine.l1_bytes)
    blocks = ceil(extents[dim] / width)
    if passes == 1:
        return None
    return SplitReduction(update.sym_name.data, dim, ceil(blocks / passes) * width)
