"""What a product with a weight of 1 to 8 bits is made for, and how the weight's bytes lie."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

import numpy as np
from xdsl.ir import Attribute

from ...dialects.errors import OptionError
from ...dialects.quant import FloatElement, IntegerElement, WeightFormat
from ...dialects.quant.elements import Element
from ...dialects.tile.atoms import E4M3, E5M2, F32, I8, atom_for
from ...dialects.tile.register_layout import RegisterLayout, local, spatial
from ...dialects.tile.types import CodeType, bits_of
from .matmul import MatmulConfig
from .pipeline import Warps


@dataclass(frozen=True)
class LowbitLinear:
    """What the program is made for: the weight's shape and format, activations, configuration.

    `element` names a row of the element table, `group` counts elements along K that share a scale
    (None: a whole row does), `has_zeros` whether groups have zero points. Where `is_wide`, numbers
    are computed in f32, zero points and scales of groups that do not fill a step included; where
    `has_table`, codes are looked up in an argument.

    With an `activation` of i8, codes are multiplied as they are (those of 8 bits less 128): numbers
    of the format are `step` * code - `zero`, which zero points, if any, have in them. With e4m3 the
    bits of the codes are those of `levels`, and numbers are `step` * level - `zero`.
    """

    rows: int
    columns: int
    element: str
    group: int | None
    has_zeros: bool
    activation: Attribute
    config: MatmulConfig
    levels: tuple[float, ...] | None = None
    is_wide: bool = False
    has_table: bool = False
    step: int = 1
    zero: float = 0.0

    def __post_init__(self) -> None:
        step = self.warps.tile[2]
        if self.group is not None and self.group % step and step % self.group:
            raise OptionError(
                f"groups of {self.group} neither fill nor divide steps of {step} along K: "
                "choose another repeat along K"
            )

    @property
    def warps(self) -> Warps:
        """How the warps lie."""
        c = self.config
        return Warps(self.activation, c.rows, c.columns, c.repeat)

    @property
    def code(self) -> CodeType:
        """The type of the weight's codes."""
        return CodeType.of(self.element, 4 if self.is_rounded else 2)

    @property
    def number(self) -> Attribute:
        """The type of the weight's numbers, as tensor cores multiply them."""
        return E5M2 if self.activation == E4M3 and self.element == "e5m2" else self.activation

    @property
    def is_integer(self) -> bool:
        """Whether integers are multiplied."""
        return self.activation == I8

    @property
    def is_rounded(self) -> bool:
        """Whether activations have 8 bits and a scale per row."""
        return self.activation in (I8, E4M3)

    @property
    def needs_sums(self) -> bool:
        """Whether products are corrected by sums of the rounded activations."""
        return self.is_rounded and (self.has_zeros or self.zero != 0)

    @property
    def steps(self) -> int:
        """Tiles along K."""
        return -(-self.columns // self.warps.tile[2])

    @property
    def tiles(self) -> int:
        """Tiles along N."""
        return -(-self.rows // self.warps.tile[1])

    @property
    def fragments(self) -> RegisterLayout:
        """The weight's tile [N, K] without copies: one column of warps holds it."""
        c = self.config
        return spatial(c.columns, 1) * local(*c.repeat[1:]) * self.warps.atom.rhs

    @property
    def thread_bytes(self) -> int:
        """Bytes of a thread's fragment."""
        return self.fragments.locals * bits_of(self.code) // 8

    @property
    def tile_bytes(self) -> int:
        """Bytes of a tile."""
        return self.thread_bytes * self.fragments.threads

    @property
    def byte_layout(self) -> RegisterLayout:
        """The tile's bytes: each thread up to 16 at a time, neighbours next to each other."""
        at_once = gcd(self.thread_bytes, 16)
        times = self.thread_bytes // at_once
        return local(times) * spatial(self.fragments.threads) * local(at_once)

    @property
    def has_small_groups(self) -> bool:
        """Whether several groups lie in a step."""
        return self.group is not None and self.group < self.warps.tile[2]

    @property
    def scale_element(self) -> Attribute:
        """The type of scales in memory."""
        return self.activation if self.has_small_groups and not self.is_wide else F32

    @property
    def zero_element(self) -> Attribute:
        """The type of zero points in memory."""
        return F32 if self.is_wide or self.is_rounded else self.activation

    @property
    def groups_per_step(self) -> int:
        """Rows of scales that a step reads."""
        return self.warps.tile[2] // self.group if self.has_small_groups and self.group else 1

    @property
    def scale_rows(self) -> int:
        """Rows of scales and zero points per tile along N."""
        if self.group is None:
            return 1
        if self.has_small_groups:
            return self.steps * self.groups_per_step
        return -(-self.columns // self.group)


def default_config(group: int | None, rows: int = 4096) -> MatmulConfig:
    """128 codes per thread and step, so that any width is read 16 bytes at a time."""
    if group is not None and group % 64 and group > 16:
        return MatmulConfig(1, 4, (1, 8, 2), 4)
    return MatmulConfig(1, 4, (1, 8, 4), 4)


def linear_of(
    format: WeightFormat,
    shape: tuple[int, int],
    operand: Attribute,
    config: MatmulConfig,
    is_wide: bool = False,
    has_table: bool = False,
) -> LowbitLinear:
    """The product's description; zero points of whole rows are those of one long group."""
    bk = atom_for(operand).k * config.repeat[2]
    element, group, has_zeros = format.element, format.group, format.zero != "none"
    name, levels, step, zero = element.name, None, 1, 0.0
    if operand == E4M3:
        levels, step, zero = fp8_numbers(element) or (None, 1, 0.0)
    elif not isinstance(element, IntegerElement):
        levels = tuple(float(v) for v in element.levels) or None
    elif operand == I8:
        name, step, zero = integers_of(element)
    if (has_zeros or zero) and group is None:
        group = -(-shape[1] // bk) * bk
    return LowbitLinear(
        *(*shape, name, group, has_zeros, operand, config, levels, is_wide, has_table, step, zero)
    )


def fp8_numbers(element: Element) -> tuple[tuple[float, ...], int, float] | None:
    """(levels, step, zero) of `LowbitLinear` for activations of e4m3; None: fp8 lacks the numbers.

    The least 16 numbers of e4m3 are the multiples of 2^-9, so that codes up to 4 bits are bits of
    their own multiple. Floats go to the same fields, which changes their bias.
    """
    codes = np.arange(1 << element.width)
    if isinstance(element, IntegerElement) and element.width <= 4:
        return tuple((codes / 512).tolist()), 512 * element.step, float(-element.offset)
    if not isinstance(element, FloatElement):
        return None
    if element.name == "e5m2":
        return tuple(element.levels.tolist()), 1, 0.0
    fits = element.exponent <= 4 and element.mantissa <= 3 and element.variant == "finite"
    if (fits and element.width < 8) or element.name == "e4m3":
        step = 1 << 7 - element.bias
        return tuple((element.levels / step).tolist()), step, 0.0
    return None


def integers_of(element: IntegerElement) -> tuple[str, int, float]:
    """(element of the integers that are multiplied, step, zero) of `LowbitLinear`."""
    if element.width == 8:
        return "i8", element.step, float(-element.offset - 128 * element.step)
    return f"u{element.width}", element.step, float(-element.offset)
