"""Contractions among the statements of a scop: a sum of products, and what is done with each sum.

In: statements S0: t[i] = 0, S1: t[i] += a[..] * b[..], S2: out[i] = f(t[i], c[..], ...).
Out: a `Contraction`, result[b, m, n] = f(sum over k of lhs[b, m, k] * rhs[b, n, k], sources).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

from xdsl.dialects import arith
from xdsl.dialects.builtin import Float32Type, FloatAttr
from xdsl.ir import BlockArgument, SSAValue
from xdsl.ir.affine import AffineExpr, AffineMap

from ...dialects.poly import ScopOp, StatementOp
from ...dialects.poly import YieldOp as StatementYieldOp
from ...dialects.tile.atoms import BF16, F16, F32
from ..poly.affine_maps import plain_dim, substitute
from ..poly.sets import box_extents
from .access import Access
from .scalar_body import Epilogue, epilogue_of

LEAST = 8  # columns and depth of a contraction that is worth tiles


@dataclass(frozen=True)
class Contraction:
    """Loops by what they index, with their extents, and the accesses of the arrays.

    `rows`, `columns`, `batch` and `depth` are loop numbers, slowest first. Without an `epilogue`
    the result is the sum. `statements` are what the contraction replaces.
    """

    extents: tuple[int, ...]
    batch: tuple[int, ...]
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    depth: tuple[int, ...]
    lhs: Access
    rhs: Access
    result: Access
    epilogue: Epilogue | None
    statements: tuple[StatementOp, ...]

    def extent(self, dims: Sequence[int]) -> int:
        """Iterations of the loops `dims`."""
        return prod(self.extents[d] for d in dims)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(batch, M, N, K)."""
        b, m, n, k = (self.extent(d) for d in (self.batch, self.rows, self.columns, self.depth))
        return b, m, n, k

    @property
    def arrays(self) -> list[SSAValue]:
        """lhs, rhs, sources of the epilogue, result; each array once."""
        sources = () if self.epilogue is None else self.epilogue.sources
        accesses = (self.lhs, self.rhs, *sources, self.result)
        return list(dict.fromkeys(access.array for access in accesses))


def is_sum_of_products(statement: StatementOp) -> bool:
    """Whether the statement adds the product of its other two reads, widened to f32 if narrow."""
    block = statement.body.block
    end = block.last_op
    if statement.reduction is None or statement.reduction.data != "add" or len(block.args) != 3:
        return False
    assert isinstance(end, StatementYieldOp)
    add = end.operands[0].owner
    if not isinstance(add, arith.AddfOp) or not isinstance(add.result.type, Float32Type):
        return False
    term = add.rhs if add.lhs is block.args[0] else add.lhs
    product = term.owner
    if block.args[0] not in add.operands or not isinstance(product, arith.MulfOp):
        return False
    found = [_factor(operand) for operand in product.operands]
    return found in ([1, 2], [2, 1])


def _factor(value: SSAValue) -> int | None:
    """Which argument `value` is, perhaps widened."""
    owner = value.owner
    if isinstance(owner, arith.ExtFOp):
        value = owner.input
    if not isinstance(value, BlockArgument) or value.type not in (F16, BF16, F32):
        return None
    return value.index


def is_zero_fill(statement: StatementOp, target: SSAValue) -> bool:
    """Whether `statement` sets elements of `target` to 0."""
    end = statement.body.block.last_op
    assert isinstance(end, StatementYieldOp)
    constant = end.operands[0].owner
    return (
        statement.target is target
        and not statement.sources
        and isinstance(constant, arith.ConstantOp)
        and isinstance(constant.value, FloatAttr)
        and constant.value.value.data == 0
    )


