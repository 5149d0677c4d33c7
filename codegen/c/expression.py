"""C expressions as text with a precedence level, so that parentheses appear only where needed.

Levels follow the C grammar. Shift, bitwise and logical operators parenthesize any other operator
below them, because compilers warn about such mixtures and readers stumble over them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

ATOM, UNARY, MULTIPLY, ADD, SHIFT, COMPARE, EQUAL, BIT, LOGICAL, TERNARY = (
    9,
    8,
    7,
    6,
    5,
    4,
    3,
    2,
    1,
    0,
)
_LEVELS = {
    **dict.fromkeys(("*", "/", "%"), MULTIPLY),
    **dict.fromkeys(("+", "-"), ADD),
    **dict.fromkeys(("<<", ">>"), SHIFT),
    **dict.fromkeys(("<", "<=", ">", ">="), COMPARE),
    **dict.fromkeys(("==", "!="), EQUAL),
    **dict.fromkeys(("&", "|", "^"), BIT),
    **dict.fromkeys(("&&", "||"), LOGICAL),
}
_STRICT = {"<<", ">>", "&", "|", "^"}
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*")
_INT32 = 1 << 31


@dataclass(frozen=True)
class Expr:
    """A C expression; `reads` memory, `value` is its value if it is an integer literal."""

    text: str
    level: int = ATOM
    reads: bool = False
    value: int | None = None

    @property
    def identifiers(self) -> frozenset[str]:
        """Every identifier in the text."""
        return frozenset(_IDENTIFIER.findall(self.text))

    @property
    def is_atom(self) -> bool:
        """True for a name or a literal, which may be written twice at no cost."""
        return re.fullmatch(r"-?[\w.]+(e[+-]\d+f?)?", self.text) is not None

    def at(self, level: int) -> str:
        """The text, in parentheses if it binds weaker than `level`."""
        return self.text if self.level >= level else f"({self.text})"


def integer(value: int) -> Expr:
    """An integer literal."""
    if -_INT32 < value < _INT32:
        return Expr(str(value), ATOM if value >= 0 else UNARY, value=value)
    if value == -(1 << 63):
        return Expr("INT64_MIN", ATOM, value=value)
    return Expr(f"INT64_C({value})", ATOM, value=value)


def call(function: str, *arguments: Expr) -> Expr:
    """function(arguments...)."""
    inner = ", ".join(a.text for a in arguments)
    return Expr(f"{function}({inner})", ATOM, any(a.reads for a in arguments))


def unary(operator: str, operand: Expr) -> Expr:
    """Prefix operator."""
    # `- -x` must not become `--x`.
    inner = operand.at(UNARY)
    if inner.startswith(operator):
        inner = f"({inner})"
    return Expr(f"{operator}{inner}", UNARY, operand.reads)


def cast(ctype: str, operand: Expr) -> Expr:
    """(ctype)operand."""
    return Expr(f"({ctype}){operand.at(UNARY)}", UNARY, operand.reads)


def binary(left: Expr, operator: str, right: Expr) -> Expr:
    """left operator right; operators of one level associate to the left."""
    level = _LEVELS[operator]
    if operator in _STRICT:
        texts = left.at(UNARY), right.at(UNARY)
    elif level in (LOGICAL, EQUAL, COMPARE):
        texts = left.at(ADD), right.at(ADD)
    else:
        texts = left.at(level), right.at(level + 1)
    return Expr(f"{texts[0]} {operator} {texts[1]}", level, left.reads or right.reads)


def ternary(condition: Expr, left: Expr, right: Expr) -> Expr:
    """condition ? left : right."""
    reads = condition.reads or left.reads or right.reads
    texts = condition.at(COMPARE), left.at(TERNARY + 1), right.at(TERNARY + 1)
    return Expr(f"{texts[0]} ? {texts[1]} : {texts[2]}", TERNARY, reads)


def add(left: Expr, right: Expr) -> Expr:
    """left + right of index type, folded where literal."""
    if left.value is not None and right.value is not None:
        return integer(left.value + right.value)
    if left.value == 0:
        return right
    if right.value == 0:
        return left
    if right.value is not None and right.value < 0:
        return binary(left, "-", integer(-right.value))
    return binary(left, "+", right)


def subtract(left: Expr, right: Expr) -> Expr:
    """left - right of index type, folded where literal."""
    if right.value is not None:
        return add(left, integer(-right.value))
    return binary(left, "-", right)


def multiply(left: Expr, right: Expr) -> Expr:
    """left * right of index type, folded where literal."""
    if left.value is not None and right.value is not None:
        return integer(left.value * right.value)
    if left.value == 1:
        return right
    if right.value == 1:
        return left
    if left.value is not None:
        left, right = right, left
    return binary(left, "*", right)
