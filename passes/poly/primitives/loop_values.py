"""Texts of loop values: sums, multiples, quotients and remainders of quasi-affine expressions."""

from __future__ import annotations

import re
from collections.abc import Collection

Exprs = tuple[tuple[str, str], ...]

_ATOM = re.compile(r"\w+")
_QUOTIENT = re.compile(r"floor\(\((.*)\)/(\d+)\)")
_KNOWN = re.compile(r"[is]\d+|\d+|floord?|ceild?|mod|min|max|[-+*/%(),\s]+")


def is_quasi_affine_text(text: str) -> bool:
    """Whether `text` has only what quasi-affine expressions over i0, i1, ... and the parameters
    s0, s1, ... are made of.

    That it is one is for isl to say.
    """
    return bool(text.strip()) and re.sub(_KNOWN, "", text) == ""


def enclosed(text: str) -> str:
    """`text` as a factor."""
    return text if _ATOM.fullmatch(text) else f"({text})"


def multiple(factor: int, text: str) -> str:
    """factor * text."""
    if factor in (1, -1):
        return text if factor == 1 else f"-{enclosed(text)}"
    return f"{factor}*{enclosed(text)}"


def plus(text: str, other: str) -> str:
    """text + other."""
    if other.startswith("-") and _ATOM.fullmatch(other[1:]):
        return f"{text} - {other[1:]}"
    return f"{text} + ({other})" if other.startswith("-") else f"{text} + {other}"


def quotients(exprs: Exprs, factor: int) -> Exprs:
    """floor(e / factor)."""
    return tuple((s, f"floor(({e})/{factor})") for s, e in exprs)


def remainders(exprs: Exprs, factor: int) -> Exprs:
    """e - factor * floor(e / factor), from 0 to factor - 1 for negative e too."""
    return tuple((s, f"({e}) - {factor}*floor(({e})/{factor})") for s, e in exprs)


def recombined(texts: Collection[str]) -> set[str]:
    """`texts` with e in place of each quotient and remainder of it by one factor."""
    known = set(texts)
    queue = list(known)
    while queue:
        match = _QUOTIENT.fullmatch(text := queue.pop())
        if match is None:
            continue
        whole, factor = match.groups()
        remainder = f"({whole}) - {factor}*{text}"
        if remainder in known:
            known -= {text, remainder}
            known.add(whole)
            queue += known
    return known
