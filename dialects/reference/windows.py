"""Convolution and pooling in numpy, over strided windows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided

Array = npt.NDArray[Any]


def windows(
    source: Array, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> Array:
    """[..., *spatial] to [..., *positions, *kernel], without copying."""
    lead = source.ndim - len(kernel)
    positions, steps, inner = [], [], []
    for d, (k, s, gap) in enumerate(zip(kernel, stride, dilation, strict=True), start=lead):
        positions.append((source.shape[d] - gap * (k - 1) - 1) // s + 1)
        steps.append(source.strides[d] * s)
        inner.append(source.strides[d] * gap)
    return as_strided(
        source,
        (*source.shape[:lead], *positions, *kernel),
        (*source.strides[:lead], *steps, *inner),
        writeable=False,
    )


def convolve(
    source: Array,
    weight: Array,
    stride: Sequence[int],
    padding: Sequence[tuple[int, int]],
    dilation: Sequence[int],
    groups: int,
) -> Array:
    """Cross-correlation of [B, C, *spatial] with [O, C / groups, *kernel].

    `padding` has the zeros before and behind per spatial dim.
    """
    rank = weight.ndim - 2
    source = np.pad(source, [(0, 0), (0, 0), *padding])
    patches = windows(source, weight.shape[2:], stride, dilation)
    per_group = weight.shape[1]
    filters = weight.shape[0] // groups
    # contracted: the channels of the group and all kernel dims
    axes = [1, *range(2 + rank, 2 + 2 * rank)], [1, *range(2, 2 + rank)]
    parts = []
    for g in range(groups):
        channels = patches[:, g * per_group : (g + 1) * per_group]
        kernels = weight[g * filters : (g + 1) * filters]
        parts.append(np.tensordot(channels, kernels, axes=axes))
    return np.moveaxis(np.concatenate(parts, axis=-1), -1, 1)


def pool(
    fn: str,
    source: Array,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding_low: Sequence[int],
    padding_high: Sequence[int],
    dilation: Sequence[int],
) -> Array:
    """Maxima or sums of windows of the trailing dims; padding never wins and adds nothing."""
    lead = source.ndim - len(kernel)
    width = [*[(0, 0)] * lead, *zip(padding_low, padding_high, strict=True)]
    padded = np.pad(source, width, constant_values=_neutral(fn, source.dtype))
    patches = windows(padded, kernel, stride, dilation)
    axes = tuple(range(source.ndim, patches.ndim))
    return np.asarray(patches.max(axis=axes) if fn == "max" else patches.sum(axis=axes))


def _neutral(fn: str, dtype: np.dtype[Any]) -> Any:
    if fn == "sum":
        return dtype.type(0)
    return -np.inf if dtype.kind == "f" else np.iinfo(dtype).min
