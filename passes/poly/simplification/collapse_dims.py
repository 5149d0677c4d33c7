"""Drop loops of one iteration and merge neighbouring dims that are always walked together.

before: t[i0, i1, i2] = x[i0, i1, i2] + y[i2]   over 8 x 128 x 384
after:  t[i0, i1] = x[i0, i1] + y[i1]           over 1024 x 384

The shapes of kernel arguments change with it; their bytes do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import (
    AffineMapAttr,
    ArrayAttr,
    IntAttr,
    ModuleOp,
    StringAttr,
)
from xdsl.ir import SSAValue
from xdsl.ir.affine import (
    AffineBinaryOpExpr,
    AffineBinaryOpKind,
    AffineConstantExpr,
    AffineExpr,
    AffineMap,
)
from xdsl.passes import ModulePass

from ....dialects.poly import IndexOp, ScopOp, StatementOp, arrays_of
from ..affine_maps import plain_dim, substitute
from ..array_shapes import set_shape, shape_of
from ..sets import box_extents, box_like, depends_on_sizes

ArrayPair = tuple[SSAValue, int]
StatementPair = tuple[StatementOp, int, int]


def is_indirect(array: SSAValue) -> bool:
    """Whether a body reads `array` at computed indices."""
    return any(not isinstance(use.operation, StatementOp) for use in array.uses)


def _accesses(statement: StatementOp) -> list[tuple[SSAValue, AffineMap]]:
    return [
        (statement.target, statement.write.data),
        *zip(statement.sources, statement.read_maps, strict=True),
    ]


def _set_dims(statement: StatementOp, dims: Sequence[AffineExpr], extents: Sequence[int]) -> None:
    """Rename the iteration dims: old dim d is dims[d] over the new dims with `extents`."""
    rank = len(extents)
    statement.properties["write"] = AffineMapAttr(substitute(statement.write.data, dims, rank))
    statement.properties["reads"] = ArrayAttr(
        [AffineMapAttr(substitute(m, dims, rank)) for m in statement.read_maps]
    )
    domain = box_like(extents, statement.domain.data)
    statement.properties["domain"] = StringAttr(domain)


def _drop_results(statement: StatementOp, array: SSAValue, kept: Sequence[int]) -> None:
    def drop(map: AffineMap) -> AffineMapAttr:
        return AffineMapAttr(
            AffineMap(map.num_dims, map.num_symbols, tuple(map.results[k] for k in kept))
        )

    if statement.target is array:
        statement.properties["write"] = drop(statement.write.data)
    statement.properties["reads"] = ArrayAttr(
        [
            drop(m) if source is array else AffineMapAttr(m)
            for source, m in zip(statement.sources, statement.read_maps, strict=True)
        ]
    )


def _without_wrapping(expr: AffineExpr, extents: Sequence[int]) -> AffineExpr:
    """`expr` where dims that stay below n are themselves modulo n, and 0 divided by it."""
    if not isinstance(expr, AffineBinaryOpExpr):
        return expr
    lhs, rhs = (_without_wrapping(e, extents) for e in (expr.lhs, expr.rhs))
    match expr.kind, plain_dim(lhs), rhs:
        case AffineBinaryOpKind.Mod, int(dim), AffineConstantExpr(value=n) if extents[dim] <= n:
            return lhs
        case AffineBinaryOpKind.FloorDiv, int(dim), AffineConstantExpr(value=n) if (
            extents[dim] <= n
        ):
            return AffineExpr.constant(0)
        case _:
            return AffineBinaryOpExpr(expr.kind, lhs, rhs)


def _unwrap(statement: StatementOp, extents: Sequence[int]) -> None:
    """Channels of a single block, c mod 16 of 16, are indexed by themselves."""

    def unwrap(map: AffineMap) -> AffineMapAttr:
        results = tuple(_without_wrapping(e, extents) for e in map.results)
        return AffineMapAttr(AffineMap(map.num_dims, map.num_symbols, results))

    statement.properties["write"] = unwrap(statement.write.data)
    statement.properties["reads"] = ArrayAttr([unwrap(m) for m in statement.read_maps])


def drop_unit_dims(scop: ScopOp) -> None:
    """Remove loops of extent 1 and array dims of size 1."""
    for statement in scop.statements:
        extents = box_extents(statement.domain.data)
        if extents is None:
            continue
        if not depends_on_sizes(extents):
            _unwrap(statement, extents)
        if 1 not in extents:
            continue
        indexed = {op.dim.data for op in statement.body.block.ops if isinstance(op, IndexOp)}
        kept = [d for d, n in enumerate(extents) if n != 1 or d in indexed]
        dims: list[AffineExpr] = [AffineExpr.constant(0)] * len(extents)
        for new, old in enumerate(kept):
            dims[old] = AffineExpr.dimension(new)
        _set_dims(statement, dims, [extents[d] for d in kept])
        for op in statement.body.block.ops:
            if isinstance(op, IndexOp):
                op.properties["dim"] = IntAttr(kept.index(op.dim.data))
    for array in arrays_of(scop):
        shape = shape_of(array)
        if 1 not in shape or is_indirect(array):
            continue
        kept = [d for d, n in enumerate(shape) if n != 1]
        for statement in scop.statements:
            if statement.target is array or array in statement.sources:
                _drop_results(statement, array, kept)
        set_shape(array, [shape[d] for d in kept])


def _pair_at(access: AffineMap, position: int) -> tuple[int, int] | None:
    a, b = plain_dim(access.results[position]), plain_dim(access.results[position + 1])
    return None if a is None or b is None or a == b else (a, b)


def _is_mergeable(
    statement: StatementOp, extents: Sequence[int], a: int, b: int, pairs: set[ArrayPair]
) -> bool:
    """Whether dims a, b of the statement occur only side by side, in pairs that may merge."""
    for op in statement.body.block.ops:
        if isinstance(op, IndexOp) and op.dim.data in (a, b):
            return False
    for array, access in _accesses(statement):
        seen = False
        for p, expr in enumerate(access.results):
            used = set(expr.used_dims()) & {a, b}
            if not used:
                continue
            if (
                not seen
                and p + 1 < len(access.results)
                and _pair_at(access, p) == (a, b)
                and (array, p) in pairs
                and shape_of(array)[p + 1] == extents[b]
                and not depends_on_sizes((shape_of(array)[p + 1], extents[b]))
            ):
                seen = True
            elif not (seen and p > 0 and _pair_at(access, p - 1) == (a, b)):
                return False
    return True


def _mergeable_pairs(scop: ScopOp, extents: dict[StatementOp, tuple[int, ...]]) -> set[ArrayPair]:
    """Array dim pairs (array, p) such that p and p + 1 can become one everywhere: a fixpoint."""
    pairs = {
        (array, p)
        for array in arrays_of(scop)
        if not is_indirect(array)
        for p in range(len(shape_of(array)) - 1)
    }
    changed = True
    while changed:
        changed = False
        for statement in scop.statements:
            for array, access in _accesses(statement):
                for p in range(len(access.results) - 1):
                    if (array, p) not in pairs:
                        continue
                    dims = _pair_at(access, p)
                    if dims is None or not _is_mergeable(
                        statement, extents[statement], *dims, pairs
                    ):
                        pairs.discard((array, p))
                        changed = True
    return pairs


def _component(
    scop: ScopOp, pairs: set[ArrayPair], start: ArrayPair
) -> tuple[set[ArrayPair], set[StatementPair]]:
    """All array pairs and statement pairs that merge together with `start`."""
    arrays, statements = {start}, set[StatementPair]()
    changed = True
    while changed:
        changed = False
        for statement in scop.statements:
            for array, access in _accesses(statement):
                for p in range(len(access.results) - 1):
                    if (array, p) not in pairs:
                        continue
                    dims = _pair_at(access, p)
                    assert dims is not None
                    key = (statement, *dims)
                    if ((array, p) in arrays) == (key in statements):
                        continue
                    arrays.add((array, p))
                    statements.add(key)
                    changed = True
    return arrays, statements


def _overlap(arrays: set[ArrayPair], statements: set[StatementPair]) -> bool:
    """Whether two pairs of one array or statement share a dim (then only one can merge now)."""
    for array, p in arrays:
        if (array, p + 1) in arrays:
            return True
    seen: set[tuple[StatementOp, int]] = set()
    for statement, a, b in statements:
        if (statement, a) in seen or (statement, b) in seen:
            return True
        seen |= {(statement, a), (statement, b)}
    return False


def _merge(
    scop: ScopOp,
    arrays: set[ArrayPair],
    statements: set[StatementPair],
    extents: dict[StatementOp, tuple[int, ...]],
) -> None:
    for statement in scop.statements:
        mine = [(a, b) for s, a, b in statements if s is statement]
        if not mine and all(a not in (statement.target, *statement.sources) for a, _ in arrays):
            continue
        old = extents[statement]
        inner = {b: a for a, b in mine}
        kept = [d for d in range(len(old)) if d not in inner]
        merged = {a: old[a] * old[b] for a, b in mine}
        dims: list[AffineExpr] = [AffineExpr.constant(0)] * len(old)
        for new, d in enumerate(kept):
            dims[d] = AffineExpr.dimension(new)
        _set_dims(statement, dims, [merged.get(d, old[d]) for d in kept])
        for op in statement.body.block.ops:
            if isinstance(op, IndexOp):
                op.properties["dim"] = IntAttr(kept.index(op.dim.data))
        for array in {a for a, _ in _accesses(statement)}:
            gone = {p + 1 for a, p in arrays if a is array}
            if gone:
                rank = len(shape_of(array))
                _drop_results(statement, array, [p for p in range(rank) if p not in gone])
    for array in {a for a, _ in arrays}:
        shape = list(shape_of(array))
        for p in sorted((p for a, p in arrays if a is array), reverse=True):
            shape[p : p + 2] = [shape[p] * shape[p + 1]]
        set_shape(array, shape)


def collapse_dims(scop: ScopOp) -> None:
    """Drop unit dims, then merge dims until none can be merged.

    Statements with shared loops keep their dims: a position counts them.
    """
    if not scop.is_sequence_of_nests:
        return
    drop_unit_dims(scop)
    refused: set[ArrayPair] = set()
    while True:
        extents: dict[StatementOp, tuple[int, ...]] = {}
        for statement in scop.statements:
            box = box_extents(statement.domain.data)
            if box is None:
                return
            extents[statement] = box
        pairs = _mergeable_pairs(scop, extents)
        start = next(
            (
                (array, p)
                for array in arrays_of(scop)
                for p in range(len(shape_of(array)) - 1)
                if (array, p) in pairs and (array, p) not in refused
            ),
            None,
        )
        if start is None:
            return
        arrays, statements = _component(scop, pairs, start)
        if _overlap(arrays, statements):
            refused |= arrays
            continue
        _merge(scop, arrays, statements, extents)
        refused.clear()


@dataclass(frozen=True)
class CollapseDimsPass(ModulePass):
    """Collapse dims in every scop."""

    name = "collapse-dims"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for scop in op.ops:
            if isinstance(scop, ScopOp):
                collapse_dims(scop)
