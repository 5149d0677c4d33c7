"""Affine expressions as people write them: `59 - i0`, `i1 + 1`, `(i0 + n) // 2`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from xdsl.ir.affine import (
    AffineBinaryOpExpr,
    AffineBinaryOpKind,
    AffineConstantExpr,
    AffineDimExpr,
    AffineExpr,
    AffineSymExpr,
)

PARAMETER = re.compile(r"\bs(\d+)\b")
OPERATORS = {
    AffineBinaryOpKind.FloorDiv: "//",
    AffineBinaryOpKind.CeilDiv: "/^",
    AffineBinaryOpKind.Mod: "%",
    AffineBinaryOpKind.Mul: "*",
}


def named_text(text: str, names: Sequence[str]) -> str:
    """An isl text with the parameters s0, s1, ... called by their own names."""
    return PARAMETER.sub(lambda match: names[int(match[1])], text) if names else text


def affine_text(expr: AffineExpr, symbols: Sequence[str] = ()) -> str:
    """`expr` with dims called i0, i1, ... and symbols by their names."""
    constant, terms = _linear(expr, symbols)
    ordered = [(a, c) for a, c in terms.items() if c > 0]
    ordered += [(a, c) for a, c in terms.items() if c < 0]
    if not ordered:
        return str(constant)
    text = ""
    if constant and ordered[0][1] < 0:  # 59 - i0, not -i0 + 59
        text, constant = str(constant), 0
    for atom, coefficient in ordered:
        term = atom if abs(coefficient) == 1 else f"{abs(coefficient)}*{atom}"
        sign = "-" if coefficient < 0 else "+"
        text = f"{text} {sign} {term}" if text else ("-" if sign == "-" else "") + term
    if constant:
        text += f" {'-' if constant < 0 else '+'} {abs(constant)}"
    return text


def _linear(expr: AffineExpr, symbols: Sequence[str]) -> tuple[int, dict[str, int]]:
    """(constant, coefficient per atom), an atom being a variable or what is not linear in them."""
    match expr:
        case AffineConstantExpr():
            return expr.value, {}
        case AffineDimExpr():
            return 0, {f"i{expr.position}": 1}
        case AffineSymExpr():
            known = expr.position < len(symbols)
            return 0, {symbols[expr.position] if known else f"s{expr.position}": 1}
    assert isinstance(expr, AffineBinaryOpExpr), expr
    lhs, rhs = _linear(expr.lhs, symbols), _linear(expr.rhs, symbols)
    if expr.kind is AffineBinaryOpKind.Add:
        sums = dict(lhs[1])
        for atom, coefficient in rhs[1].items():
            sums[atom] = sums.get(atom, 0) + coefficient
        return lhs[0] + rhs[0], {a: c for a, c in sums.items() if c}
    if expr.kind is AffineBinaryOpKind.Mul and not (lhs[1] and rhs[1]):
        (constant, terms), factor = (lhs, rhs[0]) if not rhs[1] else (rhs, lhs[0])
        return constant * factor, {a: c * factor for a, c in terms.items() if c * factor}
    sides = [affine_text(side, symbols) for side in (expr.lhs, expr.rhs)]
    sides = [f"({side})" if " " in side else side for side in sides]
    return 0, {f"({sides[0]} {OPERATORS[expr.kind]} {sides[1]})": 1}