def find_contraction(scop: ScopOp, sum_: StatementOp) -> Contraction | None:
    """The contraction around the statement `sum_`; None where it is none, or not worth tiles."""
    extents = box_extents(sum_.domain.data)
    if extents is None or not is_sum_of_products(sum_) or 0 in extents:
        return None
    statements = scop.statements
    target = sum_.target
    writers = [s for s in statements if s.target is target]
    if len(writers) != 2 or writers[1] is not sum_ or not is_zero_fill(writers[0], target):
        return None
    arrays, maps = list(sum_.sources), sum_.read_maps
    lhs, rhs = (Access.of(arrays[k], maps[k]) for k in (1, 2))
    result = Access.of(target, sum_.write.data)
    if lhs is None or rhs is None or result is None or maps[0] != sum_.write.data:
        return None
    found = _split(tuple(extents), lhs, rhs, result, (writers[0], sum_))
    if found is None:
        return None
    return _with_epilogue(scop, found, sum_)


def _split(
    extents: tuple[int, ...],
    lhs: Access,
    rhs: Access,
    result: Access,
    statements: tuple[StatementOp, ...],
) -> Contraction | None:
    """Loops by the accesses that they move; None for loops that fit no class."""
    kinds: dict[tuple[bool, bool, bool], list[int]] = {}
    for d, extent in enumerate(extents):
        if extent > 1:
            moved = tuple(bool(a.strides[d]) for a in (lhs, rhs, result))
            kinds.setdefault((moved[0], moved[1], moved[2]), []).append(d)
    batch, rows, columns, depth = (
        kinds.pop(kind, [])
        for kind in (
            (True, True, True),
            (True, False, True),
            (False, True, True),
            (True, True, False),
        )
    )
    if kinds:
        return None
    unit = [d for d in (*rows, *columns) if result.strides[d] == 1]
    if (unit and unit[0] in rows) or not columns:  # the result's rows are columns of tiles
        lhs, rhs, rows, columns = rhs, lhs, columns, rows

    def slowest_first(dims: list[int], access: Access) -> tuple[int, ...]:
        return tuple(sorted(dims, key=lambda d: -access.strides[d]))

    made = Contraction(
        extents,
        slowest_first(batch, result),
        slowest_first(rows, result),
        slowest_first(columns, result),
        slowest_first(depth, rhs),
        lhs,
        rhs,
        result,
        None,
        statements,
    )
    _, _, n, k = made.shape
    return made if n >= LEAST and k >= LEAST else None


def _with_epilogue(scop: ScopOp, found: Contraction, sum_: StatementOp) -> Contraction:
    """`found` with the next statement, where that is all that reads the sums."""
    statements = scop.statements
    at = statements.index(sum_) + 1
    readers = [s for s in statements if s is not sum_ and sum_.target in s.sources]
    if at == len(statements) or readers != [statements[at]]:
        return found
    (reader,) = readers
    reads = [k for k, source in enumerate(reader.sources) if source is sum_.target]
    maps = reader.read_maps
    loops = _same_loops(reader, maps[reads[0]], sum_, found.extents)
    if loops is None or any(maps[k] != maps[reads[0]] for k in reads):
        return found
    others = [k for k in range(len(maps)) if k not in reads]
    known = [Access.of(reader.sources[k], substitute(maps[k], loops, sum_.rank)) for k in others]
    sources = [access for access in known if access is not None]
    result = Access.of(reader.target, substitute(reader.write.data, loops, sum_.rank))
    if result is None or len(sources) < len(known):
        return found
    epilogue = epilogue_of(reader, reads, others, sources)
    statements_ = (*found.statements, reader)
    made = _split(found.extents, found.lhs, found.rhs, result, statements_)
    if epilogue is None or made is None:
        return found
    return replace(made, epilogue=epilogue)


def _same_loops(
    reader: StatementOp, read: AffineMap, sum_: StatementOp, extents: Sequence[int]
) -> list[AffineExpr] | None:
    """The loop of `sum_` that each loop of `reader`, which reads each sum once, corresponds to."""
    domain = box_extents(reader.domain.data)
    if domain is None or reader.reduction is not None or reader.target is sum_.target:
        return None
    loops: dict[int, AffineExpr] = {}
    for own, other in zip(read.results, sum_.write.data.results, strict=True):
        d, e = plain_dim(own), plain_dim(other)
        if d is None or e is None:
            if own != other:
                return None
        elif d in loops or domain[d] != extents[e]:
            return None
        else:
            loops[d] = other
    return [loops[d] for d in range(reader.rank)] if len(loops) == reader.rank else None
