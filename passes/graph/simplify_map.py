"""Affine maps over boxes in a normal form: sums of dims, and of quotients and remainders of sums.

before: (d0, d1) -> ((d0 * 4 + d1) floordiv 4, (d0 * 4 + d1) mod 4)   with d1 < 4
after:  (d0, d1) -> (d0, d1)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.ir.affine import (
    AffineBinaryOpExpr,
    AffineBinaryOpKind,
    AffineConstantExpr,
    AffineDimExpr,
    AffineExpr,
    AffineMap,
)

from ...dialects.sizes import has_symbols, upper_bound
from ..poly.affine_maps import reshape_map as grouped_reshape_map


@dataclass(frozen=True, order=True)
class Atom:
    """A dim (`form` is None), or the quotient or remainder of a sum divided by `divisor`."""

    kind: str  # "dim", "div" or "mod"
    dim: int = 0
    form: Sum | None = None
    divisor: int = 1


@dataclass(frozen=True, order=True)
class Sum:
    """sum of factor * atom, plus a constant; terms are sorted and factors are not zero."""

    terms: tuple[tuple[Atom, int], ...] = ()
    constant: int = 0


def simplify_map(map: AffineMap, shape: Sequence[int]) -> AffineMap:
    """`map` in normal form, for dims inside the box `shape`."""
    shape = [upper_bound(n) for n in shape]
    results = tuple(_expression(_normalize(expr, shape)) for expr in map.results)
    return AffineMap(map.num_dims, 0, results)


def reshape_map(source: Sequence[int], result: Sequence[int]) -> AffineMap:
    """The map of a row-major reshape from `source` to `result`, in normal form.

    SymbolicSizeError where it depends on sizes that are not known.
    """
    if has_symbols(source) or has_symbols(result):
        return simplify_map(grouped_reshape_map(source, result), result)
    position = linear_index([AffineExpr.dimension(d) for d in range(len(result))], result)
    exprs: list[AffineExpr] = []
    stride = 1
    for d in reversed(range(len(source))):
        quotient = position // stride
        exprs.append(quotient % source[d] if d else quotient)
        stride *= source[d]
    return simplify_map(AffineMap(len(result), 0, tuple(reversed(exprs))), result)


def broadcast_map(source: Sequence[int], result: Sequence[int]) -> AffineMap:
    """The map of NumPy broadcasting."""
    lead = len(result) - len(source)
    exprs: list[AffineExpr] = [
        AffineConstantExpr(0) if n == 1 else AffineDimExpr(lead + d) for d, n in enumerate(source)
    ]
    return AffineMap(len(result), 0, tuple(exprs))


def linear_index(index: Sequence[AffineExpr], shape: Sequence[int]) -> AffineExpr:
    """The row-major position of `index` in a tensor of `shape`."""
    position: AffineExpr = AffineConstantExpr(0)
    for expr, extent in zip(index, shape, strict=True):
        position = position * extent + expr
    return position


def is_reshape(map: AffineMap, source: Sequence[int], result: Sequence[int]) -> bool:
    """Whether a view by `map` keeps the row-major order of all elements."""
    if has_symbols(source) or has_symbols(result):
        inside = [d for d, n in enumerate(result) if n != 1]
        kept = [e for e, n in zip(map.results, source, strict=True) if n != 1]
        same = [n for n in source if n != 1] == [result[d] for d in inside]
        return same and kept == [AffineExpr.dimension(d) for d in inside]
    before = _normalize(linear_index(map.results, source), result)
    dims = [AffineExpr.dimension(d) for d in range(len(result))]
    return before == _normalize(linear_index(dims, result), result)


def is_linear(map: AffineMap) -> bool:
    """Whether no result divides or takes a remainder."""
    divisions = (AffineBinaryOpKind.FloorDiv, AffineBinaryOpKind.Mod, AffineBinaryOpKind.CeilDiv)
    return not any(
        isinstance(part, AffineBinaryOpExpr) and part.kind in divisions
        for expr in map.results
        for part in expr.dfs()
    )


def bounds(expr: AffineExpr, shape: Sequence[int]) -> tuple[int, int]:
    """The smallest and largest value of `expr` inside the (largest) box `shape`."""
    shape = [upper_bound(n) for n in shape]
    return _bounds(_normalize(expr, shape), shape)


def _normalize(expr: AffineExpr, shape: Sequence[int]) -> Sum:
    if isinstance(expr, AffineConstantExpr):
        return Sum((), expr.value)
    if isinstance(expr, AffineDimExpr):
        if shape[expr.position] == 1:
            return Sum()
        return Sum(((Atom("dim", expr.position), 1),))
    assert isinstance(expr, AffineBinaryOpExpr)
    lhs, rhs = _normalize(expr.lhs, shape), _normalize(expr.rhs, shape)
    match expr.kind:
        case AffineBinaryOpKind.Add:
            return _add(lhs, rhs, 1)
        case AffineBinaryOpKind.Mul:
            scaled, factor = (rhs, lhs.constant) if rhs.terms else (lhs, rhs.constant)
            return _add(Sum(), scaled, factor)
        case AffineBinaryOpKind.FloorDiv:
            return _divide(lhs, rhs.constant, shape)
        case AffineBinaryOpKind.Mod:
            return _remainder(lhs, rhs.constant, shape)
        case AffineBinaryOpKind.CeilDiv:
            return _divide(_add(lhs, Sum((), rhs.constant - 1), 1), rhs.constant, shape)


def _add(lhs: Sum, rhs: Sum, factor: int) -> Sum:
    """lhs + factor * rhs; n * (e floordiv n) + e mod n becomes e."""
    terms = dict(lhs.terms)
    for atom, coefficient in rhs.terms:
        terms[atom] = terms.get(atom, 0) + factor * coefficient
    total = Sum(
        tuple(sorted(((a, c) for a, c in terms.items() if c), key=repr)),
        lhs.constant + factor * rhs.constant,
    )
    for atom, coefficient in total.terms:
        if atom.kind != "mod":
            continue
        assert atom.form is not None
        quotient = _quotient(atom.form, atom.divisor)
        if terms.get(quotient) == coefficient * atom.divisor:
            gone = Sum(((atom, coefficient), (quotient, coefficient * atom.divisor)))
            return _add(_add(total, gone, -1), atom.form, coefficient)
    return total


def _quotient(form: Sum, divisor: int) -> Atom:
    """form floordiv divisor; (e floordiv a) floordiv b is e floordiv (a * b)."""
    if form.constant == 0 and len(form.terms) == 1:
        ((atom, factor),) = form.terms
        if atom.kind == "div" and factor == 1 and atom.form is not None:
            return Atom("div", 0, atom.form, atom.divisor * divisor)
    return Atom("div", 0, form, divisor)


def _bounds(form: Sum, shape: Sequence[int]) -> tuple[int, int]:
    """The smallest and largest value inside the box."""
    low = high = form.constant
    for atom, factor in form.terms:
        if atom.kind == "dim":
            first, last = 0, max(0, shape[atom.dim] - 1)
        elif atom.kind == "mod":
            first, last = 0, atom.divisor - 1
        else:
            assert atom.form is not None
            first, last = (v // atom.divisor for v in _bounds(atom.form, shape))
        low += min(factor * first, factor * last)
        high += max(factor * first, factor * last)
    return low, high


def _split(form: Sum, divisor: int) -> tuple[Sum, Sum]:
    """quotient and rest with form == divisor * quotient + rest, whole terms only."""
    whole = tuple((a, c // divisor) for a, c in form.terms if c % divisor == 0)
    rest = tuple((a, c) for a, c in form.terms if c % divisor)
    return Sum(whole, form.constant // divisor), Sum(rest, form.constant % divisor)


def _coarsen(form: Sum, divisor: int, shape: Sequence[int]) -> tuple[int, Sum, Sum] | None:
    """(step, coarse, fine) with form == step * coarse + fine, 0 <= fine < step | divisor."""
    steps = {math.gcd(factor, divisor) for _, factor in form.terms} - {1, divisor}
    for step in sorted(steps, reverse=True):
        coarse, fine = _split(form, step)
        low, high = _bounds(fine, shape)
        if low >= 0 and high < step:
            return step, coarse, fine
    return None


def _divide(form: Sum, divisor: int, shape: Sequence[int]) -> Sum:
    if divisor == 1:
        return form
    quotient, rest = _split(form, divisor)
    low, high = _bounds(rest, shape)
    if low // divisor == high // divisor:
        return _add(quotient, Sum((), low // divisor), 1)
    coarse = _coarsen(rest, divisor, shape)
    if coarse is not None:
        step, scaled, _ = coarse
        return _add(quotient, _divide(scaled, divisor // step, shape), 1)
    return _add(quotient, Sum(((_quotient(rest, divisor), 1),)), 1)


def _remainder(form: Sum, divisor: int, shape: Sequence[int]) -> Sum:
    _, rest = _split(form, divisor)
    low, high = _bounds(rest, shape)
    if low // divisor == high // divisor:
        return _add(rest, Sum((), low // divisor * divisor), -1)
    coarse = _coarsen(rest, divisor, shape)
    if coarse is not None:
        step, scaled, fine = coarse
        return _add(fine, _remainder(scaled, divisor // step, shape), step)
    return Sum(((Atom("mod", 0, rest, divisor), 1),))


def _expression(form: Sum) -> AffineExpr:
    total: AffineExpr | None = None
    for atom, factor in form.terms:
        if atom.kind == "dim":
            part: AffineExpr = AffineDimExpr(atom.dim)
        else:
            assert atom.form is not None
            inner = _expression(atom.form)
            part = inner // atom.divisor if atom.kind == "div" else inner % atom.divisor
        part = part * factor
        total = part if total is None else total + part
    if total is None:
        return AffineConstantExpr(form.constant)
    return total + form.constant if form.constant else total
