"""Sorting and what follows from it: sort, topk, kthvalue, medians, mode; NaN is the largest."""

from __future__ import annotations

from xdsl.dialects.builtin import i1, i64
from xdsl.ir import SSAValue

from ...dialects.graph import GatherOp, element_of, shape_of, tensor_of
from ...dialects.graph.opaque import ArgsortOp
from ...dialects.sizes import has_symbols, upper_bound
from .builder import Builder, Operand, elements_in, is_float, normalize_dim
from .rounding import rounds_once
from .rules import rule
from .scattering import neutral_of

Pair = tuple[SSAValue, SSAValue]
LONGEST_STABLE_ROW = 16  # up to here C++ sorts by insertion


def sorted_pair(b: Builder, source: SSAValue, dim: int, descending: bool, count: int) -> Pair:
    """The first `count` elements in stable order, and their positions."""
    rank = len(shape_of(source))
    if rank == 0:
        return source, b.full(0, i64)
    at = b.emit(ArgsortOp(source, normalize_dim(dim, rank), descending, count))
    return picked(b, source, at, dim), at


def picked(b: Builder, source: SSAValue, positions: SSAValue, dim: int) -> SSAValue:
    """source[positions] along `dim`."""
    dim = normalize_dim(dim, len(shape_of(source)))
    type = tensor_of(element_of(source), shape_of(positions))
    return b.emit(GatherOp(source, positions, dim, type))


def extent_of(source: SSAValue, dim: int) -> int:
    """The extent of `dim`; a number counts as one element."""
    shape = shape_of(source)
    return shape[dim] if shape else 1


@rule("aten.sort.default")
@rounds_once
def sort(b: Builder, source: SSAValue, dim: int, descending: bool) -> Pair:
    """All elements; stable, which torch leaves open."""
    return sorted_pair(b, source, dim, descending, extent_of(source, dim))


@rule("aten.sort.stable")
@rounds_once
def stable_sort(b: Builder, source: SSAValue, _stable: object, dim: int, descending: bool) -> Pair:
    """All elements; equal ones keep their order, descending too."""
    return sorted_pair(b, source, dim, descending, extent_of(source, dim))


@rule("aten.topk.default")
@rounds_once
def topk(b: Builder, source: SSAValue, count: int, dim: int, largest: bool, _sorted: bool) -> Pair:
    """The `count` largest or smallest in order; of equal elements the first ones."""
    return sorted_pair(b, source, dim, largest, count)


@rule("aten.kthvalue.default")
@rounds_once
def kth_value(b: Builder, source: SSAValue, count: int, dim: int, keep: bool) -> Pair:
    """The `count`-th smallest element."""
    _, order = sorted_pair(b, source, dim, False, count)
    return _along(b, source, order, count - 1, dim, keep)


@rule("aten.median.dim")
@rounds_once
def median(b: Builder, source: SSAValue, dim: int, keep: bool) -> Pair:
    """The lower median; NaN, the first one, where there is a NaN."""
    last = extent_of(source, dim) - 1
    half: Operand = (
        b.pointwise("floor_div", b.full(last, i64), 2) if has_symbols([last]) else last // 2
    )
    _, order = sorted_pair(b, source, dim, False, extent_of(source, dim))
    middle = _along(b, source, order, half, dim, keep)
    if not is_float(source) or not shape_of(source):
        return middle
    dim = normalize_dim(dim, len(shape_of(source)))
    # NaN come after all numbers in the order, the first one first
    nans = b.reduce("sum", b.cast(b.pointwise("isnan", source), i64), [dim], True)
    numbers = b.pointwise("sub", extent_of(source, dim), nans)
    has_nan = b.pointwise("gt", nans, 0)
    first_nan = picked(b, order, b.pointwise("where", has_nan, numbers, half), dim)
    at = first_nan if keep else b.reshape(first_nan, shape_of(middle[1]))
    return b.reshape(picked(b, source, first_nan, dim), shape_of(middle[0])), at


