"""Pooling: `graph.pool` windows; adaptive windows that differ in length are gathered."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from xdsl.ir import SSAValue

from ...dialects.graph import PoolOp, element_of, shape_of, tensor_of
from ...dialects.sizes import upper_bound
from .builder import Builder, elements_in, is_float
from .reductions import argmax, mean
from .resampling import Positions, pick
from .rounding import rounds_once
from .rules import rule
from .scattering import neutral_of
from .sorting import picked as picked_along
from .tensor_types import DTYPES


@rule("aten.max_pool1d.default", "aten.max_pool2d.default", "aten.max_pool3d.default")
def max_pool(
    b: Builder,
    source: SSAValue,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil: bool,
) -> SSAValue:
    """The largest element of each window."""
    return _pool(b, "max", source, kernel, stride, padding, dilation)


@rule("aten.max_pool2d_with_indices.default", "aten.max_pool3d_with_indices.default")
def max_pool_with_indices(
    b: Builder,
    source: SSAValue,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil: bool,
) -> list[SSAValue | None]:
    """max_pool, and where in its plane each maximum lies."""
    largest = _pool(b, "max", source, kernel, stride, padding, dilation)
    starts = [
        [i * step - p for i in range(n)]
        for n, step, p in zip(
            b.shape[-len(kernel) :], _strides(stride, kernel), padding, strict=True
        )
    ]
    return [largest, _positions(b, source, starts, kernel, dilation)]


@rule("aten.avg_pool1d.default")
@rounds_once
def avg_pool1d(
    b: Builder,
    source: SSAValue,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    ceil: bool,
    count_padding: bool,
) -> SSAValue:
    """The mean of each window."""
    return avg_pool(b, source, kernel, stride, padding, ceil, count_padding, None)


@rule("aten.avg_pool2d.default", "aten.avg_pool3d.default")
@rounds_once
def avg_pool(
    b: Builder,
    source: SSAValue,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    ceil: bool,
    count_padding: bool,
    divisor: int | None,
) -> SSAValue:
    """The sum of each window over its size, its size inside the tensor, or `divisor`."""
    total = _pool(b, "sum", source, kernel, stride, padding, [1] * len(kernel))
    # integers truncate; what divides floats would trap in lanes beyond the end, which hold zeros
    divide, number = ("div", float) if is_float(total) else ("trunc_div", int)
    if divisor is not None:
        return b.pointwise(divide, total, number(divisor))
    if not ceil and (count_padding or not any(padding)):
        return b.pointwise(divide, total, number(math.prod(kernel)))
    counts = np.ones((), dtype=np.float64)
    rank = len(kernel)
    steps = _strides(stride, kernel)
    for d in range(rank):
        n, m = shape_of(source)[d - rank], shape_of(total)[d - rank]
        first = np.arange(m) * steps[d] - padding[d]
        low = first if count_padding else np.maximum(first, 0)
        high = np.minimum(first + kernel[d], n + padding[d] if count_padding else n)
        counts = np.multiply.outer(counts, (high - low).astype(np.float64))
    if (counts == counts.flat[0]).all():
        return b.pointwise(divide, total, number(counts.flat[0]))
    dtype = np.dtype(str(DTYPES[element_of(source)]).removeprefix("torch."))
    return b.pointwise(divide, total, b.constant("pool_counts", counts.astype(dtype)))


@rule(
    "aten.adaptive_avg_pool1d.default",
    "aten.adaptive_avg_pool2d.default",
    "aten.adaptive_avg_pool3d.default",
    "aten._adaptive_avg_pool2d.default",
    "aten._adaptive_avg_pool3d.default",
)
@rounds_once
def adaptive_avg_pool(b: Builder, source: SSAValue, size: Sequence[int]) -> SSAValue:
    """Means of equal windows; one window is a plain mean."""
    rank = len(size)
    shape = shape_of(source)
    targets = b.shape[-rank:]
    if all(t == 1 for t in targets):
        return mean(b, source, list(range(len(shape) - rank, len(shape))), True)
    if all(n % t == 0 for n, t in zip(shape[-rank:], targets, strict=True)):
        windows = [n // t for n, t in zip(shape[-rank:], targets, strict=True)]
        total = _pool(b, "sum", source, windows, windows, *_plain(windows))
        return b.pointwise("div", total, float(elements_in(windows)))
    for d, t in enumerate(targets, start=len(shape) - rank):
        starts, lengths = _uneven_windows(shape[d], t)
        total = b.reduce("sum", _gathered(b, source, d, starts, lengths, 0.0), [d + 1], False)
        count = b.constant("window_lengths", lengths.astype(np.float64))
        source = b.pointwise(
            "div", total, b.per_channel(b.cast(count, element_of(total)), len(shape), d)
        )
    return source


@rule(
    "aten.adaptive_max_pool1d.default",
    "aten.adaptive_max_pool2d.default",
    "aten.adaptive_max_pool3d.default",
)
def adaptive_max_pool(b: Builder, source: SSAValue, size: Sequence[int]) -> list[SSAValue | None]:
    """Maxima of windows of about equal size, and where in its plane each lies."""
    rank, shape = len(size), shape_of(source)
    windows = [_uneven_windows(n, t) for n, t in zip(shape[-rank:], b.shape[-rank:], strict=True)]
    largest = source
    for d, (starts, lengths) in enumerate(windows, start=len(shape) - rank):
        gathered = _gathered(b, largest, d, starts, lengths, -math.inf)
        largest = b.reduce("max", gathered, [d + 1], False)
    if 0 in b.shape or any((lengths != lengths[0]).any() for _, lengths in windows):
        return [largest, None]
    kernel = [int(lengths[0]) for _, lengths in windows]
    firsts = [list(map(int, first)) for first, _ in windows]
    return [largest, _positions(b, source, firsts, kernel, [1] * rank)]


def _uneven_windows(extent: int, count: int) -> tuple[Positions, Positions]:
    """First element and length of each of `count` windows that cover `extent` elements."""
    first = np.arange(count) * extent // max(count, 1)
    last = -(-(np.arange(count) + 1) * extent // max(count, 1))
    return first, last - first


def _gathered(
    b: Builder, source: SSAValue, dim: int, first: Positions, lengths: Positions, neutral: float
) -> SSAValue:
    """`dim` as (window, element of it); `neutral` where a window is shorter than the longest."""
    shape = shape_of(source)
    size = int(lengths.max(initial=0))
    at = np.minimum(first[:, None] + np.arange(size), shape[dim] - 1)
    picked = pick(b, source, dim, at.reshape(-1))
    value = b.reshape(picked, [*shape[:dim], len(first), size, *shape[dim + 1 :]])
    inside = np.arange(size) < lengths[:, None]
    if inside.all():
        return value
    mask = b.constant("inside", inside.reshape(*inside.shape, *[1] * (len(shape) - dim - 1)))
    return b.pointwise("where", mask, value, neutral)


def _positions(
    b: Builder,
    source: SSAValue,
    starts: Sequence[Sequence[int]],
    kernel: Sequence[int],
    dilation: Sequence[int],
) -> SSAValue:
    """The index, in the flattened plane, of the first largest element of each window.

    `starts` has the first index of every window in each dim, which may lie in the padding.
    """
    rank = len(kernel)
    extents = shape_of(source)[-rank:]
    lead = list(shape_of(source)[:-rank])
    outs = [len(s) for s in starts]
    at = np.zeros((), np.int64)
    inside = np.ones((), np.bool_)
    for n, first, k, step in zip(extents, starts, kernel, dilation, strict=True):
        along = np.asarray(first)[:, None] + np.arange(k) * step
        at = at[..., None, None] * n + np.clip(along, 0, n - 1)
        inside = inside[..., None, None] & (along >= 0) & (along < n)
    order = [*range(0, 2 * rank, 2), *range(1, 2 * rank, 2)]
    shape = [elements_in(outs), elements_in(kernel)]
    flat_at = at.transpose(order).reshape(shape)
    flat_inside = inside.transpose(order).reshape(shape)
    flat = b.reshape(source, [*lead, elements_in(extents)])
    picked = pick(b, flat, len(lead), flat_at.reshape(-1))
    windows = b.reshape(picked, [*lead, *shape])
    if not flat_inside.all():
        windows = b.pointwise(
            "where",
            b.constant("inside", flat_inside),
            windows,
            neutral_of("max", element_of(source)),
        )
    best = argmax(b, windows, len(lead) + 1, True)
    table = b.expand(b.constant("window_elements", flat_at), [*lead, *shape])
    found = picked_along(b, table, best, len(lead) + 1)
    return b.reshape(found, [*lead, *outs])


def _pool(
    b: Builder,
    fn: str,
    source: SSAValue,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> SSAValue:
    """Windows at every multiple of the stride; torch has worked out how many (ceil_mode)."""
    rank = len(kernel)
    steps = _strides(stride, kernel)
    result = b.shape
    high = []
    for d in range(rank):
        reach = (result[d - rank] - 1) * steps[d] + dilation[d] * (kernel[d] - 1) + 1
        # sizes known at run time only: what may be needed, since windows say how much is read
        high.append(max(0, upper_bound(reach - padding[d] - shape_of(source)[d - rank])))
    type = tensor_of(element_of(source), result)
    return b.emit(PoolOp(fn, source, kernel, steps, padding, high, dilation, type))


def _strides(stride: Sequence[int], kernel: Sequence[int]) -> Sequence[int]:
    """The stride, which is the kernel where not given."""
    return stride if len(stride) else kernel


def _plain(windows: Sequence[int]) -> tuple[list[int], list[int]]:
    """No padding and no dilation for `windows`."""
    return [0] * len(windows), [1] * len(windows)
