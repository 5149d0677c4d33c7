"""Convolutions: `graph.conv`, with asymmetric padding expressed around it."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import SSAValue

from ...dialects.graph import ConvOp, element_of, shape_of, tensor_of
from .builder import Builder
from .joins import pad_with
from .rules import rule


@rule("aten.conv1d.default", "aten.conv2d.default", "aten.conv3d.default")
def conv(
    b: Builder,
    source: SSAValue,
    weight: SSAValue,
    bias: SSAValue | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> SSAValue:
    """Cross-correlation; an input without batch dim gets one."""
    source = with_batch(b, source, weight)
    value = convolved(b, source, weight, bias, stride, padding, dilation, groups)
    return b.reshape(value, b.shape)


def with_batch(b: Builder, source: SSAValue, weight: SSAValue) -> SSAValue:
    """`source` with a batch dim, of 1 where it has none."""
    lacks = len(shape_of(source)) < len(shape_of(weight))
    return b.reshape(source, [1, *shape_of(source)]) if lacks else source


def convolved(
    b: Builder,
    source: SSAValue,
    weight: SSAValue,
    bias: SSAValue | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> SSAValue:
    """Cross-correlation of [B, C, *spatial]."""
    extents = [
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(
            shape_of(source)[2:], shape_of(weight)[2:], stride, padding, dilation, strict=True
        )
    ]
    shape = [shape_of(source)[0], shape_of(weight)[0], *extents]
    type = tensor_of(element_of(source), shape)
    return b.emit(ConvOp(source, weight, bias, stride, padding, dilation, groups, type))


@rule("aten.conv1d.padding", "aten.conv2d.padding", "aten.conv3d.padding")
def conv_named_padding(
    b: Builder,
    source: SSAValue,
    weight: SSAValue,
    bias: SSAValue | None,
    stride: Sequence[int],
    padding: str,
    dilation: Sequence[int],
    groups: int,
) -> SSAValue:
    """Padding "same" keeps the extents (the odd element goes to the end), "valid" pads nothing."""
    spatial = len(shape_of(weight)) - 2
    none = [0] * spatial
    if padding == "valid":
        return conv(b, source, weight, bias, stride, none, dilation, groups)
    total = [d * (k - 1) for k, d in zip(shape_of(weight)[2:], dilation, strict=True)]
    if all(t % 2 == 0 for t in total):
        return conv(b, source, weight, bias, stride, [t // 2 for t in total], dilation, groups)
    lead = [0] * (len(shape_of(source)) - spatial)
    low = [*lead, *(t // 2 for t in total)]
    high = [*lead, *(t - t // 2 for t in total)]
    source = pad_with(b, source, low, high, 0)
    return conv(b, source, weight, bias, stride, none, dilation, groups)
