"""Writes at positions along one dim: scatter and its reductions.

Where updates meet, torch leaves the order open; here the last one wins, and sums are made in order.
"""

from __future__ import annotations

import math

from xdsl.dialects.builtin import IntegerType, i64
from xdsl.ir import Attribute, SSAValue

from ...dialects.graph import element_of, shape_of
from ...dialects.graph.opaque import ScatterOp, SearchsortedOp
from ...dialects.integers import largest_integer, smallest_integer
from .builder import Builder, Operand, Scalar, elements_in, is_float, normalize_dim
from .rounding import rounds_once
from .rules import UnsupportedUse, rule
from .scans import scan

REDUCTIONS = {"sum": "add", "mean": "add", "prod": "mul", "amax": "max", "amin": "min"}
SEGMENTS: dict[str, tuple[str, Scalar]] = {
    "sum": ("add", 0.0),
    "mean": ("add", 0.0),
    "prod": ("mul", 1.0),
    "max": ("max", -math.inf),
    "min": ("min", math.inf),
}
"""The function of a reduction, and what an empty segment gives (the mean of none is NaN)."""


def scattered(
    b: Builder, fn: str, source: SSAValue, dim: int, indices: SSAValue, updates: Operand
) -> SSAValue:
    """`source` with `updates` (as far as `indices` reach) at `indices` along `dim`."""
    shape = shape_of(source)
    if not shape:
        indices = b.reshape(indices, [elements_in(shape_of(indices))])
        flat = updates
        if isinstance(updates, SSAValue):
            flat = b.reshape(updates, [elements_in(shape_of(updates))])
        return b.reshape(scattered(b, fn, b.reshape(source, [1]), 0, indices, flat), ())
    indices = _of_rank(b, indices, len(shape))
    extents = shape_of(indices)
    value = b.operand(updates, element_of(source))
    if not isinstance(updates, SSAValue):
        value = b.expand(value, extents)
    value = _of_rank(b, value, len(shape))
    for d, extent in enumerate(extents):
        value = b.slice(value, d, 0, extent)
    return b.emit(ScatterOp(fn, source, value, indices, normalize_dim(dim, len(shape))))


def _of_rank(b: Builder, value: SSAValue, rank: int) -> SSAValue:
    """A number where one dim is wanted gets it."""
    return value if shape_of(value) or not rank else b.reshape(value, [1] * rank)


@rule("aten.scatter.src", "aten.scatter.value")
def scatter(
    b: Builder, source: SSAValue, dim: int, indices: SSAValue, updates: Operand
) -> SSAValue:
    """Replace elements; the last of several updates stays."""
    return scattered(b, "set", source, dim, indices, updates)


@rule("aten.scatter.reduce", "aten.scatter.value_reduce")
@rounds_once
def scatter_with_operator(
    b: Builder, source: SSAValue, dim: int, indices: SSAValue, updates: Operand, fn: str
) -> SSAValue:
    """The older form of reductions: add and multiply."""
    return scattered(b, {"add": "add", "multiply": "mul"}[fn], source, dim, indices, updates)


@rule("aten.scatter_add.default")
@rounds_once
def scatter_add(
    b: Builder, source: SSAValue, dim: int, indices: SSAValue, updates: SSAValue
) -> SSAValue:
    """Add up in order of the indices."""
    return scattered(b, "add", source, dim, indices, updates)


@rule("aten.scatter_reduce.two")
@rounds_once
def scatter_reduce(
    b: Builder,
    source: SSAValue,
    dim: int,
    indices: SSAValue,
    updates: SSAValue,
    reduce: str,
    include_self: bool,
) -> SSAValue:
    """sum, prod, mean, amax or amin of the updates, and of what was there if `include_self`."""
    fn = REDUCTIONS[reduce]
    hits = None
    if not include_self or reduce == "mean":
        none = b.expand(b.full(0, i64), shape_of(source))
        hits = scattered(b, "add", none, dim, indices, b.expand(b.full(1, i64), shape_of(updates)))
    start = source
    if hits is not None and not include_self:
        neutral = neutral_of(fn, element_of(source))
        start = b.pointwise("where", b.pointwise("gt", hits, 0), neutral, source)
    result = scattered(b, fn, start, dim, indices, updates)
    if reduce != "mean":
        return result
    assert hits is not None
    terms = b.pointwise("add", hits, 1) if include_self else b.pointwise("maximum", hits, 1)
    count = b.cast(terms, element_of(source))
    return b.pointwise("div" if is_float(source) else "floor_div", result, count)


def neutral_of(fn: str, element: Attribute) -> Scalar:
    """The number that `fn` combines with anything to the latter."""
    if fn in ("add", "mul"):
        return 0 if fn == "add" else 1
    if not isinstance(element, IntegerType):
        return -math.inf if fn == "max" else math.inf
    return smallest_integer(element) if fn == "max" else largest_integer(element)


@rule("aten.segment_reduce.default")
@rounds_once
def segment_reduce(
    b: Builder,
    source: SSAValue,
    reduce: str,
    lengths: SSAValue | None,
    _indices: object,
    offsets: SSAValue | None,
    axis: int,
    _unsafe: bool,
    initial: float | None,
) -> SSAValue:
    """Neighbours along `axis` reduced in segments, which lengths or offsets of each row tell."""
    bounds = lengths if offsets is None else offsets
    if bounds is None or reduce not in SEGMENTS:
        raise UnsupportedUse(f"segments of {reduce} need lengths or offsets")
    axis = normalize_dim(axis, len(shape_of(source)))
    if len(shape_of(bounds)) != axis + 1:
        raise UnsupportedUse("lengths have one dim per dim of the data up to the axis")
    count = shape_of(bounds)[-1]
    bounds = b.cast(bounds, i64)
    if offsets is None:
        bounds = scan(b, "sum", bounds, axis)
    else:
        count -= 1
    fn, start = SEGMENTS[reduce]
    shape = shape_of(source)
    values = b.expand(b.iota(shape[axis], i64), shape[: axis + 1])
    numbers = b.emit(SearchsortedOp(bounds, values, True))
    if offsets is not None:
        numbers = b.pointwise("sub", numbers, 1)  # -1 before the first: it updates nothing
    after = shape[axis + 1 :]
    numbers = b.expand(b.reshape(numbers, [*shape[: axis + 1], *[1] * len(after)]), shape)
    target = (*shape[:axis], count, *after)
    first = b.full(start if initial is None else initial, element_of(source))
    result = scattered(b, fn, b.expand(first, target), axis, numbers, source)
    if reduce != "mean":
        return result
    one = b.expand(b.full(1, i64), shape)
    hits = scattered(b, "add", b.expand(b.full(0, i64), target), axis, numbers, one)
    if initial is not None:
        hits = b.pointwise("maximum", hits, 1)
    return b.pointwise("div", result, b.cast(hits, element_of(source)))
