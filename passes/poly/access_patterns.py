"""What a statement's accesses say about it: strides, the dim to vectorize, contractions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from xdsl.dialects import arith
from xdsl.dialects.builtin import AnyFloat, FixedBitwidthType
from xdsl.ir import BlockArgument, Operation, SSAValue
from xdsl.ir.affine import (
    AffineBinaryOpExpr,
    AffineBinaryOpKind,
    AffineConstantExpr,
    AffineDimExpr,
    AffineExpr,
    AffineMap,
)

from ...dialects.pairs import DotOp
from ...dialects.poly import ScopOp, StatementOp, YieldOp
from .affine_maps import plain_dim, row_major_strides
from .array_shapes import largest_shape
from .sets import box_extents
from .storage import element_bytes

FACTORS_OF = arith.MulfOp | arith.MuliOp | arith.NegfOp | arith.ExtFOp | arith.TruncFOp | DotOp
FEW_ROWS = 6  # of an operand that share what lanes would gather; more are worth a copy in panels
LONG_ROW = 32  # elements, so that folding the lanes of a sum costs less than they save
SHORT_REDUCTION = 8  # reductions over fewer iterations are not worth lanes
# Of a short last dim, which are interleaved in registers: each takes a shuffle per vector.
COLUMNS = range(2, 5)


def coefficient(expr: AffineExpr, dim: int) -> int | None:
    """d expr / d dim where `expr` is affine in it; None where dim is under floordiv or mod."""
    match expr:
        case AffineDimExpr():
            return int(expr.position == dim)
        case AffineConstantExpr():
            return 0
        case AffineBinaryOpExpr(kind=AffineBinaryOpKind.Add):
            lhs, rhs = coefficient(expr.lhs, dim), coefficient(expr.rhs, dim)
            return None if lhs is None or rhs is None else lhs + rhs
        case AffineBinaryOpExpr(kind=AffineBinaryOpKind.Mul):
            lhs = coefficient(expr.lhs, dim)
            if lhs is None or not isinstance(expr.rhs, AffineConstantExpr):
                return None
            return lhs * expr.rhs.value
        case _:
            return 0 if dim not in expr.used_dims() else None


def stride(array: SSAValue, access: AffineMap, dim: int) -> int | None:
    """Elements between the accesses of neighbouring iterations of `dim`; None if not constant."""
    total = 0
    for expr, step in zip(access.results, row_major_strides(largest_shape(array)), strict=True):
        c = coefficient(expr, dim)
        if c is None:
            return None
        total += c * step
    return total


def is_part(statement: StatementOp) -> bool:
    """Whether `statement` copies or computes elements of a result one by one from neighbours that
    lie near: nothing is summed up, transposed, or filled in."""
    target, write = statement.target, statement.write.data
    apart = {d: step for d in write.used_dims() if (step := stride(target, write, d))}
    if statement.reduction is not None or not statement.sources or not apart:
        return False
    inner = min(apart, key=lambda d: abs(apart[d]))
    steps = [
        stride(array, access, inner)
        for array, access in zip(statement.sources, statement.read_maps, strict=True)
    ]
    return all(step is not None and abs(step) <= max(COLUMNS) for step in steps)


def columns_dim(statement: StatementOp, extents: Sequence[int], dim: int) -> int | None:
    """The dim over a short last dim that lies between neighbours along `dim`: vectors along `dim`,
    one per iteration of it, fill all elements together."""
    step = stride(statement.target, statement.write.data, dim)
    if step not in COLUMNS or statement.reduction is not None:
        return None
    written = statement.write.data.results[-1]
    d = plain_dim(written)
    return d if d is not None and d != dim and extents[d] == step else None


def panel_width(access: AffineMap, dim: int) -> int | None:
    """Elements along `dim` that lie side by side in panels, [.., dim floordiv w, .., dim mod w];
    None where `access` has no such panels."""
    match access.results[-1:]:
        case (
            AffineBinaryOpExpr(
                kind=AffineBinaryOpKind.Mod,
                lhs=AffineDimExpr() as lane,
                rhs=AffineConstantExpr() as width,
            ),
        ) if lane.position == dim:
            users = [e for e in access.results[:-1] if dim in e.used_dims()]
            return width.value if users == [lane // width] else None
        case _:
            return None


def parallel_dims(statement: StatementOp) -> list[int]:
    """Dims of the written element, which neither a reduction nor a recurrence runs over."""
    return sorted(statement.write.data.used_dims() - carried_dims(statement))


def carried_dims(statement: StatementOp) -> set[int]:
    """Dims along which a statement reads what it wrote at another offset, as running sums do."""
    carried: set[int] = set()
    write = statement.write.data.results
    for array, access in zip(statement.sources, statement.read_maps, strict=True):
        if array is not statement.target:
            continue
        for before, here in zip(access.results, write, strict=True):
            if before != here and before.used_dims() == here.used_dims():
                carried |= here.used_dims()
    return carried


def reduction_dims(statement: StatementOp) -> list[int]:
    """Dims that do not occur in the written element."""
    used = statement.write.data.used_dims()
    return [d for d in range(statement.rank) if d not in used]


def block_of(expr: AffineExpr) -> tuple[int, int] | None:
    """(d, c) where `expr` is `d floordiv c`."""
    match expr:
        case AffineBinaryOpExpr(
            kind=AffineBinaryOpKind.FloorDiv,
            lhs=AffineDimExpr(position=dim),
            rhs=AffineConstantExpr(value=size),
        ):
            return dim, size
        case _:
            return None


def summed_dims(statement: StatementOp) -> list[int]:
    """Dims along which iterations update the same element: all of `reduction_dims`, and those of
    which the element has blocks."""
    blocked = {block[0] for e in statement.write.data.results if (block := block_of(e))}
    return sorted({*reduction_dims(statement), *blocked})


def reduced_block(statement: StatementOp, dim: int) -> int | None:
    """The number of iterations of `dim` reduced into one element: 0 for all, c where the written
    element depends on `dim floordiv c`; None where every iteration has an element of its own."""
    sizes = {0}
    for expr in statement.write.data.results:
        block = block_of(expr)
        if block is not None and block[0] == dim:
            sizes.add(block[1])
        elif dim in expr.used_dims():
            return None
    return max(sizes)


def combining_op(statement: StatementOp) -> Operation:
    """The op that combines a reduction's accumulator with the next value."""
    terminator = statement.body.block.last_op
    assert isinstance(terminator, YieldOp)
    owner = terminator.value.owner
    assert isinstance(owner, Operation)  # extraction makes no other reductions
    return owner


