"""Gradient formulas that training graphs hold and torch does not take apart."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import SSAValue

from ...dialects.graph import shape_of
from .builder import Builder
from .convolution import convolved
from .rounding import rounds_once
from .rules import rule
from .transposed_convolution import convolved_back


@rule("aten.silu_backward.default")
@rounds_once
def silu_backward(b: Builder, gradient: SSAValue, source: SSAValue) -> SSAValue:
    """The derivative of x * s, where s is the sigmoid of x, is s * (1 + x * (1 - s))."""
    s = b.pointwise("sigmoid", source)
    slope = b.pointwise("mul", source, b.pointwise("sub", 1.0, s))
    slope = b.pointwise("mul", s, b.pointwise("add", 1.0, slope))
    return b.pointwise("mul", gradient, slope)


@rule("aten.convolution_backward.default")
def convolution_backward(
    b: Builder,
    gradient: SSAValue,
    source: SSAValue,
    weight: SSAValue,
    bias_sizes: Sequence[int] | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
    wanted: Sequence[bool],
) -> list[SSAValue | None]:
    """Gradients of input, weight and bias, each where it is `wanted`.

    A convolution is linear in its input and in its weight, so both are convolutions again.
    """
    found: list[SSAValue | None] = [None, None, None]
    if wanted[0] and transposed:
        found[0] = convolved(b, gradient, weight, None, stride, padding, dilation, groups)
    elif wanted[0]:
        # what strides leave over at the end was read by no window
        rest = [
            n - ((m - 1) * s - 2 * p + d * (k - 1) + 1)
            for n, m, s, p, d, k in zip(
                shape_of(source)[2:],
                shape_of(gradient)[2:],
                stride,
                padding,
                dilation,
                shape_of(weight)[2:],
                strict=True,
            )
        ]
        found[0] = convolved_back(
            b, gradient, weight, None, stride, padding, rest, groups, dilation
        )
    if wanted[1]:
        read, slid = (gradient, source) if transposed else (source, gradient)
        found[1] = _weight_gradient(b, read, slid, weight, stride, padding, dilation, groups)
    if wanted[2]:
        dims = [d for d in range(len(shape_of(gradient))) if d != 1]
        found[2] = b.reduce("sum", gradient, dims, False)
    return found


def _weight_gradient(
    b: Builder,
    source: SSAValue,
    gradient: SSAValue,
    weight: SSAValue,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> SSAValue:
    """[O, C / g, *kernel]: `gradient` slides over `source`, images being the channels to sum over;
    strides and dilation change places."""
    images, channels, *extents = shape_of(source)
    inner = channels // groups
    source = b.reshape(source, [images, groups, inner, *extents])
    source = b.permute(source, [2, 1, 0, *range(3, 3 + len(extents))])
    source = b.reshape(source, [inner, groups * images, *extents])
    value = convolved(b, source, b.swap(gradient, 0, 1), None, dilation, padding, stride, groups)
    for d, k in enumerate(shape_of(weight)[2:], start=2):
        value = b.slice(value, d, 0, k)
    return b.swap(value, 0, 1)
