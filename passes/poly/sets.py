"""Every isl idiom of the project: affine maps and domains of the IR as isl objects.

isl objects live in the default context; dimension order is that of the statement.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import islpy
from xdsl.ir.affine import (
    AffineBinaryOpExpr,
    AffineBinaryOpKind,
    AffineConstantExpr,
    AffineDimExpr,
    AffineExpr,
    AffineMap,
    AffineSymExpr,
)

from ...dialects.errors import IllegalScheduleError

isl: Any = islpy  # its stubs are incomplete; typed loosely in this one place

PARAMETER = re.compile(r"\bs\d+\b")  # how sizes that are known at run time are called

IslSet = Any
IslMap = Any
UnionMap = Any
UnionSet = Any
PwAff = Any


def dims(rank: int) -> list[str]:
    """Names of `rank` iteration dimensions."""
    return [f"i{d}" for d in range(rank)]


class Extent(int):
    """An extent that depends on sizes: `expr` over the parameters; as a number, its upper bound.

    Multiples stay extents; all other arithmetic estimates, with the bound.
    """

    expr: AffineExpr

    def __new__(cls, bound: int, expr: AffineExpr) -> Extent:
        extent = super().__new__(cls, bound)
        extent.expr = expr
        return extent

    def __mul__(self, other: int) -> int:
        if isinstance(other, Extent):
            return int(self) * int(other)
        return Extent(int(self) * other, self.expr * other)

    __rmul__ = __mul__

    def __str__(self) -> str:
        return expr_text(self.expr)


def depends_on_sizes(extents: Sequence[int]) -> bool:
    """Whether some extent is an `Extent`."""
    return any(isinstance(n, Extent) for n in extents)


def box_text(extents: Sequence[int | str]) -> str:
    """The domain text of the box 0 <= i_d < extents[d]."""
    names = dims(len(extents))
    bounds = " and ".join(f"0 <= {i} < {n!s}" for i, n in zip(names, extents, strict=True))
    return f"{declared(bounds)}{{ [{', '.join(names)}] : {bounds} }}" if extents else "{ [] }"


def box_like(extents: Sequence[int], domain: str) -> str:
    """The text of a box for the sizes for which the domain text `domain` is not empty."""
    if not depends_on_sizes(extents):
        return box_text(extents)
    return domain_text(isl.Set(box_text(extents)).intersect_params(isl.Set(domain).params()))


def domain_text(domain: IslSet) -> str:
    """The text of a domain, its dims called i0, i1, ..., its tuple anonymous."""
    domain = domain.reset_tuple_id().coalesce().remove_redundancies()
    for d, name in enumerate(dims(domain.dim(isl.dim_type.set))):
        domain = domain.set_dim_name(isl.dim_type.set, d, name)
    return str(domain)


def domain_set(text: str, name: str) -> IslSet:
    """The isl set of a domain text, its tuple called `name`."""
    return isl.Set(text).set_tuple_name(name)


def at_sizes(domain: IslSet, sizes: Sequence[int]) -> IslSet:
    """`domain` with parameter s0, s1, ... at the value of its number in `sizes`."""
    for k, size in enumerate(sizes):
        position = domain.find_dim_by_name(isl.dim_type.param, f"s{k}")
        if position >= 0:
            domain = domain.fix_val(isl.dim_type.param, position, isl.Val(size))
    domain = domain.project_out(isl.dim_type.param, 0, domain.dim(isl.dim_type.param))
    return domain


def values_of(aff: PwAff) -> IslSet:
    """The values that `aff` has on its domain. Their least and greatest come from here: isl's
    `min_val` of an expression takes none that an equation of its domain gave a fraction."""
    return isl.Map.from_pw_aff(aff).range()


@lru_cache(maxsize=4096)  # of texts: what isl makes of a set depends on what it was asked before
def box_extents(text: str) -> tuple[int, ...] | None:
    """Extents of a domain that is a box at the origin, an `Extent` where one depends on bounded
    sizes; None for any other domain."""
    domain = isl.Set(text)
    rank = domain.dim(isl.dim_type.set)
    has_sizes = domain.dim(isl.dim_type.param) > 0
    extents = []
    for d in range(rank):
        top = domain.dim_max_val(d)
        if not top.is_int():
            return None
        extent = top.to_python() + 1
        if has_sizes:
            expr = _affine_expr(domain.dim_max(d))
            if expr is None:
                return None
            varies = not isinstance(expr, AffineConstantExpr)
            extent = Extent(extent, _plus_one(expr)) if varies else extent
        extents.append(extent)
    if not domain.is_equal(isl.Set(box_text(extents)).intersect_params(domain.params())):
        return None
    return tuple(extents)


def _affine_expr(value: PwAff) -> AffineExpr | None:
    """A piecewise expression over parameters as an affine one; None where it has pieces."""
    pieces: list[Any] = []
    value.foreach_piece(lambda _, aff: pieces.append(aff))
    if len(pieces) != 1 or pieces[0].dim(isl.dim_type.div):
        return None
    (aff,) = pieces
    total: AffineExpr = AffineExpr.constant(aff.get_constant_val().to_python())
    for k in range(aff.dim(isl.dim_type.param)):
        factor = aff.get_coefficient_val(isl.dim_type.param, k).to_python()
        if factor:
            symbol = AffineExpr.symbol(int(aff.get_dim_name(isl.dim_type.param, k)[1:]))
            term = symbol if factor == 1 else symbol * factor
            is_zero = isinstance(total, AffineConstantExpr) and total.value == 0
            total = term if is_zero else term + total
    return total


def _plus_one(expr: AffineExpr) -> AffineExpr:
    match expr:
        case AffineBinaryOpExpr(
            kind=AffineBinaryOpKind.Add, lhs=rest, rhs=AffineConstantExpr(value=value)
        ):
            return rest if value == -1 else rest + (value + 1)
        case _:
            return expr + 1


def expr_text(expr: AffineExpr) -> str:
    """An affine expression (floordiv and mod by constants allowed) in isl syntax."""
    if isinstance(expr, AffineDimExpr):
        return f"i{expr.position}"
    if isinstance(expr, AffineConstantExpr):
        return str(expr.value)
    if isinstance(expr, AffineSymExpr):
        return f"s{expr.position}"
    assert isinstance(expr, AffineBinaryOpExpr), expr
    lhs, rhs = expr_text(expr.lhs), expr_text(expr.rhs)
    match expr.kind:
        case AffineBinaryOpKind.Add:
            return f"({lhs} + {rhs})"
        case AffineBinaryOpKind.Mul:
            return f"({lhs} * {rhs})"
        case AffineBinaryOpKind.FloorDiv:
            return f"floor(({lhs}) / {rhs})"
        case AffineBinaryOpKind.CeilDiv:
            return f"(-floor((-{lhs}) / {rhs}))"
        case AffineBinaryOpKind.Mod:
            return f"(({lhs}) mod {rhs})"


def declared(text: str) -> str:
    """The declaration of the parameters s0, s1, ... that an expression uses; isl wants one."""
    names = sorted(set(PARAMETER.findall(text)))
    return f"[{', '.join(names)}] -> " if names else ""


def access_map(access: AffineMap, statement: str, array: str) -> IslMap:
    """The access relation statement[i] -> array[access(i)]."""
    source = ", ".join(dims(access.num_dims))
    target = ", ".join(expr_text(e) for e in access.results)
    return isl.Map(f"{declared(target)}{{ {statement}[{source}] -> {array}[{target}] }}")


def dim_aff(statement: str, rank: int, text: str) -> PwAff:
    """The quasi-affine expression `text` over the dims of `statement`, as a PwAff."""
    return isl.PwAff(f"{declared(text)}{{ {statement}[{', '.join(dims(rank))}] -> [{text}] }}")


def union_map(maps: Sequence[IslMap]) -> UnionMap:
    """The union of `maps`; empty for none."""
    union = isl.UnionMap("{ }")
    for one in maps:
        union = union.union(isl.UnionMap(one))
    return union


def maps_of(union: UnionMap) -> list[IslMap]:
    """The maps that `union` consists of, one per pair of tuples."""
    found: list[IslMap] = []
    union.foreach_map(found.append)
    return found


def ends_of(one: IslMap) -> tuple[str, str]:
    """The tuple names of a map: of its domain, of its range."""
    return one.get_tuple_name(isl.dim_type.in_), one.get_tuple_name(isl.dim_type.out)


def pairs_of(dependences: UnionMap) -> dict[tuple[str, str], IslMap]:
    """One relation per (source statement, sink statement)."""
    return {ends_of(one): one for one in maps_of(dependences.coalesce())}


def union_set(sets: Sequence[IslSet]) -> UnionSet:
    """The union of `sets`; empty for none."""
    union = isl.UnionSet("{ }")
    for one in sets:
        union = union.union(isl.UnionSet(one))
    return union


MOST_OPERATIONS = 30_000_000  # about ten seconds; tiled stencils in three dimensions take 1% of it


@contextmanager
def limited_operations(most: int = MOST_OPERATIONS) -> Iterator[None]:
    """Raise IllegalScheduleError where isl needs more than `most` operations in the body."""
    context = isl.DEFAULT_CONTEXT
    context.reset_operations()
    context.set_max_operations(most)
    try:
        yield
    except isl.Error:
        if _is_exhausted():
            raise IllegalScheduleError(
                f"the loops of this schedule are too complex: isl gave up after {most} operations; "
                "tile or skew fewer loops"
            ) from None
        raise
    finally:
        context.set_max_operations(0)
        context.reset_operations()


def _is_exhausted() -> bool:
    """Whether the limit is reached: then every call fails, with a message of any kind."""
    try:
        isl.Set("{ [i] : 0 <= i < 2 }")
    except isl.Error:
        return True
    return False


def condition_text(domain: IslSet) -> str:
    """The condition over i0, i1, ... that holds in `domain`, as `split_domain` takes it."""
    rank = domain.dim(isl.dim_type.set)
    for d, name in enumerate(dims(rank)):
        domain = domain.set_dim_name(isl.dim_type.set, d, name)
    text = str(domain.coalesce().move_dims(isl.dim_type.param, 0, isl.dim_type.set, 0, rank))
    return text[text.index(":") + 1 : text.rindex("}")].strip()