@dataclass(frozen=True)
class Contraction:
    """A sum of products: `wide` is the source indexed by the vector dim, `narrow` the other one
    with the most dims; further factors do not depend on the vector dim either.

    `rows` are parallel dims that `wide` does not depend on: its loads are shared between them.
    """

    wide: int
    narrow: int
    vector_dim: int
    rows: tuple[int, ...]


def _factors(statement: StatementOp) -> list[int]:
    """The sources whose product is summed, as source numbers; none where something else is."""
    if statement.reduction is None or statement.reduction.data != "add":
        return []
    args: list[SSAValue] = list(statement.body.block.args)
    pending = [o for o in combining_op(statement).operands if o is not args[0]]
    found: list[int] = []
    while pending:
        value = pending.pop()
        if value in args:
            found.append(args.index(value))
        elif isinstance(value.owner, FACTORS_OF):
            pending += value.owner.operands
        else:
            return []
    return found if len(set(found)) == len(found) > 1 else []


def lane_dim(statement: StatementOp, extents: Sequence[int], lanes: int) -> int | None:
    """The dim of a reduction that is one vector: last index of what it writes, and contiguous or
    absent in what it reads; None where there is none."""
    if statement.reduction is None or lanes == 1 or not statement.write.data.results:
        return None
    lane = plain_dim(statement.write.data.results[-1])
    if lane is None or extents[lane] != lanes or not summed_dims(statement):
        return None
    steps = [
        stride(array, access, lane)
        for array, access in zip(statement.sources, statement.read_maps, strict=True)
    ]
    return lane if all(step in (0, 1) for step in steps) and 1 in steps[1:] else None


def contraction_of(statement: StatementOp) -> Contraction | None:
    """How to compute `statement` as a register-tiled contraction; None where it is none."""
    factors = _factors(statement)
    if not factors or _sums_into_lanes(statement):
        return None
    maps, write = statement.read_maps, statement.write.data
    parallel = parallel_dims(statement)
    for dim in sorted(parallel, key=lambda d: stride(statement.target, write, d) != 1):
        wide = [k for k in factors if dim in maps[k].used_dims()]
        if len(wide) == 1:
            shared = maps[wide[0]].used_dims()
            narrow = max(
                (k for k in factors if k != wide[0]), key=lambda k: len(maps[k].used_dims())
            )
            rows = tuple(d for d in parallel if d not in shared and d in maps[narrow].used_dims())
            found = Contraction(wide[0], narrow, dim, rows)
            return None if _is_summed_along_rows(statement, found) else found
        if stride(statement.target, write, dim) == 1:
            break
    return None


