"""Writes at index tensors: index_put, index_add, index_copy, index_reduce, masked_scatter.

Where updates meet, torch leaves the order open; here the last one wins, and sums are made in order.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import i1, i64
from xdsl.ir import SSAValue

from ...dialects.graph import CatOp, broadcast_shapes, element_of, shape_of
from ...dialects.graph.opaque import IndexPutOp, ScatterOp
from .builder import Builder, Scalar, elements_in, normalize_dim
from .rounding import rounds_once
from .rules import UnsupportedUse, rule
from .scans import scan
from .scattering import scatter_reduce
from .sorting import picked


@rule("aten.index_put.default", "aten._unsafe_index_put.default")
def index_put(
    b: Builder,
    source: SSAValue,
    indices: Sequence[SSAValue | None],
    values: SSAValue,
    accumulate: bool,
    *_: object,
) -> SSAValue:
    """source[indices] = values (or += values)."""
    return (rounds_once(_index_put) if accumulate else _index_put)(
        b, source, indices, values, accumulate
    )


def _index_put(
    b: Builder,
    source: SSAValue,
    indices: Sequence[SSAValue | None],
    values: SSAValue,
    accumulate: bool,
) -> SSAValue:
    picked = {d: index for d, index in enumerate(indices) if index is not None}
    if any(element_of(index) == i1 for index in picked.values()):
        return _masked_put(b, source, indices, values, accumulate)
    return _put(b, "add" if accumulate else "set", source, picked, values)


def _put(
    b: Builder, fn: str, source: SSAValue, picked: dict[int, SSAValue], values: SSAValue
) -> SSAValue:
    """Indexed dims first, `graph.index_put`, and the dims back to where they were."""
    rank = len(shape_of(source))
    dims = sorted(picked)
    rest = [d for d in range(rank) if d not in picked]
    shape = broadcast_shapes([shape_of(picked[d]) for d in dims])
    positions = [b.expand(b.cast(picked[d], i64), shape) for d in dims]
    order = [*dims, *rest]
    front = b.permute(source, order)
    kept = [shape_of(source)[d] for d in rest]
    is_adjacent = dims == list(range(dims[0], dims[-1] + 1))
    before = dims[0] if is_adjacent else 0  # adjacent index dims stay behind the dims before them
    value = b.expand(values, [*kept[:before], *shape, *kept[before:]])
    n = len(shape)
    value = b.permute(
        value, [*range(before, before + n), *range(before), *range(before + n, n + len(kept))]
    )
    result = b.emit(IndexPutOp(fn, front, value, positions))
    return b.permute(result, [order.index(d) for d in range(rank)])


def _masked_put(
    b: Builder,
    source: SSAValue,
    indices: Sequence[SSAValue | None],
    values: SSAValue,
    accumulate: bool,
) -> SSAValue:
    """One value for all that a mask keeps is a choice per element."""
    shape = shape_of(source)
    where = [d for d, index in enumerate(indices) if index is not None]
    mask = indices[where[0]]
    assert mask is not None
    masked, start = len(shape_of(mask)), where[0]
    after = len(shape) - start - masked
    value = _without_mask_dim(b, values, after)
    if len(where) > 1 or value is None:
        raise UnsupportedUse(
            "a boolean mask as index works with one value for all of it: what more values stand "
            "for depends on data"
        )
    full = b.expand(b.reshape(mask, [*shape_of(mask), *[1] * after]), shape)
    new = b.pointwise("add", source, value) if accumulate else value
    return b.pointwise("where", full, b.expand(new, shape), source)


def _without_mask_dim(b: Builder, values: SSAValue, after: int) -> SSAValue | None:
    """`values` as it broadcasts over a mask that has `after` dims behind it; None if it differs."""
    shape = shape_of(values)
    if len(shape) <= after:
        return values
    if elements_in(shape[: len(shape) - after]) != 1:
        return None
    return b.reshape(values, shape[len(shape) - after :])


@rule("aten.put.default")
def put(
    b: Builder, source: SSAValue, indices: SSAValue, values: SSAValue, accumulate: bool
) -> SSAValue:
    """Elements of the flattened source replaced, or added to."""
    flat = b.reshape(source, [elements_in(shape_of(source))])
    count = elements_in(shape_of(indices))
    positions, new = b.reshape(indices, [count]), b.reshape(values, [count])
    return b.reshape(index_put(b, flat, [positions], new, accumulate), shape_of(source))


@rule("aten.index_add.default")
@rounds_once
def index_add(
    b: Builder, source: SSAValue, dim: int, indices: SSAValue, updates: SSAValue, alpha: Scalar
) -> SSAValue:
    """source[indices] += alpha * updates along `dim`, in order."""
    if alpha != 1:
        updates = b.pointwise("mul", updates, alpha)
    return put_slices(b, "add", source, dim, indices, updates)


@rule("aten.index_copy.default")
def index_copy(
    b: Builder, source: SSAValue, dim: int, indices: SSAValue, updates: SSAValue
) -> SSAValue:
    """source[indices] = updates along `dim`."""
    return put_slices(b, "set", source, dim, indices, updates)


@rule("aten.index_reduce.default")
@rounds_once
def index_reduce(
    b: Builder,
    source: SSAValue,
    dim: int,
    indices: SSAValue,
    updates: SSAValue,
    reduce: str,
    include_self: bool,
) -> SSAValue:
    """`scatter_reduce` of whole slices along `dim`."""
    shape = shape_of(updates)
    if not shape or not shape_of(source):
        line = b.reshape(source, [1]), b.reshape(indices, [1]), b.reshape(updates, [1])
        value = index_reduce(b, line[0], 0, line[1], line[2], reduce, include_self)
        return b.reshape(value, shape_of(source))
    dim = normalize_dim(dim, len(shape))
    rows = b.reshape(indices, [shape[dim], *[1] * (len(shape) - dim - 1)])
    return scatter_reduce(b, source, dim, b.expand(rows, shape), updates, reduce, include_self)


def put_slices(
    b: Builder, fn: str, source: SSAValue, dim: int, indices: SSAValue, updates: SSAValue
) -> SSAValue:
    """Update the slices of `source` at rank-1 `indices` along `dim`."""
    shape = shape_of(source)
    if not shape:
        value = put_slices(b, fn, b.reshape(source, [1]), 0, indices, b.reshape(updates, [1]))
        return b.reshape(value, ())
    if not shape_of(indices):
        indices = b.reshape(indices, [1])
    dim = normalize_dim(dim, len(shape))
    if not shape_of(updates):
        updates = b.reshape(updates, [1])
    if dim == 0:
        return _put(b, fn, source, {dim: indices}, updates)
    # with the dims where they are, so that what is stored can be updated in place
    shape = shape_of(updates)
    rows = b.reshape(b.cast(indices, i64), [shape[dim], *[1] * (len(shape) - dim - 1)])
    return b.emit(ScatterOp(fn, source, updates, b.expand(rows, shape), dim))


@rule("aten.masked_scatter.default")
def masked_scatter(b: Builder, source: SSAValue, mask: SSAValue, values: SSAValue) -> SSAValue:
    """Elements that `mask` keeps become those of `values`, one after the other."""
    shape = b.shape
    keeps = b.expand(mask, shape)
    count = elements_in(shape)
    size = elements_in(shape_of(values))
    if not count or not size:
        return b.expand(source, shape)
    number = b.pointwise("sub", scan(b, "sum", b.cast(b.reshape(keeps, [count]), i64), 0), 1)
    inside = b.pointwise("minimum", b.pointwise("maximum", number, 0), size - 1)
    new = picked(b, b.reshape(values, [size]), inside, 0)
    return b.pointwise("where", keeps, b.reshape(new, shape), b.expand(source, shape))


@rule("aten.slice_scatter.default")
def slice_scatter(
    b: Builder,
    source: SSAValue,
    updates: SSAValue,
    dim: int,
    start: int | None,
    end: int | None,
    step: int,
) -> SSAValue:
    """source[start:end:step] = updates along `dim`."""
    dim = normalize_dim(dim, len(shape_of(source)))
    extent = shape_of(source)[dim]
    first, _, _ = slice(start, end, step).indices(extent)
    count = shape_of(updates)[dim]
    updates = b.cast(updates, element_of(source))
    if step != 1:
        return put_slices(b, "set", source, dim, b.iota(count, i64, first, step), updates)
    after = first + count
    parts = [
        b.slice(source, dim, 0, first),
        updates,
        b.slice(source, dim, after, extent - after),
    ]
    kept = [part for part in parts if shape_of(part)[dim]]
    return b.emit(CatOp(kept, dim, b.out)) if len(kept) > 1 else kept[0] if kept else source


@rule("aten.select_scatter.default")
def select_scatter(
    b: Builder, source: SSAValue, updates: SSAValue, dim: int, index: int
) -> SSAValue:
    """source[index] = updates along `dim`."""
    shape = list(shape_of(source))
    dim = normalize_dim(dim, len(shape))
    at = index % shape[dim]
    shape[dim] = 1
    return slice_scatter(b, source, b.reshape(updates, shape), dim, at, at + 1, 1)


@rule("aten.diagonal_scatter.default")
def diagonal_scatter(
    b: Builder, source: SSAValue, updates: SSAValue, offset: int, first: int, second: int
) -> SSAValue:
    """The diagonal of two dims replaced by the last dim of `updates`."""
    rank = len(shape_of(source))
    first, second = normalize_dim(first, rank), normalize_dim(second, rank)
    count = shape_of(updates)[-1]
    rows = b.iota(count, i64, max(0, -offset))
    columns = b.iota(count, i64, max(0, offset))
    # indexed dims that are neighbours stay where they are, others come first
    place = min(first, second) if abs(first - second) == 1 else 0
    order = list(range(rank - 2))
    order.insert(place, rank - 2)
    return _put(b, "set", source, {first: rows, second: columns}, b.permute(updates, order))
