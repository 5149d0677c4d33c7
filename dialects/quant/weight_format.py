"""A weight format: element type, group, scale type, zero point; and its short spelling.

u4:g128          4-bit unsigned, groups of 128 along K, f16 scales, integer zero points
i3:g64:zf16      3-bit signed with f16 zero points
e3m2:mx          6-bit floats, groups of 32, power-of-two scales
ternary          one f32 scale per output channel
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Literal

from ..errors import OptionError
from .element_table import element_named
from .elements import Element, IntegerElement
from .scale_types import SCALE_TYPES

Zero = Literal["none", "int", "f16", "f32"]
ZEROS: tuple[Zero, ...] = ("none", "int", "f16", "f32")
Granularity = Literal["group", "channel", "tensor"]
PERIOD = 32  # elements that fill whole 32-bit words at any width; groups divide or repeat it
TOKENS = "gN, channel, tensor, mx, sf32, sf16, sbf16, se8m0, znone, zint, zf16, zf32"


@dataclass(frozen=True)
class WeightFormat:
    """(levels[code] - zero) * scale, with `group` elements along K sharing scale and zero.

    `group` is None where a whole row does (`granularity` channel) or the whole tensor.
    """

    element: Element
    granularity: Granularity
    group: int | None
    scale: str
    zero: Zero

    @property
    def has_short_groups(self) -> bool:
        """Whether groups are shorter than a period."""
        return self.group is not None and self.group < PERIOD

    def groups(self, columns: int) -> int:
        """Groups in a row of `columns` elements; the last one may be shorter."""
        return 1 if self.group is None else -(-columns // self.group)

    def bits(self, rows: int, columns: int) -> float:
        """Stored bits per element of a [rows, columns] weight, scales and zeros included."""
        zero_bits = {"none": 0, "int": 8, "f16": 16, "f32": 32}[self.zero]
        per_group = SCALE_TYPES[self.scale].bits + zero_bits
        return self.element.width + per_group * self.groups(columns) / columns

    def __str__(self) -> str:
        group = f"g{self.group}" if self.granularity == "group" else self.granularity
        return f"{self.element.name}:{group}:s{self.scale}:z{self.zero}"


@cache
def parse_format(spelling: str) -> WeightFormat:
    """The format that `spelling` means; OptionError saying which part is wrong."""
    name, *tokens = spelling.strip().split(":")
    element = element_named(name)
    group: int | None = None
    scale: str | None = None
    zero: str | None = None
    granularity: Granularity = "channel"
    seen: set[str] = set()
    is_block = name.startswith("bfp") or "mx" in tokens
    for token in tokens:
        kind = "granularity" if re.fullmatch(r"g\d+|channel|tensor", token) else token[:1]
        if kind in seen:
            raise OptionError(
                f"weight format {spelling!r}: {token!r} says a second time what {kind} is"
            )
        seen.add(kind)
        if re.fullmatch(r"g\d+", token):
            granularity, group = "group", _checked_group(int(token[1:]), spelling)
        elif token == "channel" or token == "tensor":
            granularity = "channel" if token == "channel" else "tensor"
        elif token.startswith("s") and token[1:] in SCALE_TYPES:
            scale = token[1:]
        elif token.startswith("z") and token[1:] in ZEROS:
            zero = token[1:]
        elif token != "mx":
            raise OptionError(
                f"weight format {spelling!r}: unknown part {token!r}; known: {TOKENS}"
            )
    if is_block:
        if zero not in (None, "none") or scale not in (None, "e8m0"):
            raise OptionError(
                f"weight format {spelling!r}: blocks share a power of two, nothing else"
            )
        scale = "e8m0"
        if "granularity" not in seen:
            granularity, group = "group", PERIOD
    if zero is None:
        zero = "int" if re.fullmatch(r"u[1-8]", name) else "none"
    if zero == "int" and not isinstance(element, IntegerElement):
        raise OptionError(f"weight format {spelling!r}: integer zero points need integer elements")
    if scale is None:
        scale = "f16" if granularity == "group" else "f32"
    return WeightFormat(element, granularity, group, scale, next(z for z in ZEROS if z == zero))


def _checked_group(size: int, spelling: str) -> int:
    if size in (8, 16) or (size > 0 and size % PERIOD == 0):
        return size
    raise OptionError(
        f"weight format {spelling!r}: a group has 8, 16 or a multiple of {PERIOD} elements, "
        f"not {size}"
    )
