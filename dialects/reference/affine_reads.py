"""Read whole arrays through affine maps: as strided views where the map is linear."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from xdsl.ir.affine import (
    AffineBinaryOpExpr,
    AffineBinaryOpKind,
    AffineConstantExpr,
    AffineDimExpr,
    AffineExpr,
    AffineMap,
)

Array = npt.NDArray[Any]


def linear_form(expr: AffineExpr, rank: int) -> tuple[list[int], int] | None:
    """Coefficients per dim and constant of `expr`; None where it divides."""
    if isinstance(expr, AffineConstantExpr):
        return [0] * rank, expr.value
    if isinstance(expr, AffineDimExpr):
        return [int(d == expr.position) for d in range(rank)], 0
    if not isinstance(expr, AffineBinaryOpExpr):
        return None
    left, right = linear_form(expr.lhs, rank), linear_form(expr.rhs, rank)
    if left is None or right is None:
        return None
    if expr.kind == AffineBinaryOpKind.Add:
        return [a + b for a, b in zip(left[0], right[0], strict=True)], left[1] + right[1]
    if expr.kind == AffineBinaryOpKind.Mul and not any(right[0]):
        return [a * right[1] for a in left[0]], left[1] * right[1]
    return None


def read_through(array: Array, map: AffineMap, extents: Sequence[int]) -> Array:
    """array[map(i)] for i over `extents`; dims that `map` does not use have extent 1."""
    used = map.used_dims()
    shape = [n if d in used else 1 for d, n in enumerate(extents)]
    if 0 in shape:
        return np.empty(shape, array.dtype)
    forms = [linear_form(expr, map.num_dims) for expr in map.results]
    linear = [form for form in forms if form is not None]
    if len(linear) < len(forms):
        grids = np.ogrid[tuple(slice(n) for n in shape)]
        index = tuple(np.asarray(_evaluate(expr, grids)) for expr in map.results)
        return np.broadcast_to(array[index], shape)
    _check_in_range(array, map, linear, shape)
    strides = [
        sum(form[0][d] * step for form, step in zip(linear, array.strides, strict=True))
        for d in range(map.num_dims)
    ]
    origin = array[tuple(slice(constant, None) for _, constant in linear)]
    return np.lib.stride_tricks.as_strided(origin, shape, strides, writeable=False)


def _evaluate(expr: AffineExpr, dims: Sequence[Array]) -> Array:
    if isinstance(expr, AffineConstantExpr):
        return np.asarray(expr.value)
    if isinstance(expr, AffineDimExpr):
        return dims[expr.position]
    assert isinstance(expr, AffineBinaryOpExpr), f"affine expression {expr} has symbols"
    left, right = _evaluate(expr.lhs, dims), _evaluate(expr.rhs, dims)
    match expr.kind:
        case AffineBinaryOpKind.Add:
            return left + right
        case AffineBinaryOpKind.Mul:
            return left * right
        case AffineBinaryOpKind.FloorDiv:
            return left // right
        case AffineBinaryOpKind.CeilDiv:
            return -(-left // right)
        case AffineBinaryOpKind.Mod:
            return left % right


def _check_in_range(
    array: Array, map: AffineMap, forms: Sequence[tuple[list[int], int]], shape: Sequence[int]
) -> None:
    """A strided view is not bounds-checked by numpy, so the corners are checked here."""
    for (coefficients, constant), extent in zip(forms, array.shape, strict=True):
        reach = [c * (n - 1) for c, n in zip(coefficients, shape, strict=True)]
        low = constant + sum(r for r in reach if r < 0)
        high = constant + sum(r for r in reach if r > 0)
        if low < 0 or high >= extent:
            raise IndexError(f"map {map} over {tuple(shape)} leaves an array of {array.shape}")
