"""Long reductions in stages: many threads add up parts, fewer add up those, a warp the last ones.

before: s = 0 ; for k: s += x[k]
after:  p[l] = 0 ; for k: p[k mod 16384] += x[k] ; q[m] = 0 ; for l: q[l mod 512] += p[l]
        s = 0 ; for m: s += q[m]

Neighbouring threads read neighbours. The order of additions is fixed by the shape alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from ....dialects.poly import ScopOp, StatementOp
from ..access_patterns import parallel_dims
from ..rules.rfactor import rfactor
from ..sets import box_extents
from .rows import rows_of

LONG = 256  # terms; what is shorter one thread adds up
THREADS = 16384  # of a stage: some per multiprocessor of any device
LAST = 512  # terms of the last stage
WARP = 32
TERMS = 4  # that a thread adds up at least


def stage_reductions(scop: ScopOp, statements: Sequence[StatementOp]) -> bool:
    """Factor the long reductions among `statements`, unless rows of warps do all of `scop`; whether
    there were any."""
    if rows_of(scop) is not None:
        return False
    staged = [_stage(scop, s) for s in statements if s.reduction is not None]
    return any(staged)


def _stage(scop: ScopOp, statement: StatementOp) -> bool:
    extents = box_extents(statement.domain.data)
    assert extents is not None
    parallel = set(parallel_dims(statement))
    reduced = [d for d in range(statement.rank) if d not in parallel]
    if not reduced:
        return False
    dim = reduced[-1]
    rows = prod(extents[d] for d in parallel)
    if extents[dim] < LONG or rows >= THREADS:
        return False
    lanes = WARP
    while 2 * lanes * rows <= THREADS and 2 * lanes * TERMS <= extents[dim]:
        lanes *= 2
    if not rfactor(scop, statement, dim, lanes, chains=1):
        return False
    if lanes > 2 * LAST:
        name = f"{statement.sym_name.data}c"
        added = next(s for s in scop.statements if s.sym_name.data == name)
        rfactor(scop, added, added.rank - 1, LAST, chains=1)
    return True
