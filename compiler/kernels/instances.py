"""How much a scop computes: an upper bound of its statement instances, and of its longest sum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from ...dialects.poly import ScopOp, StatementOp
from ...passes.poly.sets import at_sizes, isl


@dataclass(frozen=True)
class Instances:
    """Upper bounds: statement instances, and updates of one element by one statement."""

    count: int
    reduction_length: int


def instances_of(scop: ScopOp, sizes: Sequence[int] = ()) -> Instances:
    """The bounds of `scop` for these sizes, from the box around each domain."""
    count, longest = 0, 1
    for s in scop.statements:
        extents = hull_extents(s, sizes)
        count += prod(extents)
        if s.reduction is not None:
            kept = s.write.data.used_dims()
            longest = max(longest, prod(n for d, n in enumerate(extents) if d not in kept))
    return Instances(count, longest)


def hull_extents(statement: StatementOp, sizes: Sequence[int]) -> list[int]:
    """Extents of the box around the domain of `statement`; zeros where it has no instance."""
    domain = at_sizes(isl.Set(statement.domain.data), sizes)
    rank = domain.dim(isl.dim_type.set)
    if domain.is_empty():
        return [0] * max(1, rank)
    return [
        domain.dim_max_val(d).to_python() - domain.dim_min_val(d).to_python() + 1
        for d in range(rank)
    ]
