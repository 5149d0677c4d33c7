"""Products of constant matrices with vectors, by as few operations as their symmetries allow.

Two rows that differ in signs only have an even and an odd part, which are computed once; of two
such columns the sum and the difference are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from xdsl.ir import SSAValue

from .vectors import Vectors

Floats = npt.NDArray[np.float64]


def multiply(v: Vectors, matrix: Floats, values: Sequence[SSAValue]) -> list[SSAValue]:
    """`matrix` times the column of `values`."""
    matrix, values = _fold_columns(v, matrix, values)
    found: dict[int, SSAValue] = {}
    for i, row in enumerate(matrix):
        if i in found:
            continue
        j = next((k for k in range(i + 1, len(matrix)) if _is_pair(row, matrix[k])), None)
        if j is None:
            found[i] = _sum(v, row, values)
            continue
        odd = (row - matrix[j]) / 2
        factor = odd[np.flatnonzero(odd)[-1]]
        even, difference = _sum(v, (row + matrix[j]) / 2, values), _sum(v, odd / factor, values)
        found[i] = _plus(v, even, float(factor), difference)
        found[j] = _plus(v, even, -float(factor), difference)
    return [found[i] for i in range(len(matrix))]


def both_sides(
    v: Vectors, matrix: Floats, values: Sequence[Sequence[SSAValue]]
) -> list[list[SSAValue]]:
    """`matrix` times `values` times the transpose of `matrix`."""
    columns = [multiply(v, matrix, column) for column in zip(*values, strict=True)]
    return [multiply(v, matrix, row) for row in zip(*columns, strict=True)]


def _is_pair(a: Floats, b: Floats) -> bool:
    """Whether `a` and `b` differ in the signs of some, not of all."""
    return bool(np.all(np.abs(a) == np.abs(b)) and np.any(a != b) and np.any((a == b) & (a != 0)))


def _fold_columns(
    v: Vectors, matrix: Floats, values: Sequence[SSAValue]
) -> tuple[Floats, list[SSAValue]]:
    """The same product with sums and differences in the place of pairs of columns."""
    matrix, values = matrix.copy(), list(values)
    done: set[int] = set()
    for i in range(len(values)):
        j = next((k for k in range(i + 1, len(values)) if _is_pair(matrix[:, i], matrix[:, k])), -1)
        if i in done or j in done or j < 0:
            continue
        done |= {i, j}
        a, b = matrix[:, i].copy(), matrix[:, j].copy()
        values[i], values[j] = v.add(values[i], values[j]), v.sub(values[i], values[j])
        matrix[:, i], matrix[:, j] = np.where(a == b, a, 0.0), np.where(a == b, 0.0, a)
    return matrix, values


def _sum(v: Vectors, coefficients: Floats, values: Sequence[SSAValue]) -> SSAValue:
    """The sum of `values`, those with the coefficient 1 first."""
    terms = [(float(c), x) for c, x in zip(coefficients, values, strict=True) if c != 0]
    terms.sort(key=lambda term: term[0] != 1)
    factor, total = terms[0]
    if factor != 1:
        total = v.mul(v.constant(factor), total)
    for factor, value in terms[1:]:
        total = _plus(v, total, factor, value)
    return total


def _plus(v: Vectors, total: SSAValue, factor: float, value: SSAValue) -> SSAValue:
    """total + factor * value."""
    if factor == 1:
        return v.add(total, value)
    if factor == -1:
        return v.sub(total, value)
    return v.multiply_add(value, v.constant(factor), total)
