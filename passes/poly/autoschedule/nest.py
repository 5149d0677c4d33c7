"""What a schedule tree looks like to the rules: perfect nests, their dependences, their sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import prod

from ....dialects.errors import IllegalScheduleError
from ....dialects.poly import ScopOp, StatementOp
from ....dialects.schedule import Band, Node, statements_of
from ..dependences.dependences import Dependences
from ..dependences.legality import check_schedule_is_legal
from ..emission.tree_to_isl import prefix_map
from ..sets import IslSet, dim_aff, domain_set, isl, pairs_of, values_of
from .advance import Pairs


@dataclass(frozen=True)
class ScheduledScop:
    """A scop with what rules ask about it: dependences in pairs, domains, extents."""

    scop: ScopOp
    dependences: Dependences
    statements: Mapping[str, StatementOp] = field(init=False)
    ranks: Mapping[str, int] = field(init=False)

    def __post_init__(self) -> None:
        by_name = {s.sym_name.data: s for s in self.scop.statements}
        object.__setattr__(self, "statements", by_name)
        object.__setattr__(self, "ranks", {name: s.rank for name, s in by_name.items()})

    @cached_property
    def order(self) -> Pairs:
        """Pairs whose order a schedule keeps."""
        return pairs_of(self.dependences.order)

    @cached_property
    def domains(self) -> Mapping[str, IslSet]:
        """The instances of each statement."""
        return {n: domain_set(s.domain.data, n) for n, s in self.statements.items()}

    def is_legal(self, tree: Node) -> bool:
        """Whether `tree`, or a part of a tree, keeps the dependences between its statements."""
        inside = self.dependences.between(statements_of(tree))
        try:
            check_schedule_is_legal(tree, inside, self.ranks)
        except IllegalScheduleError:
            return False
        return True

    def extent(self, band: Band) -> int:
        """Iterations of `band`, all outer ones together."""
        values = [
            values_of(dim_aff(name, self.ranks[name], expr).intersect_domain(self.domains[name]))
            for name, expr in band.exprs
        ]
        low = min(v.dim_min_val(0).to_python() for v in values)
        return int(max(v.dim_max_val(0).to_python() for v in values) - low + 1)

    def instances(self, statement: str) -> int:
        """About how many instances `statement` has: those of its bounding box without a dim per
        equation, and half of that where the bounds of one dim depend on another one."""
        domain = self.domains[statement]
        extents = sorted(
            domain.dim_max_val(d).to_python() - domain.dim_min_val(d).to_python() + 1
            for d in range(self.ranks[statement])
        )
        hull = domain.affine_hull()
        equations = sum(c.is_equality() for c in hull.get_constraints())
        total = prod(extents[equations:])
        return int(total if not extents or domain.is_box() else max(1, total // 2))

    def direction(self, statement: str, path: Sequence[Band], band: Band) -> list[int] | None:
        """The step over the dims of `statement` from one iteration of `band` to the next, the other
        loops of `path` standing still; None where it is not the same everywhere."""
        rank = self.ranks[statement]
        others = prefix_map(statement, rank, [b for b in path if b is not band])
        value = isl.Map.from_pw_aff(dim_aff(statement, rank, dict(band.exprs)[statement]))
        next_value = isl.Map("{ [x] -> [x + 1] }")
        domain = self.domains[statement]
        steps = (
            others.apply_range(others.reverse())
            .intersect(value.apply_range(next_value).apply_range(value.reverse()))
            .intersect_domain(domain)
            .intersect_range(domain)
            .deltas()
        )
        if steps.is_empty() or not steps.is_singleton():
            return None
        point = steps.sample_point()
        return [point.get_coordinate_val(isl.dim_type.set, d).to_python() for d in range(rank)]


def perfect_nest(node: Node) -> tuple[list[Band], Node]:
    """(the bands from `node` on of which each is the whole body of the one before, what is inside
    the last one)."""
    nest: list[Band] = []
    while isinstance(node, Band):
        nest.append(node)
        node = node.body
    return nest, node
