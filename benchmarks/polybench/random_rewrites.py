"""Random rewrites of statements to test the scheduler with."""

from __future__ import annotations

from random import Random

from tilecast.dialects.errors import IllegalScheduleError
from tilecast.dialects.poly import ArrayOp, ScopOp
from tilecast.dialects.schedule import (
    Accumulate,
    Expand,
    Pack,
    Pad,
    Precompute,
    Recompute,
    Rewrite,
    Rfactor,
    SplitDomain,
    Step,
)
from tilecast.passes.poly.dependences.dependences import array_names
from tilecast.passes.poly.scheduled import apply_schedule

from .random_schedules import FACTORS, LANES


def random_rewrite(scop: ScopOp, rng: Random) -> Rewrite | None:
    """A rewrite of a random statement, which may not apply."""
    statement = rng.choice(scop.statements)
    name, rank = statement.sym_name.data, statement.rank
    if rank == 0:
        return None
    dim, factor = rng.randrange(rank), rng.choice(FACTORS)
    operand = rng.randrange(max(1, len(statement.sources)))
    temporaries = [n for a, n in array_names(scop).items() if isinstance(a.owner, ArrayOp)]
    array = rng.choice(temporaries) if temporaries else "none"
    other = rng.choice(scop.statements).sym_name.data
    conditions = (f"i{dim} >= {factor}", f"i{dim} >= {factor}*floor(i{rank - 1}/{factor})")
    return rng.choice(
        [
            SplitDomain(name, rng.choice(conditions), f"{name}_inside"),
            Accumulate(name, dim, factor),
            Rfactor(name, dim, rng.choice(LANES)),
            Pack(name, operand, rng.randrange(2), factor),
            Precompute(name, tuple(d for d in range(rank) if d != dim)),
            Expand(array, rng.randint(1, 3)),
            Pad(array, rng.randrange(2), factor),
            Recompute(name, other, (factor,)),
        ]
    )


def random_rewrites(scop: ScopOp, rng: Random) -> list[Step]:
    """Up to two rewrites that apply, one after the other; mostly none."""
    steps: list[Step] = []
    for _ in range(rng.choice((0, 0, 0, 1, 1, 2))):
        rewritten, _ = apply_schedule(scop, steps)
        step = random_rewrite(rewritten, rng)
        try:
            if step is not None:
                apply_schedule(scop, [*steps, step])
                steps.append(step)
        except IllegalScheduleError:
            continue
    return steps
