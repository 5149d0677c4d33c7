"""Every element type by its short name: u4, i3, bipolar2, ternary, bfp4, e3m2, nf4, pow4, kmeans3.

A row is a pattern, what it makes, and how it reads in an error message.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..errors import OptionError
from .elements import CodebookElement, Element, FloatElement, IntegerElement, Variant

# Quantiles of the normal distribution, scaled to -1..1 (Dettmers et al. 2023, appendix E).
NF4 = (
    -1.0,
    -0.6961928009986877,
    -0.5250730514526367,
    -0.39491748809814453,
    -0.28444138169288635,
    -0.18477343022823334,
    -0.09105003625154495,
    0.0,
    0.07958029955625534,
    0.16093020141124725,
    0.24611230194568634,
    0.33791524171829224,
    0.44070982933044434,
    0.5626170039176941,
    0.7229568362236023,
    1.0,
)
# The non-linear 4-bit table of llama.cpp's IQ4_NL.
IQ4_NL = (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)
VARIANTS: dict[str, Variant] = {"fn": "fn", "ieee": "ieee", "finite": "finite"}


def _unsigned(match: re.Match[str]) -> Element:
    width = int(match[1])
    return IntegerElement(match[0], width, 2**width, 1, 0)


def _signed(match: re.Match[str]) -> Element:
    width = int(match[1])
    return IntegerElement(match[0], width, 2**width, 1, -(2 ** (width - 1)))


def _bipolar(match: re.Match[str]) -> Element:
    width = int(match[1])
    return IntegerElement(match[0], width, 2**width, 2, 1 - 2**width)


def _ternary(match: re.Match[str]) -> Element:
    return IntegerElement(match[0], 2, 3, 1, -1)


def _block_float(match: re.Match[str]) -> Element:
    width = int(match[1])
    return IntegerElement(match[0], width, 2**width, 1, -(2 ** (width - 1)), is_symmetric=True)


def _float(match: re.Match[str]) -> Element:
    """Without a suffix: as OCP has it for e4m3 and e5m2, else numbers only."""
    exponent, mantissa = int(match[1]), int(match[2])
    width = 1 + exponent + mantissa
    if not 3 <= width <= 8:
        raise OptionError(f"weight format {match[0]!r}: floats have 3 to 8 bits, this has {width}")
    ocp: dict[tuple[int, int], Variant] = {(4, 3): "fn", (5, 2): "ieee"}
    variant = ocp.get((exponent, mantissa), "finite")
    if match[3]:
        variant = VARIANTS[match[3]]
    if variant == "fn" and width < 8:
        variant = "finite"  # what "fn" means for types of fewer bits (OCP MX)
    return FloatElement(match[0], exponent, mantissa, variant)


def _fixed(values: tuple[float, ...]) -> Callable[[re.Match[str]], Element]:
    width = (len(values) - 1).bit_length()
    return lambda match: CodebookElement(match[0], width, values)


def _fitted(match: re.Match[str]) -> Element:
    return CodebookElement(match[0], int(match[2]))


@dataclass(frozen=True)
class ElementRow:
    """A family of element types."""

    pattern: str
    make: Callable[[re.Match[str]], Element]
    spelling: str
    meaning: str


ELEMENT_TABLE: tuple[ElementRow, ...] = (
    ElementRow(r"u([1-8])", _unsigned, "u1..u8", "0 .. 2^b - 1"),
    ElementRow(r"i([1-8])", _signed, "i1..i8", "-2^(b-1) .. 2^(b-1) - 1"),
    ElementRow(r"bipolar([1-8])", _bipolar, "bipolar1..bipolar8", "digits -1, +1: odd numbers"),
    ElementRow(r"ternary", _ternary, "ternary", "-1, 0, 1 in two bits"),
    ElementRow(r"bfp([2-8])", _block_float, "bfp2..bfp8", "signed, shared power of two"),
    ElementRow(
        r"e([1-5])m([0-6])(fn|ieee|finite)?", _float, "e1m1..e5m2[fn|ieee|finite]", "floats"
    ),
    ElementRow(r"nf4", _fixed(NF4), "nf4", "quantiles of the normal distribution"),
    ElementRow(r"iq4nl", _fixed(IQ4_NL), "iq4nl", "the table of llama.cpp's IQ4_NL"),
    ElementRow(
        r"(pow|kmeans)([2-8])",
        _fitted,
        "pow2..pow8, kmeans2..kmeans8",
        "power law or k-means, fitted to each tensor",
    ),
)


_REGISTERED: dict[str, CodebookElement] = {}


def register_codebook(name: str, levels: Sequence[float]) -> None:
    """Make `levels` (2 to 256 finite numbers) a weight format called `name`, as in "name:g64".

    A code of b bits is an index into them in ascending order; where they are no power of two the
    last one fills up. OptionError for a name that is taken or no identifier, or for other levels.
    """
    values = tuple(sorted({float(level) for level in levels}))
    if not 2 <= len(values) <= 256 or not all(map(math.isfinite, values)):
        raise OptionError(
            f"codebook {name!r}: expected 2 to 256 different finite numbers, found {len(values)}"
        )
    width = (len(values) - 1).bit_length()
    element = CodebookElement(name, width, values + values[-1:] * (2**width - len(values)))
    if _REGISTERED.get(name) == element:
        return
    taken = name in _REGISTERED or any(re.fullmatch(r.pattern, name) for r in ELEMENT_TABLE)
    if taken or not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise OptionError(f"codebook {name!r}: expected a new name of letters, digits and _")
    _REGISTERED[name] = element


def element_named(name: str) -> Element:
    """The element type called `name`; OptionError listing all of them otherwise."""
    if name in _REGISTERED:
        return _REGISTERED[name]
    for row in ELEMENT_TABLE:
        match = re.fullmatch(row.pattern, name)
        if match is not None:
            return row.make(match)
    known = ", ".join([*(row.spelling for row in ELEMENT_TABLE), *_REGISTERED])
    raise OptionError(f"unknown weight element type {name!r}; known: {known}")
