"""Writes at positions along one dim: scatter and its reductions.

Where updates meet, torch leaves the order open; here the last one wins, and sums are made in order.
"""

from __future__ import annotations

import math

from xdsl.dialects.builtin import IntegerType, i64
from xdsl.ir import Attribute, SSAValue

from ...dialects.graph import element_of, shape_of
from ...dialects.graph_opaque import ScatterOp
from ...dialects.integers import largest_integer, smallest_integer
from .builder import Builder, Operand, Scalar, elements_in, is_float, normalize_dim
from .rounding import rounds_once
from .rules import rule

REDUCTIONS = {"sum": "add", "mean": "add", "prod": "mul", "amax": "max", "amin": "min"}


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
