"""Pooling: `graph.pool` windows, and adaptive pooling where its windows are regular."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.dialects.builtin import TensorType
from xdsl.ir import SSAValue

from ...dialects.graph import PoolOp, element_of, shape_of
from .builder import Builder, elements_in
from .reductions import mean
from .rounding import rounds_once
from .rules import UnsupportedUse, rule
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
    """max_pool; the positions are not computed."""
    return [_pool(b, "max", source, kernel, stride, padding, dilation), None]


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
    if divisor is not None:
        return b.pointwise("div", total, float(divisor))
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
        return b.pointwise("div", total, float(counts.flat[0]))
    dtype = np.dtype(str(DTYPES[element_of(source)]).removeprefix("torch."))
    return b.pointwise("div", total, b.constant("pool_counts", counts.astype(dtype)))


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
    targets = b.out.get_shape()[-rank:]
    if all(t == 1 for t in targets):
        return mean(b, source, list(range(len(shape) - rank, len(shape))), True)
    windows = _equal_windows(shape[-rank:], targets)
    total = _pool(b, "sum", source, windows, windows, *_plain(windows))
    return b.pointwise("div", total, float(elements_in(windows)))


@rule(
    "aten.adaptive_max_pool1d.default",
    "aten.adaptive_max_pool2d.default",
    "aten.adaptive_max_pool3d.default",
)
def adaptive_max_pool(b: Builder, source: SSAValue, size: Sequence[int]) -> list[SSAValue | None]:
    """Maxima of equal windows; the positions are not computed."""
    windows = _equal_windows(shape_of(source)[-len(size) :], b.out.get_shape()[-len(size) :])
    return [_pool(b, "max", source, windows, windows, *_plain(windows)), None]


def _equal_windows(extents: Sequence[int], targets: Sequence[int]) -> list[int]:
    for n, t in zip(extents, targets, strict=True):
        if n % t:
            raise UnsupportedUse(f"adaptive pooling of {n} elements to {t} has unequal windows")
    return [n // t for n, t in zip(extents, targets, strict=True)]


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
    result = b.out.get_shape()
    high = []
    for d in range(rank):
        reach = (result[d - rank] - 1) * steps[d] + dilation[d] * (kernel[d] - 1) + 1
        high.append(max(0, reach - padding[d] - shape_of(source)[d - rank]))
    type = TensorType(element_of(source), result)
    return b.emit(PoolOp(fn, source, kernel, steps, padding, high, dilation, type))


def _strides(stride: Sequence[int], kernel: Sequence[int]) -> Sequence[int]:
    """The stride, which is the kernel where not given."""
    return stride if len(stride) else kernel


def _plain(windows: Sequence[int]) -> tuple[list[int], list[int]]:
    """No padding and no dilation for `windows`."""
    return [0] * len(windows), [1] * len(windows)