@rule("aten.nanmedian.dim")
@rounds_once
def nan_median(b: Builder, source: SSAValue, dim: int, keep: bool) -> Pair:
    """The lower median of the numbers; NaN, the first one, where there are no numbers."""
    if not is_float(source) or not shape_of(source):
        return median(b, source, dim, keep)
    dim = normalize_dim(dim, len(shape_of(source)))
    _, order = sorted_pair(b, source, dim, False, extent_of(source, dim))
    is_number = b.pointwise("not", b.pointwise("isnan", source))
    count = b.reduce("sum", b.cast(is_number, i64), [dim], True)
    # NaN come after all numbers in the order
    half = b.pointwise("floor_div", b.pointwise("sub", b.pointwise("maximum", count, 1), 1), 2)
    at = picked(b, order, half, dim)
    value = picked(b, source, at, dim)
    if keep:
        return value, at
    shape = [n for d, n in enumerate(shape_of(at)) if d != dim]
    return b.reshape(value, shape), b.reshape(at, shape)


@rule("aten.nanmedian.default")
@rounds_once
def nan_median_of_all(b: Builder, source: SSAValue) -> SSAValue:
    """The lower median of all numbers."""
    flat = b.reshape(source, [elements_in(shape_of(source))])
    return nan_median(b, flat, 0, False)[0]


@rule("aten.median.default")
@rounds_once
def median_of_all(b: Builder, source: SSAValue) -> SSAValue:
    """The lower median of all elements."""
    flat = b.reshape(source, [elements_in(shape_of(source))])
    return median(b, flat, 0, False)[0]


def _along(b: Builder, source: SSAValue, order: SSAValue, k: Operand, dim: int, keep: bool) -> Pair:
    """Element `k` of the sorted order, and where it was."""
    rank = len(shape_of(source))
    if rank == 0:
        return source, order
    dim = normalize_dim(dim, rank)
    if isinstance(k, SSAValue):
        at = b.pick(order, dim, b.reshape(k, [1]))
    else:
        assert isinstance(k, int)
        at = b.slice(order, dim, k, 1)
    value = picked(b, source, at, dim)
    if keep:
        return value, at
    shape = [n for d, n in enumerate(shape_of(at)) if d != dim]
    return b.reshape(value, shape), b.reshape(at, shape)


@rule("aten.mode.default")
def mode(b: Builder, source: SSAValue, dim: int, keep: bool) -> tuple[SSAValue, SSAValue | None]:
    """The most frequent element, the smallest of several, and where it is last.

    Torch sorts long rows without keeping equal elements in order: their positions are not computed.
    """
    shape = shape_of(source)
    if not shape:
        return source, b.full(0, i64)
    if element_of(source) == i1:
        truth, where = mode(b, b.cast(source, i64), dim, keep)
        return b.cast(truth, i1), where
    dim = normalize_dim(dim, len(shape))
    count = shape[dim]
    # pairs of elements of a row: the other one is a dim behind all others
    own = b.reshape(source, [*shape, 1])
    row = b.permute(source, [*(d for d in range(len(shape)) if d != dim), dim])
    short = [n for d, n in enumerate(shape) if d != dim]
    other = b.reshape(row, [*short[:dim], 1, *short[dim:], count])
    equal = b.cast(b.pointwise("eq", own, other), i64)
    times = b.reduce("sum", equal, [len(shape)], False)
    most = b.pointwise("eq", times, b.reduce("max", times, [dim], True))
    limit = neutral_of("min", element_of(source))
    value = b.reduce("min", b.pointwise("where", most, source, limit), [dim], True)
    if upper_bound(count) > LONGEST_STABLE_ROW:
        return value if keep else b.reshape(value, short), None
    along = b.reshape(b.iota(count, i64), [count, *[1] * (len(shape) - dim - 1)])
    is_value = b.pointwise("eq", source, value)
    at = b.reduce("max", b.pointwise("where", is_value, along, 0), [dim], True)
    return (value, at) if keep else (b.reshape(value, short), b.reshape(at, short))
