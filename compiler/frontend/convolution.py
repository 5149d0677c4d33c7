"""Convolutions: `graph.conv`, with asymmetric padding and transposition expressed around it."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import SSAValue

from ...dialects.graph import ConvOp, element_of, shape_of, tensor_of
from .builder import Builder
from .joins import constant_pad, pad_with
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
    source = _with_batch(b, source, weight)
    value = convolved(b, source, weight, bias, stride, padding, dilation, groups)
    return b.reshape(value, b.shape)


def _with_batch(b: Builder, source: SSAValue, weight: SSAValue) -> SSAValue:
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


@rule("aten.convolution.default")
def convolution(
    b: Builder,
    source: SSAValue,
    weight: SSAValue,
    bias: SSAValue | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> SSAValue:
    """Either direction."""
    if transposed:
        return conv_transpose(
            b, source, weight, bias, stride, padding, output_padding, groups, dilation
        )
    return conv(b, source, weight, bias, stride, padding, dilation, groups)


@rule(
    "aten.conv_transpose1d.default",
    "aten.conv_transpose2d.input",
    "aten.conv_transpose3d.input",
)
def conv_transpose(
    b: Builder,
    source: SSAValue,
    weight: SSAValue,
    bias: SSAValue | None,
    stride: Sequence[int],
    padding: Sequence[int],
    output_padding: Sequence[int],
    groups: int,
    dilation: Sequence[int],
) -> SSAValue:
    """The transpose of a convolution; an input without batch dim gets one."""
    source = _with_batch(b, source, weight)
    value = convolved_back(
        b, source, weight, bias, stride, padding, output_padding, groups, dilation
    )
    return b.reshape(value, b.shape)


def convolved_back(
    b: Builder,
    source: SSAValue,
    weight: SSAValue,
    bias: SSAValue | None,
    stride: Sequence[int],
    padding: Sequence[int],
    output_padding: Sequence[int],
    groups: int,
    dilation: Sequence[int],
) -> SSAValue:
    """A convolution of the input with zeros between its elements by the mirrored weight."""
    spatial = len(shape_of(weight)) - 2
    for d, step in enumerate(stride, start=2):
        source = _spread_out(b, source, d, step)
    amounts: list[int] = []
    for d in reversed(range(spatial)):
        reach = dilation[d] * (shape_of(weight)[2 + d] - 1)
        amounts += [reach - padding[d], reach - padding[d] + output_padding[d]]
    source = constant_pad(b, source, amounts, 0)
    mirrored = _mirror(b, weight, groups)
    ones, none = [1] * spatial, [0] * spatial
    return convolved(b, source, mirrored, bias, ones, none, dilation, groups)


def _spread_out(b: Builder, source: SSAValue, dim: int, step: int) -> SSAValue:
    """`step - 1` zeros between neighbours along `dim`."""
    if step == 1:
        return source
    shape = list(shape_of(source))
    n = shape[dim]
    high = [0] * (len(shape) + 1)
    high[dim + 1] = step - 1
    pairs = b.reshape(source, [*shape[: dim + 1], 1, *shape[dim + 1 :]])
    padded = pad_with(b, pairs, [0] * len(high), high, 0)
    shape[dim] = n * step
    return b.slice(b.reshape(padded, shape), dim, 0, (n - 1) * step + 1)


def _mirror(b: Builder, weight: SSAValue, groups: int) -> SSAValue:
    """[I, O / g, *k] to [O, I / g, *k], every kernel dim reversed."""
    inputs, outputs, *kernel = shape_of(weight)
    value = weight
    for d, k in enumerate(kernel, start=2):
        value = b.slice(value, d, k - 1, k, -1)
    value = b.reshape(value, [groups, inputs // groups, outputs, *kernel])
    value = b.swap(value, 1, 2)
    return b.reshape(value, [groups * outputs, inputs // groups, *kernel])
