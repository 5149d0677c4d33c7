"""`graph.view` in numpy: strides where the map is affine, index arrays where it is not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided
from xdsl.ir.affine import (
    AffineBinaryOpExpr,
    AffineBinaryOpKind,
    AffineConstantExpr,
    AffineDimExpr,
    AffineExpr,
    AffineMap,
)

Array = npt.NDArray[Any]


def apply_map(map: AffineMap, source: Array, shape: Sequence[int]) -> Array:
    """result[i] = source[map(i)] for every i inside `shape`."""
    forms = [linear_form(expr, map.num_dims) for expr in map.results]
    if 0 in shape:
        return np.empty(shape, source.dtype)
    if any(form is None for form in forms):
        grid = np.indices(tuple(shape), sparse=True)
        where = [np.broadcast_to(_on_grid(e, grid), shape) for e in map.results]
        return np.asarray(source[tuple(where)])
    _check_is_inside(forms, source, shape)
    strides = [0] * len(shape)
    first = []
    for form, stride in zip(forms, source.strides, strict=True):
        assert form is not None
        *factors, constant = form
        first.append(slice(constant, None))
        for d, factor in enumerate(factors):
            strides[d] += factor * stride
    # starting every dim at its constant moves the base pointer to the first element read
    return as_strided(source[tuple(first)], tuple(shape), strides, writeable=False)


def linear_form(expr: AffineExpr, rank: int) -> tuple[int, ...] | None:
    """Factors of the dims, then the constant; None where `expr` divides or takes a remainder."""
    if isinstance(expr, AffineConstantExpr):
        return (*[0] * rank, expr.value)
    if isinstance(expr, AffineDimExpr):
        return (*(int(d == expr.position) for d in range(rank)), 0)
    assert isinstance(expr, AffineBinaryOpExpr)
    lhs, rhs = linear_form(expr.lhs, rank), linear_form(expr.rhs, rank)
    if lhs is None or rhs is None:
        return None
    if expr.kind is AffineBinaryOpKind.Add:
        return tuple(a + b for a, b in zip(lhs, rhs, strict=True))
    if expr.kind is AffineBinaryOpKind.Mul:
        return tuple(a * rhs[-1] for a in lhs)
    return None


def _check_is_inside(
    forms: Sequence[tuple[int, ...] | None], source: Array, shape: Sequence[int]
) -> None:
    """Strided access reads raw memory, so a map that leaves its source must be caught."""
    for form, extent in zip(forms, source.shape, strict=True):
        assert form is not None
        *factors, constant = form
        spans = [factor * (n - 1) for factor, n in zip(factors, shape, strict=True)]
        low = constant + sum(min(0, span) for span in spans)
        high = constant + sum(max(0, span) for span in spans)
        if low < 0 or high >= extent:
            raise IndexError(f"graph.view reads {low}..{high} of a dim of extent {extent}")


def _on_grid(expr: AffineExpr, grid: Sequence[Array]) -> Any:
    if isinstance(expr, AffineConstantExpr):
        return np.int64(expr.value)
    if isinstance(expr, AffineDimExpr):
        return grid[expr.position]
    assert isinstance(expr, AffineBinaryOpExpr)
    lhs, rhs = _on_grid(expr.lhs, grid), _on_grid(expr.rhs, grid)
    match expr.kind:
        case AffineBinaryOpKind.Add:
            return lhs + rhs
        case AffineBinaryOpKind.Mul:
            return lhs * rhs
        case AffineBinaryOpKind.FloorDiv:
            return lhs // rhs
        case AffineBinaryOpKind.Mod:
            return lhs % rhs
        case AffineBinaryOpKind.CeilDiv:
            return -(-lhs // rhs)