def _sums_into_lanes(statement: StatementOp) -> bool:
    """Whether iterations are added up in lanes `d mod F`, which are to become a vector."""
    match statement.write.data.results[-1:]:
        case (AffineBinaryOpExpr(kind=AffineBinaryOpKind.Mod, lhs=AffineDimExpr() as lane),):
            return panel_width(statement.write.data, lane.position) is None
        case _:
            return False


def _is_summed_along_rows(statement: StatementOp, found: Contraction) -> bool:
    """Whether each result is the sum of one contiguous row of an array that is computed or given.

    Lanes along the results would gather, and too few rows of the narrow operand share what they
    gather: such sums are reductions of a row each. Stored weights are packed instead.
    """
    wide, access = statement.sources[found.wide], statement.read_maps[found.wide]
    if stride(wide, access, found.vector_dim) in (0, 1, None) or is_weight(statement, wide):
        return False
    written = {plain_dim(e) for e in statement.write.data.results}
    summed = [d for d in range(statement.rank) if d not in written]
    along = [d for d in summed if stride(wide, access, d) == 1]
    if not along:
        return False
    extents = box_extents(statement.domain.data)
    if extents is None or max(extents[d] for d in along) < LONG_ROW:
        return False
    return prod(extents[d] for d in found.rows) <= FEW_ROWS


def is_weight(statement: StatementOp, array: SSAValue) -> bool:
    """Whether an array is stored with the program, so that it can be arranged ahead of time."""
    scop = statement.parent_op()
    if not isinstance(array, BlockArgument) or not isinstance(scop, ScopOp):
        return False
    return scop.roles.data[array.index].data == "weight"


def _score(statement: StatementOp, extents: Sequence[int], dim: int) -> int:
    """How well `dim` vectorizes: contiguous and uniform accesses count, strided ones cost.

    A reduction writes less often than it reads, so its write counts less. Panels are contiguous,
    and so are columns that are interleaved.
    """
    weight = 4 if statement.reduction is None else 1
    write = stride(statement.target, statement.write.data, dim)
    if write is None and panel_width(statement.write.data, dim) is not None:
        write = 1
    if columns_dim(statement, extents, dim) is not None:
        write = 1
    score = {1: weight, 0: 0}.get(-1 if write is None else write, -weight)
    for array, access in zip(statement.sources, statement.read_maps, strict=True):
        if array is statement.target:
            continue
        step = stride(array, access, dim)
        score += {1: 2, 0: 0}.get(-1 if step is None else step, -2)
    return score


def vector_dim(statement: StatementOp, extents: Sequence[int]) -> int | None:
    """The dim whose iterations become vector lanes; None where there is none worth it."""
    contraction = contraction_of(statement)
    if contraction is not None:
        return contraction.vector_dim
    parallel, carried = parallel_dims(statement), carried_dims(statement)
    candidates = [
        d
        for d in range(statement.rank)
        if d not in carried and extents[d] >= (2 if d in parallel else SHORT_REDUCTION)
    ]
    if not candidates:
        return None
    best = max(
        candidates, key=lambda d: (_score(statement, extents, d), d in parallel, extents[d], d)
    )
    # a chain of additions is quicker than lanes that are gathered and scattered
    return None if carried and _score(statement, extents, best) < 0 else best


def widest_in_lanes(statement: StatementOp, dim: int) -> int:
    """Bytes of the widest element that differs between lanes along `dim`; floats that `statement`
    computes count."""
    accesses = zip(
        (statement.target, *statement.sources),
        (statement.write.data, *statement.read_maps),
        strict=True,
    )
    widths = [element_bytes(array) for array, map in accesses if stride(array, map, dim) != 0]
    widths += [
        type.bitwidth // 8
        for op in statement.body.block.ops
        for type in op.result_types
        if isinstance(type, FixedBitwidthType) and isinstance(type, AnyFloat)
    ]
    return max(widths, default=1)
