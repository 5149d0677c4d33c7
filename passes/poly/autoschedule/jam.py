"""Unroll-and-jam: several iterations of the loop around the innermost one at a time.

before: for i: vector j: S(i, j)
after:  for ib: vector j: S(4 ib, j); S(4 ib + 1, j); S(4 ib + 2, j); S(4 ib + 3, j)

What neighbouring iterations of i read alike is loaded once (Callahan, Carr & Kennedy 1990). A
recurrence along j has no lanes; there the copies run skewed, each a few iterations of j behind the
one before, which gives the processor that many independent chains:

before: for i: for j: S(i, j)
after:  for ib: for j: S(4 ib, j); S(4 ib + 1, j - s); S(4 ib + 2, j - 2 s); ...
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

from xdsl.dialects.builtin import MemRefType
from xdsl.ir import SSAValue
from xdsl.ir.affine import AffineMap

from ....dialects.poly import StatementOp
from ....dialects.schedule import Band, Chain, Kind, Leaf, Node, bands_of, chain, statements_of
from ..access_patterns import stride
from ..affine_maps import row_major_strides
from ..sets import IslSet, dims, isl
from .nest import ScheduledScop

LONGEST_LAG = 3  # iterations between neighbouring copies of a recurrence
CHAINS = 2  # times as many copies of a recurrence: they wait for results, not for registers


def unroll_and_jam(scheduled: ScheduledScop, tree: Node, factor: int) -> Node:
    """`tree` with the loop around each innermost one jammed by `factor` where that is legal and
    something is reused, or a recurrence gains chains."""
    return tree if factor < 2 else _visit(scheduled, tree, (), factor)


def _visit(scheduled: ScheduledScop, node: Node, outer: tuple[Band, ...], factor: int) -> Node:
    match node:
        case Leaf():
            return node
        case Chain(children):
            return chain([_visit(scheduled, c, outer, factor) for c in children])
        case Band():
            inner = node.body
            if isinstance(inner, Band) and not any(bands_of(inner.body)):
                return _jammed(scheduled, node, inner, outer, factor)
            return replace(node, body=_visit(scheduled, inner, (*outer, node), factor))


def _jammed(
    scheduled: ScheduledScop, band: Band, inner: Band, outer: tuple[Band, ...], factor: int
) -> Node:
    if band.kind not in ("for", "parallel") or scheduled.extent(band) < 2 * factor:
        return band
    is_vector = inner.kind == "vector"
    if is_vector and not _has_reuse(scheduled, outer, band, inner, factor):
        return band
    if not is_vector and inner.kind != "for":
        return band
    if not is_vector and scheduled.extent(band) >= 2 * CHAINS * factor:
        factor *= CHAINS
    for lag in (0,) if is_vector else range(LONGEST_LAG + 1):
        # Copies of a recurrence are of use only where they do not wait for one another.
        check = _copies(band, inner, factor, lag, "unroll" if is_vector else "parallel")
        whole: Node = check if is_vector else replace(check, kind="for")
        for loop in reversed(outer):
            whole = replace(loop, exprs=_only(loop, check), body=whole)
        if not scheduled.is_legal(whole):
            continue
        if lag == 0 and not _is_rectangular(scheduled, outer, band, inner):
            return band
        return _copies(band, inner, factor, lag, "unroll")
    return band


def _only(band: Band, node: Node) -> tuple[tuple[str, str], ...]:
    names = set(statements_of(node))
    return tuple((s, e) for s, e in band.exprs if s in names)


def _copies(band: Band, inner: Band, factor: int, lag: int, kind: Kind) -> Band:
    """`band` in blocks of `factor` inside `inner`, each copy `lag` iterations behind the last."""
    exprs = dict(band.exprs)
    block = {s: f"floor(({e})/{factor})" for s, e in exprs.items()}
    copy = {s: f"({e}) - {factor}*{block[s]}" for s, e in exprs.items()}
    copies = Band(f"{band.axis}_u", tuple(copy.items()), inner.body, kind)
    skewed = tuple((s, f"{e} + {lag}*({copy[s]})" if lag else e) for s, e in inner.exprs)
    jammed = replace(inner, exprs=skewed, body=copies)
    return Band(f"{band.axis}_b", tuple(block.items()), jammed, band.kind)


def _is_rectangular(
    scheduled: ScheduledScop, outer: tuple[Band, ...], band: Band, inner: Band
) -> bool:
    """Whether the bounds of `inner` are the same in neighbouring iterations of `band`: of four
    instances at the corners of a unit square, three are never without the fourth."""
    path = (*outer, band, inner)
    for name in statements_of(inner):
        one = scheduled.direction(name, path, band)
        two = scheduled.direction(name, path, inner)
        if one is None or two is None:
            return False
        both = [a + b for a, b in zip(one, two, strict=True)]
        here = scheduled.domains[name]
        corners = [here, *(_moved_back(here, name, move) for move in (one, two, both))]
        for k, corner in enumerate(corners):
            first, second, third = (c for m, c in enumerate(corners) if m != k)
            if not first.intersect(second).intersect(third).is_subset(corner):
                return False
    return True


def _moved_back(domain: IslSet, name: str, move: Sequence[int]) -> IslSet:
    """The points from which `move` leads into `domain`."""
    here = dims(len(move))
    there = ", ".join(f"{i} + {m}" for i, m in zip(here, move, strict=True))
    step = isl.Map(f"{{ {name}[{', '.join(here)}] -> {name}[{there}] }}")
    return domain.apply(step.reverse())


def _has_reuse(
    scheduled: ScheduledScop,
    outer: tuple[Band, ...],
    band: Band,
    inner: Band,
    factor: int,
) -> bool:
    """Whether iterations of `band` less than `factor` apart access one element, which `inner`
    does not keep in a register anyway."""
    for name in statements_of(inner):
        path = (*outer, band, inner)
        step, along = (scheduled.direction(name, path, loop) for loop in (band, inner))
        if step is None or along is None:
            continue
        if _repeats(scheduled.statements[name], step, along, factor):
            return True
    return False


def _repeats(
    statement: StatementOp, step: Sequence[int], inner: Sequence[int], factor: int
) -> bool:
    accesses = list(
        zip(
            (statement.target, *statement.sources),
            (statement.write.data, *statement.read_maps),
            strict=True,
        )
    )
    if any(_along(a, m, step) == 0 and _along(a, m, inner) != 0 for a, m in accesses):
        return True
    for (array, one), (other, two) in combinations(accesses[1:], 2):
        move = _along(array, one, step)
        if array is not other or not move or _along(other, two, step) != move:
            continue
        apart = abs(_origin(array, one) - _origin(other, two))
        if apart and apart % abs(move) == 0 and apart // abs(move) < factor:
            return True
    return False


def _along(array: SSAValue, access: AffineMap, step: Sequence[int]) -> int | None:
    """Elements between accesses that are `step` apart; None where that varies."""
    strides = [stride(array, access, d) for d in range(len(step))]
    if any(s is None for s in strides):
        return None
    return sum(c * s for c, s in zip(step, strides, strict=True) if s is not None)


def _origin(array: SSAValue, access: AffineMap) -> int:
    """The element that iteration zero accesses, counted from the start of the array."""
    assert isinstance(array.type, MemRefType)
    strides = row_major_strides(array.type.get_shape())
    index = access.eval([0] * access.num_dims, [])
    return sum(i * s for i, s in zip(index, strides, strict=True))
