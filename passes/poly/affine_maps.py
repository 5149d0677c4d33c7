"""Affine maps of views: reshape as a map, composition, and clean results."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from xdsl.ir.affine import (
    AffineBinaryOpExpr,
    AffineBinaryOpKind,
    AffineConstantExpr,
    AffineDimExpr,
    AffineExpr,
    AffineMap,
)

from ...dialects.errors import SymbolicSizeError
from ...dialects.sizes import Size, exact_quotient


def linear(terms: Sequence[tuple[AffineExpr, int]]) -> AffineExpr:
    """Sum of expr * coefficient, without zeros and ones."""
    total: AffineExpr | None = None
    for expr, coefficient in terms:
        if coefficient == 0 or (isinstance(expr, AffineConstantExpr) and expr.value == 0):
            continue
        term = expr if coefficient == 1 else expr * coefficient
        total = term if total is None else total + term
    return AffineExpr.constant(0) if total is None else total


def reshape_map(source: Sequence[int], result: Sequence[int]) -> AffineMap:
    """result index -> source index of a row-major reshape.

    Dims are matched in groups of equal product, so that splitting a dim stays affine.
    SymbolicSizeError where the place of a split depends on a size that is not known.
    """
    results: list[AffineExpr] = []
    s = r = 0
    while s < len(source) or r < len(result):
        s_end, r_end = s, r
        s_size = r_size = 1
        if s_end < len(source):
            s_size, s_end = source[s_end], s_end + 1
        if r_end < len(result):
            r_size, r_end = result[r_end], r_end + 1
        while s_size != r_size:
            if _is_part(s_size, r_size):
                s_size, s_end = s_size * source[s_end], s_end + 1
            else:
                r_size, r_end = r_size * result[r_end], r_end + 1
        group = [(d, result[d]) for d in range(r, r_end) if result[d] != 1]
        for d, _ in group[1:]:
            _check_is_number(result[d])
        flat = linear(
            [
                (AffineExpr.dimension(d), prod(n for _, n in group[k + 1 :]))
                for k, (d, _) in enumerate(group)
            ]
        )
        remaining = s_size
        for d in range(s, s_end):
            extent, outer = source[d], remaining
            remaining //= extent
            index = flat
            _check_is_number(remaining)
            if extent == 1:
                index = AffineExpr.constant(0)
            else:
                if outer != s_size:
                    _check_is_number(outer)
                    index = index % outer
                if remaining != 1:
                    index = index // remaining
            results.append(index)
        s, r = s_end, r_end
    return AffineMap(len(result), 0, tuple(results))


def _is_part(size: int, of: int) -> bool:
    """Whether a group of dims with `size` elements has to grow to have as many as another."""
    if not isinstance(size, Size) and not isinstance(of, Size):
        return size < of
    if exact_quotient(of, size) is None and exact_quotient(size, of) is None:
        raise SymbolicSizeError(f"a reshape splits {size} and {of} elements at places unknown")
    return exact_quotient(of, size) is not None


def _check_is_number(size: int) -> None:
    if isinstance(size, Size):
        raise SymbolicSizeError(f"the place of an element in a reshape depends on {size}")


def simplify(expr: AffineExpr) -> AffineExpr:
    """Fold constants, zeros and ones; keeps floordiv and mod otherwise."""
    if not isinstance(expr, AffineBinaryOpExpr):
        return expr
    lhs, rhs = simplify(expr.lhs), simplify(expr.rhs)
    left = lhs.value if isinstance(lhs, AffineConstantExpr) else None
    right = rhs.value if isinstance(rhs, AffineConstantExpr) else None
    match expr.kind:
        case AffineBinaryOpKind.Add:
            if left is not None and right is not None:
                return AffineExpr.constant(left + right)
            if left == 0:
                return rhs
            return lhs if right == 0 else AffineBinaryOpExpr(expr.kind, lhs, rhs)
        case AffineBinaryOpKind.Mul:
            if left is not None and right is not None:
                return AffineExpr.constant(left * right)
            if left == 0 or right == 0:
                return AffineExpr.constant(0)
            if left == 1:
                return rhs
            if left is not None:
                lhs, rhs = rhs, lhs
            return lhs if right == 1 else AffineBinaryOpExpr(expr.kind, lhs, rhs)
        case AffineBinaryOpKind.FloorDiv:
            if left is not None and right is not None:
                return AffineExpr.constant(left // right)
            return lhs if right == 1 else AffineBinaryOpExpr(expr.kind, lhs, rhs)
        case AffineBinaryOpKind.Mod:
            if left is not None and right is not None:
                return AffineExpr.constant(left % right)
            return AffineExpr.constant(0) if right == 1 else AffineBinaryOpExpr(expr.kind, lhs, rhs)
        case _:
            return AffineBinaryOpExpr(expr.kind, lhs, rhs)


def compose(outer: AffineMap, inner: AffineMap) -> AffineMap:
    """i -> outer(inner(i)), simplified; symbols mean the same in both."""
    results = (e.replace_dims_and_symbols(inner.results, ()) for e in outer.results)
    symbols = max(outer.num_symbols, inner.num_symbols)
    return AffineMap(inner.num_dims, symbols, tuple(simplify(e) for e in results))


def plain_dim(expr: AffineExpr) -> int | None:
    """The dim that `expr` is, or None."""
    return expr.position if isinstance(expr, AffineDimExpr) else None


def substitute(map: AffineMap, dims: Sequence[AffineExpr], num_dims: int) -> AffineMap:
    """`map` with its dims replaced by expressions over `num_dims` new dims."""
    return compose(map, AffineMap(num_dims, 0, tuple(dims)))


def row_major_strides(shape: Sequence[int]) -> list[int]:
    """Elements between neighbours along each dim."""
    strides, size = [], 1
    for extent in reversed(shape):
        strides.append(size)
        size *= extent
    return strides[::-1]


def inverse(map: AffineMap) -> AffineMap | None:
    """The inverse of a permutation of dims; None for any other map."""
    dims = [plain_dim(e) for e in map.results]
    if sorted(d for d in dims if d is not None) != list(range(map.num_dims)) or None in dims:
        return None
    return AffineMap(len(dims), 0, tuple(AffineDimExpr(dims.index(d)) for d in range(map.num_dims)))
