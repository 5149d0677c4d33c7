"""Recognise sums weighted by a softmax: maximum of rows, exponentials, sums of what they weight.

m[r] = max over k of x[r, k]
p[r, k] = exp(x[r, k] - f(m[r]))          f(m) = m, and a number where m = -inf
t[r, ..] = sum over k of p[r, k] * v[..]  (any number of these; v may be missing)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from xdsl.dialects import arith, math
from xdsl.dialects.builtin import FloatAttr
from xdsl.ir import Operation, SSAValue
from xdsl.ir.affine import AffineDimExpr, AffineMap

from ....dialects.poly import ArrayOp, ScopOp, StatementOp, YieldOp
from ..access_patterns import combining_op, reduction_dims
from ..affine_maps import compose, inverse, plain_dim
from ..rules.rfactor import initializer_of
from ..sets import box_extents
from ..simplification.collapse_dims import is_indirect


@dataclass(frozen=True)
class Accumulation:
    """A reduction over keys: its first value, its update, and the update's dim of the keys."""

    start: StatementOp
    update: StatementOp
    key: int


@dataclass(frozen=True)
class WeightedSum:
    """An accumulation of exponentials in `total`; `row` takes an index of it to that of a row."""

    sum: Accumulation
    total: SSAValue
    row: AffineMap


@dataclass(frozen=True)
class SoftmaxSums:
    """The statements of softmax-weighted sums.

    `reference` computes f(m), `exponential` is p; the dim of the keys is `key` in it.
    """

    maximum: Accumulation
    reference: StatementOp
    exponential: StatementOp
    key: int
    sums: tuple[WeightedSum, ...]

    @property
    def scores(self) -> SSAValue:
        """The array x."""
        return self.maximum.update.sources[1]

    @property
    def extent(self) -> int:
        """The number of keys."""
        extents = box_extents(self.exponential.domain.data)
        assert extents is not None
        return extents[self.key]


def _writers(scop: ScopOp, array: SSAValue) -> list[StatementOp]:
    return [s for s in scop.statements if s.target is array]


def _readers(scop: ScopOp, array: SSAValue) -> list[StatementOp]:
    return [s for s in scop.statements if array in s.sources and s.target is not array]


def _yielded(statement: StatementOp) -> Operation | None:
    terminator = statement.body.block.last_op
    assert isinstance(terminator, YieldOp)
    owner = terminator.value.owner
    return owner if isinstance(owner, Operation) else None


def _accumulation(scop: ScopOp, update: StatementOp, kind: str) -> Accumulation | None:
    """`update` as a reduction over one dim into a temporary that only it and its start write."""
    if update.reduction is None or update.reduction.data != kind:
        return None
    start, dims = initializer_of(scop, update), reduction_dims(update)
    if start is None or len(dims) != 1 or not isinstance(update.target.owner, ArrayOp):
        return None
    shapes = [box_extents(s.domain.data) for s in (start, update)]
    if None in shapes or len(_writers(scop, update.target)) != 2 or start.sources:
        return None
    if inverse(start.write.data) is None or is_indirect(update.target):
        return None
    kept = [plain_dim(e) for e in update.write.data.results]
    if sorted(d for d in kept if d is not None) != [d for d in range(update.rank) if d != dims[0]]:
        return None
    return Accumulation(start, update, dims[0])


def _term(update: StatementOp) -> Operation | SSAValue:
    """What a reduction adds to its accumulator: an op of its body, or a value read."""
    accumulator = update.body.block.args[0]
    term = next(o for o in combining_op(update).operands if o is not accumulator)
    return term.owner if isinstance(term.owner, Operation) else term


def unrounded(value: SSAValue) -> SSAValue:
    """What `value` is but for a rounding to a narrower type and back."""
    wide = value.owner
    if isinstance(wide, arith.ExtFOp) and isinstance(wide.input.owner, arith.TruncFOp):
        return wide.input.owner.input
    return value


def _is_number(value: SSAValue, number: float) -> bool:
    owner = value.owner
    return (
        isinstance(owner, arith.ConstantOp)
        and isinstance(owner.value, FloatAttr)
        and owner.value.value.data == number
    )


def _keeps_finite(statement: StatementOp) -> bool:
    """Whether the body is `x == -inf ? number : x`."""
    choice = _yielded(statement)
    if not isinstance(choice, arith.SelectOp) or len(statement.body.block.args) != 1:
        return False
    (x,) = statement.body.block.args
    compare = choice.cond.owner
    return (
        isinstance(compare, arith.CmpfOp)
        and compare.predicate.value.data == 1  # oeq
        and compare.lhs is x
        and _is_number(compare.rhs, -inf)
        and isinstance(choice.lhs.owner, arith.ConstantOp)
        and choice.rhs is x
    )


def _is_shifted_exponential(statement: StatementOp) -> bool:
    """Whether the body is `exp(a - b)` of the two values read."""
    exponential = _yielded(statement)
    if not isinstance(exponential, math.ExpOp) or len(statement.sources) != 2:
        return False
    shift = exponential.operand.owner
    return isinstance(shift, arith.SubfOp) and tuple(shift.operands) == tuple(
        statement.body.block.args
    )


