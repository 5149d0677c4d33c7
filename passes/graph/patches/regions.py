"""Which part of its operands an op needs for a part of its result, exactly, axis by axis.

Values of a stage are [B, C, *S]: axis k is dimension 2 + k. A part is an interval per axis. Maps of
convolutions and pools are monotone, so that the interval between the first and the last element
read is exactly what overlapping windows need. Intervals are arrays: one entry per patch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import TensorType
from xdsl.ir import SSAValue
from xdsl.ir.affine import AffineDimExpr, AffineExpr

from ....dialects.graph import (
    CastOp,
    CatOp,
    ConvOp,
    GraphOp,
    PadOp,
    PointwiseOp,
    PoolOp,
    ViewOp,
    element_of,
    shape_of,
)

FIRST_AXIS = 2
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Interval:
    """Elements low <= i < high, per patch."""

    low: Counts
    high: Counts

    def clipped(self, extent: int) -> Interval:
        """The part that exists in a tensor of `extent` elements."""
        return Interval(np.clip(self.low, 0, extent), np.clip(self.high, 0, extent))

    def hull(self, other: Interval) -> Interval:
        """The least interval around both."""
        return Interval(np.minimum(self.low, other.low), np.maximum(self.high, other.high))

    def at(self, patch: int) -> tuple[int, int]:
        """The bounds for one patch."""
        return int(self.low[patch]), int(self.high[patch])

    @property
    def sizes(self) -> Counts:
        """Elements per patch."""
        return self.high - self.low


def axes_of(value: SSAValue) -> int:
    """The number of axes that a value may be cut along."""
    return max(0, len(shape_of(value)) - FIRST_AXIS)


def window(op: ConvOp | PoolOp | PadOp, axis: int) -> tuple[int, int, int, int]:
    """(stride, span, zeros before, zeros behind); i reads `span` from i * stride - before on."""
    if isinstance(op, PadOp):
        dim = FIRST_AXIS + axis
        return 1, 1, op.low.data[dim].data, op.high.data[dim].data
    if isinstance(op, ConvOp):
        kernel = shape_of(op.weight)[FIRST_AXIS + axis]
        low, high = (widths[axis] for widths in op.padding_widths)
    else:
        kernel = op.kernel.data[axis].data
        low, high = op.padding_low.data[axis].data, op.padding_high.data[axis].data
    return op.stride.data[axis].data, (kernel - 1) * op.dilation.data[axis].data + 1, low, high


def is_cuttable(op: GraphOp) -> bool:
    """Whether parts of the result of `op` can be computed from parts of its operands."""
    axes = axes_of(op.result)
    if isinstance(op, ConvOp | PoolOp):
        return axes == len(op.stride)
    if isinstance(op, PadOp):
        outer = [*op.low.data[:FIRST_AXIS], *op.high.data[:FIRST_AXIS]]
        return axes > 0 and all(pad.data == 0 for pad in outer)
    if isinstance(op, CatOp):
        return axes > 0 and op.dim.data < FIRST_AXIS
    if isinstance(op, ViewOp):
        return axes > 0 and _keeps_axes(op)
    return axes > 0 and isinstance(op, PointwiseOp | CastOp)


def _keeps_axes(op: ViewOp) -> bool:
    """Whether the view reorders batch and channels only."""
    results = tuple(op.map.data.results)
    own: tuple[AffineExpr, ...] = tuple(
        AffineDimExpr(d) for d in range(FIRST_AXIS, op.map.data.num_dims)
    )
    if results[FIRST_AXIS:] != own or shape_of(op.source)[2:] != shape_of(op.result)[2:]:
        return False
    used = {d for expr in results[:FIRST_AXIS] for d in expr.used_dims()}
    return all(d < FIRST_AXIS for d in used)


def needed(op: GraphOp, operand: int, axis: int, part: Interval) -> Interval | None:
    """What `op` reads of an operand along `axis`, beyond its ends too; None for all there is."""
    value = op.operands[operand]
    if isinstance(op, ConvOp | PoolOp | PadOp):
        if operand > 0:
            return None  # weight and bias
        stride, span, before, _ = window(op, axis)
        return Interval(part.low * stride - before, (part.high - 1) * stride - before + span)
    dim = dim_of(op, value, axis)
    if dim is None or shape_of(value)[dim] != shape_of(op.result)[FIRST_AXIS + axis]:
        return None  # broadcast
    return part


def covered(op: GraphOp, axis: int, part: Interval) -> Counts:
    """Elements along `axis` that windows of a part lie on, borders included."""
    is_window = isinstance(op, ConvOp | PoolOp | PadOp) and is_cuttable(op)
    read = needed(op, 0, axis, part) if is_window else None
    return (part if read is None else read).sizes


def dim_of(op: GraphOp, value: SSAValue, axis: int) -> int | None:
    """The dimension of `value` that `op` aligns with `axis` of its result."""
    dim = FIRST_AXIS + axis + len(shape_of(value)) - len(shape_of(op.result))
    return dim if dim >= 0 else None


def cut(op: GraphOp, operands: Sequence[SSAValue], parts: Sequence[tuple[int, int]]) -> GraphOp:
    """`op` for the part of its result given per axis, on operands cut to what that needs."""
    shape = [*shape_of(op.result)[:FIRST_AXIS], *(high - low for low, high in parts)]
    type: Any = TensorType(element_of(op.result), shape)
    build = _CUTS.get(_class_of(op))
    new = build(op, operands, parts, type) if build is not None else _cloned(op, operands, type)
    if "loc" in op.attributes:
        new.attributes["loc"] = op.attributes["loc"]
    return new


def _class_of(op: GraphOp) -> type[GraphOp]:
    return type(op)


def _cloned(op: GraphOp, operands: Sequence[SSAValue], type: Any) -> GraphOp:
    return op.__class__.create(
        operands=operands, result_types=[type], properties=dict(op.properties)
    )


def _zeros(
    op: ConvOp | PoolOp | PadOp, parts: Sequence[tuple[int, int]]
) -> tuple[list[int], list[int]]:
    """Zeros that windows of a part meet before and behind the source, per axis."""
    low, high = [], []
    for axis, (first, end) in enumerate(parts):
        stride, span, before, _ = window(op, axis)
        extent = shape_of(op.operands[0])[FIRST_AXIS + axis]
        low.append(max(0, before - first * stride))
        high.append(max(0, (end - 1) * stride - before + span - extent))
    return low, high


def _cut_conv(
    op: ConvOp, operands: Sequence[SSAValue], parts: Sequence[tuple[int, int]], type: Any
) -> GraphOp:
    low, high = _zeros(op, parts)
    source, weight, *bias = operands
    steps = [[v.data for v in values] for values in (op.stride, op.dilation)]
    return ConvOp(
        source,
        weight,
        bias[0] if bias else None,
        steps[0],
        low,
        steps[1],
        op.groups.data,
        type,
        high,
    )


def _cut_pool(
    op: PoolOp, operands: Sequence[SSAValue], parts: Sequence[tuple[int, int]], type: Any
) -> GraphOp:
    low, high = _zeros(op, parts)
    kernel, stride, dilation = ([v.data for v in p] for p in (op.kernel, op.stride, op.dilation))
    return PoolOp(op.fn.data, operands[0], kernel, stride, low, high, dilation, type)


def _cut_pad(
    op: PadOp, operands: Sequence[SSAValue], parts: Sequence[tuple[int, int]], type: Any
) -> GraphOp:
    low, high = _zeros(op, parts)
    front = [0] * FIRST_AXIS
    return PadOp(operands[0], [*front, *low], [*front, *high], op.value, type)


_CUTS: dict[type[GraphOp], Callable[..., GraphOp]] = {
    ConvOp: _cut_conv,
    PoolOp: _cut_pool,
    PadOp: _cut_pad,
}
