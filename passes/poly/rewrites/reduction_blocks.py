"""The iterations of a reduction in blocks of one dim: the element that a block updates, its begin
and end in the original order, and whether anything else touches the element in between.

A block is begun (and ended) in the loops of the statement itself: at an iteration that is at most
(at least) every iteration of the block in every reduction dim, or, where something else runs there,
at its first (last) instance.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from xdsl.ir.affine import AffineExpr, AffineMap

from ....dialects.errors import IllegalScheduleError
from ....dialects.poly import ScopOp, StatementOp
from ....dialects.schedule import Rewrite
from ..access_patterns import reduction_dims
from ..dependences.dependences import accesses_of, array_names, original_schedule
from ..sets import IslMap, IslSet, UnionMap, access_map, dims, domain_set, domain_text, isl
from .find import refuse


@dataclass(frozen=True)
class ReductionBlocks:
    """Blocks of `factor` iterations of `dim` of a reduction; all other reduction dims are whole.

    `factor` is None where one block holds all iterations. A block is known by `key`: its number
    (only where there are several), then the dims that the write uses, in its order.
    """

    statement: StatementOp
    dim: int
    factor: int | None
    exact: bool = False

    @property
    def label(self) -> str:
        """The name of the statement."""
        return self.statement.sym_name.data

    @property
    def domain(self) -> IslSet:
        """The instances of the statement."""
        return domain_set(self.statement.domain.data, self.label)

    @property
    def element_dims(self) -> list[int]:
        """The dims that say which element is updated."""
        found: list[int] = []
        for expr in self.statement.write.data.results:
            found += [d for d in sorted(expr.used_dims()) if d not in found]
        return found

    def _limits(self, d: int) -> tuple[int, int]:
        domain = self.domain
        return domain.dim_min_val(d).to_python(), domain.dim_max_val(d).to_python()

    @property
    def key(self) -> AffineMap:
        """iteration -> index of a temporary that has an element per block, and its shape."""
        exprs = [AffineExpr.dimension(d) for d in self.element_dims]
        if self.factor is not None:
            exprs.insert(0, AffineExpr.dimension(self.dim) // self.factor)
        shifted = [
            e if low >= 0 else e + -low
            for e, (low, _) in zip(exprs, self._key_limits(), strict=True)
        ]
        return AffineMap(self.statement.rank, 0, tuple(shifted))

    @property
    def shape(self) -> tuple[int, ...]:
        """Extents of `key`."""
        return tuple(high + 1 - min(low, 0) for low, high in self._key_limits())

    def _key_limits(self) -> list[tuple[int, int]]:
        limits = [self._limits(d) for d in self.element_dims]
        if self.factor is not None:
            low, high = self._limits(self.dim)
            limits.insert(0, (low // self.factor, high // self.factor))
        return limits

    def begin(self) -> IslMap:
        """instance -> where its block begins, in the same loops."""
        if self.exact:
            return self._instances.apply_range(self._instances.reverse().lexmin())
        return self._bound(last=False)

    def end(self) -> IslMap:
        """instance -> where its block ends."""
        if self.exact:
            return self._instances.apply_range(self._instances.reverse().lexmax())
        return self._bound(last=True)

    @property
    def _instances(self) -> IslMap:
        return access_map(self.key, self.label, "block").intersect_domain(self.domain)

    def _bound(self, last: bool) -> IslMap:
        names = dims(self.statement.rank)
        exprs = list(names)
        for d in reduction_dims(self.statement):
            exprs[d] = str(self._limits(d)[last])
        if self.factor is not None:
            exprs[self.dim] = f"{self.factor} * floor({names[self.dim]} / {self.factor})"
            exprs[self.dim] += f" + {self.factor - 1}" if last else ""
        inside = f"{self.label}[{', '.join(names)}]"
        return isl.Map(f"{{ {inside} -> {self.label}[{', '.join(exprs)}] }}")

    def begin_domain(self) -> str:
        """One iteration per block: its begin."""
        return domain_text(self.domain.apply(self.begin()))

    def end_domain(self) -> str:
        """One iteration per block: its end."""
        return domain_text(self.domain.apply(self.end()))


def reduction_blocks(
    statement: StatementOp, dim: int, factor: int | None, step: Rewrite
) -> ReductionBlocks:
    """The blocks (one for all without `factor`); IllegalScheduleError where `statement` is no
    reduction over `dim`."""
    if statement.reduction is None:
        raise refuse(step, f"{statement.sym_name.data} is no reduction")
    if dim not in reduction_dims(statement):
        known = ", ".join(f"i{d}" for d in reduction_dims(statement)) or "none"
        raise refuse(step, f"expected a dim that is reduced ({known}), found i{dim}")
    domain = domain_set(statement.domain.data, "S")
    if domain.is_empty():
        raise refuse(step, f"{statement.sym_name.data} has no instances")
    low, high = (v.to_python() for v in (domain.dim_min_val(dim), domain.dim_max_val(dim)))
    if factor is not None and low // factor == high // factor:
        factor = None
    blocks = ReductionBlocks(statement, dim, factor)
    write = access_map(statement.write.data, "S", "A").intersect_domain(domain)
    elements = AffineMap(
        statement.rank, 0, tuple(AffineExpr.dimension(d) for d in blocks.element_dims)
    )
    if not access_map(elements, "S", "K").reverse().apply_range(write).is_injective():
        raise refuse(
            step, "different iterations of the dims that are not reduced update one element"
        )
    return blocks


def untouched_blocks(
    scop: ScopOp, statement: StatementOp, dim: int, factor: int | None, step: Rewrite
) -> ReductionBlocks:
    """The blocks whose elements nothing else accesses; IllegalScheduleError where there are none.

    Affine begins and ends are tried first, because they make simple loops.
    """
    blocks = reduction_blocks(statement, dim, factor, step)
    try:
        check_element_is_untouched(scop, blocks, step)
    except IllegalScheduleError:
        blocks = replace(blocks, exact=True)
        check_element_is_untouched(scop, blocks, step)
    return blocks


def check_element_is_untouched(scop: ScopOp, blocks: ReductionBlocks, step: Rewrite) -> None:
    """IllegalScheduleError where, in original order, the element of a block is accessed between the
    begin and the end of the block by anything but the block's own updates.

    Then the element can be in a temporary for that time: nothing sees the difference.
    """
    statement, label = blocks.statement, blocks.label
    element = array_names(scop)[statement.target]
    update = access_map(statement.write.data, label, element).intersect_domain(blocks.domain)
    key = access_map(blocks.key, label, "block").intersect_domain(blocks.domain)
    schedule = original_schedule(scop)
    begins, ends = (
        isl.UnionMap(key.reverse().apply_range(bound)).apply_range(schedule)
        for bound in (blocks.begin(), blocks.end())
    )
    elements = isl.UnionMap(key.reverse().apply_range(update))
    reads, writes = accesses_of(scop, without={label: 0})
    touching = reads.union(writes).apply_range(elements.reverse())
    own = isl.UnionMap(update.apply_range(elements.reverse().as_map()))
    touching = touching.union(own.subtract(isl.UnionMap(key)))
    _check_outside(touching, schedule, begins, ends, step)
    starts = isl.UnionMap(key.reverse().apply_range(blocks.begin()))
    same = elements.apply_range(elements.reverse())
    different = same.subtract(
        isl.UnionMap(isl.Map.identity(key.range().get_space().map_from_set()))
    )
    _check_outside(starts.reverse().apply_range(different), schedule, begins, ends, step)


def _check_outside(
    touching: UnionMap, schedule: UnionMap, begins: UnionMap, ends: UnionMap, step: Rewrite
) -> None:
    """No pair (instance, block) of `touching` runs between the begin and the end of the block."""
    late = schedule.lex_ge_union_map(begins)
    early = schedule.lex_le_union_map(ends)
    between: Any = touching.intersect(late).intersect(early)
    if not between.is_empty():
        raise refuse(
            step,
            "the element is accessed before its block is complete, for example "
            f"{between.sample()}; use a larger factor, another dim, or split the domain first",
        )
