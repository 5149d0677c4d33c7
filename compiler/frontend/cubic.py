"""Cubic convolution: what four neighbours weigh at a position between the inner two, and resizing.

Keys, "Cubic convolution interpolation for digital image processing", 1981, equation 4, whose a is
torch's -0.75: one polynomial of the distance for neighbours within 1, one for those within 2.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.dialects.builtin import f32, f64
from xdsl.ir import SSAValue

from ...dialects.graph import element_of, shape_of
from .builder import Builder
from .resampling import computed_places, pick, places_of, sampling
from .rules import rule

SLOPE = -0.75
NEAR = (SLOPE + 2.0, -(SLOPE + 3.0), 0.0, 1.0)
FAR = (SLOPE, -5 * SLOPE, 8 * SLOPE, -4 * SLOPE)
"""Factors, the highest power first."""
Neighbours = list[tuple[int, SSAValue]]
"""Places beside the one below a position, and their weights."""


def cubic(b: Builder, above: SSAValue) -> Neighbours:
    """Four neighbours of what lies `above` one of them, weighed by their distances."""
    below = b.pointwise("sub", 1.0, above)
    outer = [b.pointwise("add", x, 1.0) for x in (above, below)]
    return [
        (-1, _polynomial(b, outer[0], FAR)),
        (0, _polynomial(b, above, NEAR)),
        (1, _polynomial(b, below, NEAR)),
        (2, _polynomial(b, outer[1], FAR)),
    ]


def _polynomial(b: Builder, x: SSAValue, factors: tuple[float, ...]) -> SSAValue:
    value = b.full(factors[0], element_of(x))
    for factor in factors[1:]:
        value = b.pointwise("add", b.pointwise("mul", value, x), factor)
    return value


@rule("aten.upsample_bicubic2d.default")
def upsample_bicubic(
    b: Builder, source: SSAValue, _size: object, align_corners: bool, *scales: float | None
) -> SSAValue:
    """The trailing two dims resized; a scale, where given, wins over the ratio of the extents.
    16-bit floats are computed in f32 and rounded once, as torch does."""
    value = b.cast(source, element_of(source) if element_of(source) == f64 else f32)
    first = len(shape_of(source)) - len(scales)
    for dim, scale in enumerate(scales, start=first):
        ratio, start = sampling(shape_of(value)[dim], b.shape[dim], align_corners, scale)
        value = _resized(b, value, dim, ratio, start)
    return b.cast(value, b.out_element)


@rule("aten.upsample_bicubic2d.vec")
def upsample_bicubic_vec(
    b: Builder,
    source: SSAValue,
    _size: object,
    align_corners: bool,
    scales: Sequence[float] | None,
) -> SSAValue:
    """The same with one list of scales, or none."""
    return upsample_bicubic(b, source, None, align_corners, *(scales or (None, None)))


def _resized(b: Builder, source: SSAValue, dim: int, ratio: float, start: float) -> SSAValue:
    """One dim, whose element i lies at (i + start) * ratio - start of the source: the sum of four
    picks."""
    shape, element, wanted = shape_of(source), element_of(source), b.shape[dim]
    at = places_of(wanted, ratio, start, np.float64 if element == f64 else np.float32)
    low = np.floor(at).astype(np.int64)
    near = b.cast(b.constant("positions", low), element)
    above = b.pointwise("sub", computed_places(b, wanted, ratio, start, element), near)
    along = b.reshape(above, [wanted, *[1] * (len(shape) - 1 - dim)])
    total: SSAValue | None = None
    for offset, weight in cubic(b, along):
        taken = pick(b, source, dim, np.clip(low + offset, 0, shape[dim] - 1))
        term = b.pointwise("mul", taken, weight)
        total = term if total is None else b.pointwise("add", total, term)
    assert total is not None
    return total
