"""Layouts as C++ expressions: the index of what thread `t` holds as its element `i`."""

from __future__ import annotations

from ....dialects.tile.register_layout import RegisterLayout


def digit(number: str, divisor: int, size: int, is_top: bool) -> str:
    """The digit of `number` with `divisor` below it; the top digit needs no remainder."""
    text = number if divisor == 1 else f"{number} / {divisor}"
    return text if is_top else f"{text} % {size}"


def scaled(text: str, factor: int) -> str:
    """`text` times a number."""
    return text if factor == 1 else f"{text} * {factor}"


def summed(terms: list[str]) -> str:
    """A sum; 0 where there are no terms."""
    return " + ".join(term for term in terms if term != "0") or "0"


def index_text(layout: RegisterLayout, dim: int, thread: str, element: str, scale: int = 1) -> str:
    """The index along `dim`, times `scale`; `thread` and `element` are names or in parentheses."""
    terms: list[str] = []
    lists = (
        (thread, [(m, layout.size_of(m)) for m in layout.spatial_modes]),
        (element, [(m, layout.mode_shape[m]) for m in layout.local_modes]),
    )
    for number, modes in lists:
        divisor = 1
        found: list[str] = []
        for k, (mode, size) in reversed(list(enumerate(modes))):
            if mode >= 0 and layout.dim_of(mode) == dim:
                text = digit(number, divisor, size, k == 0)
                found.append(scaled(text, layout.stride_of(mode) * scale))
            divisor *= size
        terms += found[::-1]
    return summed(terms)


def in_parentheses(text: str) -> str:
    """`text` as an operand."""
    return text if text.isidentifier() or text.isdigit() else f"({text})"
