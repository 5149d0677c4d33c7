"""Transposed convolutions as `graph.conv`: results between inputs become channels.

A step of s puts s results in the place of each input, of which result r is a sum over every s-th
weight from r on. All s of them are channels of one convolution without step, which a view then lays
side by side. Zeros between the inputs would cost s times as many products per dim.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from xdsl.ir import SSAValue
from xdsl.ir.affine import AffineExpr

from ...dialects.graph import shape_of
from .builder import Builder
from .convolution import conv, convolved, with_batch
from .joins import constant_pad, pad_with
from .rules import rule


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
    source = with_batch(b, source, weight)
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
    """The gradient of `convolved` in its source: source [B, I, *spatial], weight [I, O / g, *k].

    Dims with a step and a dilation are spread out by zeros. Weights of unequal numbers per result
    are filled up with zeros, so that infinities next to them give NaN.
    """
    spatial = len(shape_of(weight)) - 2
    steps = list(stride)
    for d in range(spatial):
        if dilation[d] > 1:
            source = _spread_out(b, source, 2 + d, steps[d])
            steps[d] = 1
    extents = [
        (n - 1) * s - 2 * p + dil * (k - 1) + extra + 1
        for n, s, p, dil, k, extra in zip(
            shape_of(source)[2:],
            steps,
            padding,
            dilation,
            shape_of(weight)[2:],
            output_padding,
            strict=True,
        )
    ]
    amounts: list[int] = []
    for d in reversed(range(spatial)):
        # result y lies at y + padding = q step + r, and reads the inputs q, q - 1, ...
        reach = dilation[d] * (shape_of(weight)[2 + d] - 1)
        after = (reach + output_padding[d] - padding[d]) // steps[d]
        amounts += [reach // steps[d] - padding[d] // steps[d], after]
    source = constant_pad(b, source, amounts, 0)
    mirrored = _phases(b, weight, steps, groups)
    if bias is not None and prod(steps) > 1:
        bias = _per_phase(b, bias, prod(steps), groups)
    ones, none = [1] * spatial, [0] * spatial
    value = convolved(b, source, mirrored, bias, ones, none, dilation, groups)
    first = [p % s for p, s in zip(padding, steps, strict=True)]
    return _side_by_side(b, value, steps, first, groups, extents)


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


def _phases(b: Builder, weight: SSAValue, steps: Sequence[int], groups: int) -> SSAValue:
    """[I, O / g, *k] to [g * steps * O / g, I / g, *ceil(k / step)], every kernel dim reversed."""
    inputs, outputs, *kernel = shape_of(weight)
    lengths = [-(-k // s) for k, s in zip(kernel, steps, strict=True)]
    missing = [n * s - k for n, s, k in zip(lengths, steps, kernel, strict=True)]
    value = pad_with(b, weight, [0] * (2 + len(kernel)), [0, 0, *missing], 0)
    split = [n for pair in zip(lengths, steps, strict=True) for n in pair]
    value = b.reshape(value, [groups, inputs // groups, outputs, *split])
    taps, phases = range(3, 3 + len(split), 2), range(4, 3 + len(split), 2)
    for d, length in zip(taps, lengths, strict=True):
        value = b.slice(value, d, length - 1, length, -1)
    value = b.permute(value, [0, *phases, 2, 1, *taps])
    return b.reshape(value, [groups * prod(steps) * outputs, inputs // groups, *lengths])


def _per_phase(b: Builder, bias: SSAValue, count: int, groups: int) -> SSAValue:
    """[O] to [g * count * O / g]."""
    (outputs,) = shape_of(bias)
    per_group = outputs // groups
    value = b.reshape(bias, [groups, 1, per_group])
    value = b.expand(value, [groups, count, per_group])
    return b.reshape(value, [outputs * count])


def _side_by_side(
    b: Builder,
    source: SSAValue,
    steps: Sequence[int],
    first: Sequence[int],
    groups: int,
    extents: Sequence[int],
) -> SSAValue:
    """Results [B, O, *extents] of phases [B, g * steps * O / g, *positions], from `first` on."""
    count = prod(steps)
    if count == 1:
        return source
    batch, channels = shape_of(source)[:2]
    outputs = channels // count
    per_group = outputs // groups
    channel = AffineExpr.dimension(1)
    phase, positions = AffineExpr.constant(0), []
    for d, (step, start) in enumerate(zip(steps, first, strict=True), start=2):
        at = AffineExpr.dimension(d) + start if start else AffineExpr.dimension(d)
        positions.append(at if step == 1 else at // step)
        phase = phase * step if step == 1 else phase * step + at % step
    index = phase * per_group + channel
    if groups > 1:
        index = (channel // per_group * count + phase) * per_group + channel % per_group
    shape = [batch, outputs, *extents]
    return b.view(source, [AffineExpr.dimension(0), index, *positions], shape)
