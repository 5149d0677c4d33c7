"""Distances between rows: cdist and pdist."""

from __future__ import annotations

import math

import numpy as np
from xdsl.ir import SSAValue

from ...dialects.graph import shape_of
from .builder import Builder
from .indexing import index_select
from .rounding import rounds_once
from .rules import rule


def norm_of(b: Builder, difference: SSAValue, order: float) -> SSAValue:
    """The norm of `order` over the last dim."""
    size = b.pointwise("abs", difference)
    last = [len(shape_of(size)) - 1]
    if order == 0:
        return b.reduce("sum", b.cast(b.pointwise("ne", size, 0), b.out_element), last, False)
    if order == 1:
        return b.reduce("sum", size, last, False)
    if math.isinf(order):
        return b.reduce("max", size, last, False)
    if order == 2:
        return b.pointwise("sqrt", b.reduce("sum", b.pointwise("mul", size, size), last, False))
    total = b.reduce("sum", b.pointwise("pow", size, order), last, False)
    return b.pointwise("pow", total, 1 / order)


@rule("aten._cdist_forward.default", "aten.cdist.default")
@rounds_once
def cdist(b: Builder, x: SSAValue, y: SSAValue, order: float, _mode: object) -> SSAValue:
    """The norm of x[.., i, :] - y[.., j, :] for all i and j."""
    if 0 in b.shape or shape_of(x)[-1] == 0:
        return b.full(0, b.out_element, b.shape)
    left, right = shape_of(x), shape_of(y)
    rows = b.reshape(x, [*left[:-1], 1, left[-1]])
    columns = b.reshape(y, [*right[:-2], 1, *right[-2:]])
    return norm_of(b, b.pointwise("sub", rows, columns), order)


@rule("aten._pdist_forward.default", "aten.pdist.default")
@rounds_once
def pdist(b: Builder, x: SSAValue, order: float) -> SSAValue:
    """The norm of x[i] - x[j] for all i < j."""
    if 0 in b.shape or 0 in shape_of(x):
        return b.full(0, b.out_element, b.shape)
    pairs = np.triu_indices(shape_of(x)[0], 1)
    first, second = (index_select(b, x, 0, b.constant("pairs", p)) for p in pairs)
    return norm_of(b, b.pointwise("sub", first, second), order)
