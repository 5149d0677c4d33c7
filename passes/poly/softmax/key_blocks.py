"""Which sums weighted by a softmax work in blocks of keys, and how many keys a block has.

Rows of scores that stay in cache are not worth the rescaling.
"""

from __future__ import annotations

from collections.abc import Sequence

from ....costmodel.hardware import Machine
from ....dialects.poly import ScopOp
from ..access_patterns import contraction_of
from ..rules.reduced_blocks import block_height
from ..rules.register_tiles import register_tile
from ..rules.rfactor import UNROLL
from ..sets import box_extents
from ..storage import element_bytes
from .online_softmax import online_softmax
from .skip_masked_keys import masked_scores
from .softmax_sums import SoftmaxSums, softmax_sums

SCORE_ARRAYS = 2  # scores and their exponentials
ROWS_SHARE = 16  # of the second-level cache: more for the score rows of one tile, and blocks win
BLOCK_SHARE = 4  # of the second-level cache: for a block of scores, its keys and its values
SMALLEST_BLOCK = 32
MASKED_VECTORS = (
    2  # that a causal mask shows or hides together: a panel, as register tiles are wide
)


def keys_per_granule(lanes: int) -> int:
    """Keys that a causal mask shows or hides together: panels of both products stay whole."""
    return max(SMALLEST_BLOCK, MASKED_VECTORS * lanes)


def masked_sums(scop: ScopOp, blocked: Sequence[SoftmaxSums]) -> list[SoftmaxSums]:
    """The softmax-weighted sums, `blocked` or in whole rows, that a comparison of iteration numbers
    masks."""
    whole = [sums for s in scop.statements if (sums := softmax_sums(scop, s)) is not None]
    return [sums for sums in [*blocked, *whole] if masked_scores(scop, sums) is not None]


def keys_per_block(scop: ScopOp, found: SoftmaxSums, machine: Machine, lanes: int) -> int | None:
    """Keys of a block for `found`; None where whole rows are better."""
    tile = None
    width = 0
    for one in found.sums:
        contraction = contraction_of(one.sum.update)
        extents = box_extents(one.sum.update.domain.data)
        assert extents is not None
        if contraction is None or not contraction.rows:
            continue
        width = extents[contraction.vector_dim]
        rows = max(extents[d] for d in contraction.rows)
        tile = register_tile(machine, lanes, rows, width)
    if tile is None:
        return None
    element = element_bytes(found.scores)
    row_bytes = SCORE_ARRAYS * tile.rows * found.extent * element
    if row_bytes * ROWS_SHARE <= machine.l2_bytes:
        return None
    read_bytes = 2 * width * element  # by each key
    height = block_height(machine, tile.rows, found.extent * read_bytes)
    per_key = SCORE_ARRAYS * height * element + read_bytes
    size = max(SMALLEST_BLOCK, UNROLL * lanes)
    while 2 * size * per_key * BLOCK_SHARE <= machine.l2_bytes:
        size *= 2
    return size if size < found.extent else None


def block_keys(scop: ScopOp, machine: Machine, lanes: int) -> list[SoftmaxSums]:
    """Rewrite the softmax-weighted sums of `scop` that win by it to blocks of keys."""
    rewritten = []
    for update in scop.statements:
        found = softmax_sums(scop, update)
        size = None if found is None else keys_per_block(scop, found, machine, lanes)
        if found is not None and size is not None:
            online_softmax(scop, found, size)
            rewritten.append(found)
    return rewritten
