"""A float matrix to codes and scales: round to nearest, with the range clipped where that helps.

Both choose, per group, a scale (and zero point) and then the nearest value of the element type.
Clipping tries several fractions of the largest magnitude and keeps that of the least squared error.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ...dialects.errors import InvalidInputError, OptionError
from ...dialects.quant import (
    CodebookElement,
    IntegerElement,
    QuantizedTensor,
    WeightFormat,
    parse_format,
)
from ...dialects.quant.quantized_tensor import zero_values
from ...dialects.quant.scale_types import SCALE_TYPES
from .codebooks import fit_levels

Rounding = Literal["rtn", "mse"]
Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
CLIPPED: dict[Rounding, tuple[float, ...]] = {
    "rtn": (1.0,),
    "mse": tuple(np.linspace(1.0, 0.4, 25).tolist()),
}


def quantize_matrix(
    weight: Floats,
    format: WeightFormat | str,
    method: Rounding = "rtn",
    importance: Doubles | None = None,
) -> QuantizedTensor:
    """The [N, K] matrix `weight` in `format`; `method` "rtn" keeps the range, "mse" clips it.

    `importance` [K] weighs the squared errors that clipping compares, by column.
    """
    if isinstance(format, str):
        format = parse_format(format)
    if method not in CLIPPED:
        raise OptionError(f"quantizer {method!r}: expected one of {', '.join(CLIPPED)}")
    check_matrix(weight)
    groups = Groups(weight, format, importance)
    levels = element_levels(format, groups)
    chosen = best_ranges(groups, levels, CLIPPED[method])
    is_integer = isinstance(format.element, IntegerElement)
    return groups.tensor(*chosen, levels=None if is_integer else levels)


def check_matrix(weight: Array) -> None:
    """InvalidInputError for what cannot be quantized."""
    if weight.ndim != 2 or weight.dtype != np.float32 or 0 in weight.shape:
        raise InvalidInputError(
            f"expected a float32 matrix to quantize, got {weight.dtype} of shape {weight.shape}"
        )
    if not np.isfinite(weight).all():
        raise InvalidInputError("a weight with infinities or NaN cannot be quantized")


def best_ranges(
    groups: Groups, levels: Floats, fractions: Sequence[float]
) -> tuple[Array, Array, Array | None]:
    """(codes, scales, zeros) per group, of the fraction of the range with the least error."""
    best: tuple[Array, Array, Array | None] | None = None
    least: Doubles | None = None
    for fraction in fractions:
        codes, scales, zeros, error = groups.rounded(levels, float(fraction))
        if best is None or least is None:
            best, least = (codes, scales, zeros), error
            continue
        better = error < least
        least = np.where(better, error, least)
        chosen = np.where(better[..., None], codes, best[0])
        scale = np.where(better, scales, best[1])
        zero = None if zeros is None or best[2] is None else np.where(better, zeros, best[2])
        best = (chosen, scale, zero)
    assert best is not None
    return best


def element_levels(format: WeightFormat, groups: Groups) -> Floats:
    """The value of every code; fitted to the weight where the element type asks for it."""
    element = format.element
    if isinstance(element, CodebookElement) and element.is_fitted:
        return fit_levels(element, groups.normalized())
    return element.levels


class Groups:
    """A matrix as [blocks, columns of blocks, elements that share a scale]."""

    def __init__(
        self, weight: Floats, format: WeightFormat, importance: Doubles | None = None
    ) -> None:
        self.format = format
        self.shape = rows, columns = weight.shape
        weights = np.ones(columns) if importance is None else importance
        if format.granularity == "tensor":
            self.values = weight.astype(np.float64).reshape(1, 1, -1)
            self.inside = np.ones(self.values.shape, np.bool_)
            self.importance = np.tile(weights, rows).reshape(1, 1, -1)
            return
        size = format.group or columns
        count = format.groups(columns)
        padded = np.zeros((rows, count * size))
        padded[:, :columns] = weight
        self.values = padded.reshape(rows, count, size)
        self.inside = (np.arange(count * size) < columns).reshape(1, count, size)
        spread = np.zeros(count * size)
        spread[:columns] = weights
        self.importance = spread.reshape(1, count, size)

    def normalized(self) -> Doubles:
        """All values over the largest magnitude of their group."""
        largest = np.abs(self.values).max(axis=-1, keepdims=True)
        scaled = np.divide(self.values, largest, out=np.zeros_like(self.values), where=largest > 0)
        found: Doubles = scaled[np.broadcast_to(self.inside, scaled.shape)]
        return found

    def rounded(
        self, levels: Floats, fraction: float
    ) -> tuple[Array, Array, Array | None, Doubles]:
        """(codes, scales and zeros as stored, squared error) per group, for a clipped range."""
        format = self.format
        usable = usable_levels(format, levels)
        low, high = float(usable[0]), float(usable[-1])
        if format.zero == "none":
            scale = self.symmetric_scale(low, high, fraction)
            zero = np.zeros_like(scale)
            zeros: Array | None = None
        else:
            least = np.where(self.inside, self.values, np.inf).min(axis=-1) * fraction
            most = np.where(self.inside, self.values, -np.inf).max(axis=-1) * fraction
            least, most = np.minimum(least, 0.0), np.maximum(most, 0.0)
            scale = (most - least) / max(high - low, 1e-30) if high > low else np.abs(most - least)
            scale = self.stored_scale(scale)[1]
            zero = low - np.divide(least, scale, out=np.zeros_like(scale), where=scale > 0)
            zeros = encode_zeros(format, zero)
            zero = zero_values(format, zeros).astype(np.float64)
        raw, scale = self.stored_scale(scale)
        codes = nearest_codes(self.values, scale, zero, usable, levels)
        numbers = levels.astype(np.float64)[codes]
        back = (numbers - zero[..., None]) * scale[..., None]
        error = (np.square(back - self.values) * self.importance).sum(axis=-1)
        return codes, raw, zeros, error

    def symmetric_scale(self, low: float, high: float, fraction: float) -> Doubles:
        """The scale with which the range of the group fits that of the element type."""
        most = np.maximum(self.values.max(axis=-1), 0.0) * fraction
        least = np.minimum(self.values.min(axis=-1), 0.0) * fraction
        up = most / high if high > 0 else np.zeros_like(most)
        down = least / low if low < 0 else np.zeros_like(least)
        scale: Doubles = np.maximum(up, down)
        if self.format.scale == "e8m0":
            # OCP MX: the largest power of two of the group becomes that of the element type
            top = 2.0 ** np.floor(np.log2(max(high, -low)))
            largest = np.maximum(most, -least)
            with np.errstate(divide="ignore"):
                exponent = np.floor(np.log2(largest))
            scale = np.where(largest > 0, np.exp2(np.maximum(exponent, -126)) / top, 2.0**-127)
        return scale

    def stored_scale(self, scale: Doubles) -> tuple[Array, Doubles]:
        """What is stored for `scale`, and the number that it then is; never an infinity."""
        kind = SCALE_TYPES[self.format.scale]
        limit = {"f32": 3.4e38, "f16": 65504.0, "bf16": 3.38e38, "e8m0": 2.0**127}[kind.name]
        raw = kind.encode(np.minimum(scale, limit).astype(np.float32))
        return raw, kind.decode(raw).astype(np.float64)

    def tensor(
        self, codes: Array, scales: Array, zeros: Array | None, levels: Floats | None
    ) -> QuantizedTensor:
        """The quantized matrix."""
        rows, columns = self.shape
        if self.format.granularity == "tensor":
            flat = codes.reshape(rows, columns)
            scales = np.ascontiguousarray(np.broadcast_to(scales.reshape(1, 1), (rows, 1)))
            if zeros is not None:
                zeros = np.ascontiguousarray(np.broadcast_to(zeros.reshape(1, 1), (rows, 1)))
        else:
            flat = codes.reshape(rows, -1)[:, :columns]
        return QuantizedTensor(
            self.format, np.ascontiguousarray(flat).astype(np.uint8), scales, zeros, levels
        )


def usable_levels(format: WeightFormat, levels: Floats) -> Floats:
    """The values that codes may be chosen from, ascending."""
    element = format.element
    if isinstance(element, CodebookElement):
        return np.sort(levels)
    return element.usable


def encode_zeros(format: WeightFormat, zero: Doubles) -> Array:
    """Zero points as stored: codes for integers, else the bits of the type."""
    if format.zero != "int":
        return SCALE_TYPES[format.zero].encode(zero.astype(np.float32))
    assert isinstance(format.element, IntegerElement)
    code = np.rint((zero - format.element.offset) / format.element.step)
    return np.clip(code, 0, format.element.codes - 1).astype(np.uint8)


def nearest_codes(
    values: Doubles, scale: Doubles, zero: Doubles, usable: Floats, levels: Floats
) -> Array:
    """The code of the usable level nearest to value / scale + zero; ties go to the even code."""
    target = np.divide(
        values, scale[..., None], out=np.zeros_like(values), where=scale[..., None] > 0
    )
    target += zero[..., None]
    points = usable.astype(np.float64)
    first, step = float(points[0]), float(points[-1] - points[0]) / max(1, points.size - 1)
    if np.array_equal(points, first + step * np.arange(points.size)) and step > 0:
        code = int(np.flatnonzero(levels == usable[0])[0])  # codes ascend with the values
        target -= first - code * step
        target /= step
        return np.clip(np.rint(target, out=target), code, code + points.size - 1).astype(np.int64)
    return searched_codes(target, points, usable, levels)


def searched_codes(target: Doubles, points: Doubles, usable: Floats, levels: Floats) -> Array:
    """The code of the nearest of `points`, which ascend at unequal distances."""
    codes_of = {float(level): code for code, level in reversed(list(enumerate(levels)))}
    codes = np.array([codes_of[float(level)] for level in usable])
    upper = np.clip(np.searchsorted(points, target), 1, max(1, len(points) - 1))
    upper = np.minimum(upper, len(points) - 1)
    lower = np.maximum(upper - 1, 0)
    below, above = target - points[lower], points[upper] - target
    is_even = codes[upper] % 2 == 0
    take_upper = (above < below) | ((above == below) & is_even)
    return np.where(take_upper, codes[upper], codes[lower])
