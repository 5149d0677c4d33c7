"""Round column by column, moving each error into the columns that are still to be rounded.

in:  a matrix W [N, K], the second moments H [K, K] of the inputs it will meet, a format
out: codes whose product with such inputs differs less from W x than nearest codes do

Frantar et al. 2022, GPTQ, algorithm 1. Columns go in the order of falling H[k, k], and scales are
fixed beforehand from W (clipped where the weighted error is least), so that groups stay contiguous.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ...dialects.errors import InvalidInputError
from ...dialects.quant import IntegerElement, QuantizedTensor, WeightFormat
from ...dialects.quant.quantized_tensor import zero_values
from ...dialects.quant.scale_types import SCALE_TYPES
from .quantizers import (
    CLIPPED,
    Groups,
    best_ranges,
    check_matrix,
    element_levels,
    nearest_codes,
    usable_levels,
)

Array = npt.NDArray[Any]
Doubles = npt.NDArray[np.float64]
DAMPING = 0.01  # of the mean diagonal, as in the paper
BLOCK = 128  # columns whose errors reach the rest of the matrix in one product


def gptq_matrix(
    weight: npt.NDArray[np.float32], format: WeightFormat, moments: Doubles
) -> QuantizedTensor:
    """`weight` [N, K] in `format`; `moments` [K, K] is the sum of x x^T over calibration inputs."""
    check_matrix(weight)
    rows, columns = weight.shape
    if moments.shape != (columns, columns):
        raise InvalidInputError(
            f"expected moments of {columns} inputs, found shape {moments.shape}: calibrate with "
            "the model that is quantized"
        )
    groups = Groups(weight, format, np.diag(moments))
    levels = element_levels(format, groups)
    codes, scales, zeros = best_ranges(groups, levels, CLIPPED["mse"])
    nearest = groups.tensor(codes, scales, zeros, levels)
    scale, zero = by_column(nearest)
    order = np.argsort(-np.diag(moments), kind="stable")
    factor = inverse_factor(moments[np.ix_(order, order)])
    usable = usable_levels(format, levels)

    left = weight.astype(np.float64)[:, order]
    found = np.empty((rows, columns), np.uint8)
    numbers = levels.astype(np.float64)
    for start in range(0, columns, BLOCK):
        stop = min(start + BLOCK, columns)
        errors = np.empty((rows, stop - start))
        for k in range(start, stop):
            column = order[k]
            step, origin = scale[:, column], zero[:, column]
            code = nearest_codes(left[:, k, None], step, origin, usable, levels)[:, 0]
            found[:, column] = code
            error = (left[:, k] - (numbers[code] - origin) * step) / factor[k, k]
            left[:, k:stop] -= np.outer(error, factor[k, k:stop])
            errors[:, k - start] = error
        left[:, stop:] -= errors @ factor[start:stop, stop:]
    stored = None if isinstance(format.element, IntegerElement) else levels
    return QuantizedTensor(format, found, nearest.scales, nearest.zeros, stored)


def by_column(tensor: QuantizedTensor) -> tuple[Doubles, Doubles]:
    """Scales and zero points as numbers, [N, K]."""
    rows, columns = tensor.shape
    group = tensor.format.group or columns

    def spread(values: Array) -> Doubles:
        return np.repeat(values.astype(np.float64), group, axis=1)[:, :columns]

    scale = spread(SCALE_TYPES[tensor.format.scale].decode(tensor.scales))
    if tensor.zeros is None:
        return scale, np.zeros((rows, columns))
    return scale, spread(zero_values(tensor.format, tensor.zeros))


def inverse_factor(moments: Doubles) -> Doubles:
    """Upper U with U^T U = inv(moments), damped; inputs that are always 0 get a diagonal of 1."""
    from scipy.linalg import cho_factor, cho_solve, cholesky  # cached models skip scipy

    damped = moments.copy()
    diagonal = np.diag(damped)
    silent = diagonal == 0
    ridge = DAMPING * float(diagonal.mean()) if diagonal.any() else 1.0
    damped[np.diag_indices_from(damped)] += np.where(silent, 1.0, ridge)
    inverse = cho_solve(cho_factor(damped, lower=True), np.eye(len(damped)))
    upper: Doubles = cholesky((inverse + inverse.T) / 2, lower=False)
    return upper