def _sole(statements: Sequence[StatementOp]) -> StatementOp | None:
    return statements[0] if len(statements) == 1 else None


def _all_before(scop: ScopOp, some: Sequence[StatementOp], other: StatementOp) -> bool:
    """Whether `some` statements come before `other` in original order."""
    order = scop.statements
    return all(order.index(s) < order.index(other) for s in some)


def _same_extents(one: StatementOp, other: StatementOp, map: AffineMap) -> bool:
    """Whether `map`, from dims of `other` to those of `one`, takes its box to the whole box."""
    here, there = box_extents(one.domain.data), box_extents(other.domain.data)
    dims = [plain_dim(e) for e in map.results]
    if here is None or there is None:
        return False
    return here == tuple(there[d] if d is not None else 0 for d in dims)


def _exponential_of(
    scop: ScopOp, maximum: Accumulation, reference: StatementOp
) -> tuple[StatementOp, int] | None:
    """The statement p, which reads the scores at the rows of `maximum`, and its dim of the keys."""
    scores, read = maximum.update.sources[1], maximum.update.read_maps[1]
    found = _sole(_readers(scop, reference.target))
    by_element, by_row = inverse(read), inverse(reference.write.data)
    if found is None or by_element is None or by_row is None:
        return None
    if found.reduction is not None or not isinstance(found.target.owner, ArrayOp):
        return None
    if tuple(found.sources) != (scores, reference.target) or not _is_shifted_exponential(found):
        return None
    if inverse(found.write.data) is None or box_extents(found.domain.data) is None:
        return None
    if len(_writers(scop, found.target)) != 1 or is_indirect(found.target):
        return None
    if not _all_before(scop, _writers(scop, scores), maximum.update):
        return None
    same = compose(by_element, found.read_maps[0])  # instance of p -> that of the maximum
    row = compose(maximum.update.write.data, same)
    wanted = compose(reference.read_maps[0], compose(by_row, found.read_maps[1]))
    key = plain_dim(same.results[maximum.key])
    if row != wanted or key is None or not _same_extents(maximum.update, found, same):
        return None
    return found, key


def _weighted_sum(
    scop: ScopOp, exponential: StatementOp, key: int, update: StatementOp
) -> WeightedSum | None:
    """`update` as a sum over the keys that is linear in the exponentials."""
    sum = _accumulation(scop, update, "add")
    if sum is None or list(update.sources).count(exponential.target) != 1:
        return None
    k = list(update.sources).index(exponential.target)
    value, term = update.body.block.args[k], _term(update)
    if term is not value and not (
        isinstance(term, arith.MulfOp)
        and value in [unrounded(o) for o in term.operands]
        and len(update.sources) == 3
    ):
        return None
    for other in update.sources:
        if other in (update.target, exponential.target):
            continue
        if not _all_before(scop, _writers(scop, other), exponential):
            return None  # not known yet where the exponentials are
    readers = _readers(scop, update.target)
    if any(_all_before(scop, [reader], update) for reader in readers):
        return None
    by_element = inverse(exponential.write.data)
    assert by_element is not None
    instance = compose(by_element, update.read_maps[k])  # of the exponential
    if plain_dim(instance.results[key]) != sum.key:
        return None
    row = compose(exponential.read_maps[1], instance)
    places = [plain_dim(e) for e in update.write.data.results]
    dims = [plain_dim(e) for e in row.results]
    if any(d is None or d not in places for d in dims):
        return None
    return WeightedSum(
        sum,
        update.target,
        AffineMap(len(places), 0, tuple(AffineDimExpr(places.index(d)) for d in dims)),
    )


def softmax_sums(scop: ScopOp, update: StatementOp) -> SoftmaxSums | None:
    """The softmax-weighted sums whose row maximum is `update`; None where it is no such thing."""
    maximum = _accumulation(scop, update, "max")
    if maximum is None or len(update.sources) != 2 or len(update.body.block.args) != 2:
        return None
    start = _yielded(maximum.start)
    if start is None or not _is_number(start.results[0], -inf):
        return None
    if not isinstance(_term(update), SSAValue):
        return None
    reference = _sole(_readers(scop, update.target))
    if reference is None or reference.reduction is not None or not _keeps_finite(reference):
        return None
    if len(_writers(scop, reference.target)) != 1 or is_indirect(reference.target):
        return None
    if inverse(reference.read_maps[0]) is None or not isinstance(reference.target.owner, ArrayOp):
        return None
    found = _exponential_of(scop, maximum, reference)
    if found is None:
        return None
    exponential, key = found
    sums = [_weighted_sum(scop, exponential, key, s) for s in _readers(scop, exponential.target)]
    if not sums or None in sums:
        return None
    return SoftmaxSums(
        maximum, reference, exponential, key, tuple(s for s in sums if s is not None)
    )
