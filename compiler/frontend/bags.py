"""Sums, means and maxima of bags of embedding rows."""

from __future__ import annotations

import math

from xdsl.dialects.builtin import i64
from xdsl.ir import SSAValue

from ...dialects.graph import EmbeddingOp, element_of, shape_of, tensor_of
from ...dialects.graph.opaque import SearchsortedOp
from .builder import Builder
from .index_updates import put_slices
from .rounding import rounds_once
from .rules import UnsupportedUse, rule

MODES = ("sum", "mean", "max")


@rule("aten._embedding_bag.default", "aten._embedding_bag_forward_only.default")
@rounds_once
def embedding_bag(
    b: Builder,
    table: SSAValue,
    indices: SSAValue,
    offsets: SSAValue,
    _scale_grad: bool,
    mode: int,
    _sparse: bool,
    scales: SSAValue | None,
    _last_offset: bool,
    padding: int,
) -> list[SSAValue | None]:
    """The bags; where each index and its maximum lie is for gradients and not computed."""
    bags, width = b.shape
    count = shape_of(indices)[0]
    if count == 0 or bags == 0:
        raise UnsupportedUse("bags of no embeddings at all")
    element = element_of(table)
    rows = b.emit(EmbeddingOp(table, indices, tensor_of(element, [count, width])))
    # the bag of an index is the last one that starts at or before it
    starts = b.slice(b.cast(offsets, i64), 0, 0, bags)
    found = b.emit(SearchsortedOp(starts, b.iota(count, i64), True))
    bag = b.pointwise("sub", found, 1)
    kept = b.pointwise("ne", b.cast(indices, i64), padding if padding >= 0 else -1)
    ones = b.pointwise("where", kept, b.full(1, i64), b.full(0, i64))
    sizes = put_slices(b, "add", b.expand(b.full(0, i64), [bags]), 0, bag, ones)
    if scales is not None:
        rows = b.pointwise("mul", rows, b.reshape(scales, [count, 1]))
    neutral = -math.inf if MODES[mode] == "max" else 0.0
    rows = b.pointwise("where", b.reshape(kept, [count, 1]), rows, neutral)
    fn = "max" if MODES[mode] == "max" else "add"
    start = b.expand(b.full(neutral, element), [bags, width])
    value = put_slices(b, fn, start, 0, bag, rows)
    if MODES[mode] == "mean":
        number = b.cast(b.pointwise("maximum", sizes, 1), element)
        value = b.pointwise("div", value, b.reshape(number, [bags, 1]))
    if MODES[mode] == "max":
        is_empty = b.pointwise("eq", b.reshape(sizes, [bags, 1]), 0)
        value = b.pointwise("where", is_empty, 0.0, value)
    return [value, None, None, None]
