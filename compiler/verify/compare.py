"""Compare one output with its float64 reference under the error bound of the project.

An element may be off by max(4 x the largest error of eager float32, a bound from the type and the
length of the sums behind it). Integers and booleans must be equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import ml_dtypes
import numpy as np
import numpy.typing as npt

from ...dialects.reference.number_types import NARROW, is_float_type
from .report import CheckResult

Array = npt.NDArray[np.generic]
Floats = npt.NDArray[np.float64]

EAGER_FACTOR = 4.0
# Roundings outside of sums: a chain of elementary functions, each within a few units.
CONSTANT_ROUNDINGS = 16.0
# The same for types that only store; longer chains show in the error of eager.
NARROW_ROUNDINGS = 2.0
# Errors of a sum of n terms grow as a random walk, as sqrt(n); this leaves four deviations.
SUM_ROUNDINGS = 4.0


def compare(
    kind: Literal["kernel", "model"],
    name: str,
    found: Array,
    reference: Array,
    eager: Array,
    reduction_length: int,
    open_range: Floats | float = 0.0,
) -> CheckResult:
    """Compare `found` with `reference`; `eager` is the same computed in the model's own type.

    `open_range` is what elements may be off by besides, because of comparisons that rounding errors
    decide and of sums that cancel. A reference outside of the type's range, such as an overflow to
    infinity, is rounded to the type first: NaN must meet NaN and an infinity the same infinity.
    """
    if not is_float_type(found.dtype):
        return compare_exact(kind, name, found, reference, [eager])
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = reference.astype(found.dtype)
    got, want = found.astype(np.float64).reshape(-1), reference.astype(np.float64).reshape(-1)
    native = eager.astype(np.float64).reshape(-1)
    special = ~np.isfinite(rounded.reshape(-1))
    error = absolute_error(got, want, rounded.astype(np.float64).reshape(-1), special)
    eager_error = absolute_error(native, want, rounded.astype(np.float64).reshape(-1), special)
    eager_max = float(eager_error[np.isfinite(eager_error)].max(initial=0.0))
    absolute, relative = allowed_error(reference, eager.astype(found.dtype), reduction_length)
    allowed = np.maximum(absolute, relative * np.where(special, 0.0, np.abs(want)))
    allowed = allowed + np.reshape(open_range, -1)
    with np.errstate(invalid="ignore"):
        margin = np.where(error == 0.0, 0.0, error / allowed)
    # An element where eager itself differs in kind (overflows earlier, say) decides nothing.
    margin = np.where(~np.isfinite(eager_error), 0.0, margin)
    return summary(kind, name, found, got, want, error, margin, eager_max)


def absolute_error(got: Floats, want: Floats, rounded: Floats, special: npt.NDArray[Any]) -> Floats:
    """|got - want|; at NaN and infinities 0 where `got` is the same and infinity where not."""
    with np.errstate(invalid="ignore"):
        error = np.abs(got - want)
    same = (got == rounded) | (np.isnan(got) & np.isnan(rounded))
    error = np.where(special, np.where(same, 0.0, np.inf), error)
    result: Floats = np.where(np.isnan(error), np.inf, error)
    return result


def allowed_error(reference: Array, eager: Array, reduction_length: int) -> tuple[float, float]:
    """(absolute, relative): an element may be off by max(absolute, relative * |reference|).

    Sums cancel, so an element may be much smaller than its terms; the root mean square of the
    output stands for the size of the terms.
    """
    dtype: Any = eager.dtype
    with np.errstate(over="ignore", invalid="ignore"):
        ordinary = np.isfinite(reference.astype(eager.dtype)) & np.isfinite(eager)
    want = reference[ordinary].astype(np.float64)
    largest = float(np.abs(want).max(initial=0.0))
    # relative to the largest, whose square may overflow
    typical = largest * float(np.sqrt(np.mean(np.square(want / largest)))) if largest else 0.0
    eager_max = float(np.abs(eager[ordinary].astype(np.float64) - want).max(initial=0.0))
    relative = _allowed_relative(dtype, reduction_length)
    floor = float(_limits(dtype).smallest_subnormal)
    return max(EAGER_FACTOR * eager_max, relative * typical + floor), relative


def _allowed_relative(dtype: np.dtype[Any], reduction_length: int) -> float:
    """Sums of narrow floats are accumulated in float32, and rounded a few times after that."""
    sums = SUM_ROUNDINGS * float(np.sqrt(reduction_length))
    if dtype not in NARROW:
        return (CONSTANT_ROUNDINGS + sums) * float(np.finfo(dtype).eps)
    wide = (CONSTANT_ROUNDINGS + sums) * float(np.finfo(np.float32).eps)
    return NARROW_ROUNDINGS * float(_limits(dtype).eps) + wide


def _limits(dtype: np.dtype[Any]) -> Any:
    """Numpy's `finfo`, which also knows bfloat16."""
    return ml_dtypes.finfo(dtype)  # type: ignore[no-untyped-call]


def compare_exact(
    kind: Literal["kernel", "model"],
    name: str,
    found: Array,
    reference: Array,
    others: Sequence[Array],
) -> CheckResult:
    """Integers and booleans: each equal to the reference or to one of the `others`.

    (An index computed from floats, such as argmax, may legitimately follow float32 rounding.)
    """
    got, want = found.reshape(-1), reference.reshape(-1)
    wrong = got != want
    for other in others:
        wrong &= got != other.reshape(-1)
    margin = np.where(wrong, np.inf, 0.0)
    numbers = got.astype(np.float64), want.astype(np.float64)
    error = np.where(wrong, np.maximum(np.abs(numbers[0] - numbers[1]), 1.0), 0.0)
    return summary(kind, name, found, *numbers, error, margin, 0.0)


def summary(
    kind: Literal["kernel", "model"],
    name: str,
    found: Array,
    got: Floats,
    want: Floats,
    error: Floats,
    margin: Floats,
    eager_max: float,
) -> CheckResult:
    """The maxima over all elements, and the worst one."""
    if found.size == 0:
        return CheckResult(kind, name, found.dtype.name, 0, 0, 0, 0, 0, 0, (), 0, 0)
    worst = int(np.argmax(np.where(np.isnan(margin), np.inf, margin)))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        relative = np.where(error == 0.0, 0.0, error / np.abs(want))
        if is_float_type(found.dtype):
            spacing = np.spacing(np.abs(want).astype(found.dtype)).astype(np.float64)
            ulps = np.where(error == 0.0, 0.0, error / spacing)
        else:
            ulps = error
    return CheckResult(
        kind=kind,
        name=name,
        dtype=found.dtype.name,
        elements=found.size,
        max_abs=float(error.max()),
        max_rel=float(np.nanmax(relative)),
        max_ulp=float(np.nanmax(ulps)),
        eager_abs=eager_max,
        margin=float(margin[worst]),
        index=tuple(int(i) for i in np.unravel_index(worst, found.shape)),
        found=float(got[worst]),
        expected=float(want[worst]),
    )
