"""Types of the tile dialect: what a tile's elements are, and where they lie.

A tile is in global memory (row-major, extents known or not), in shared memory (a shared layout), or
in the registers of a thread block (a register layout).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd, prod

from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    ArrayAttr,
    BFloat16Type,
    Float8E4M3FNType,
    Float8E5M2Type,
    Float16Type,
    Float32Type,
    IntAttr,
    IntegerType,
    StringAttr,
)
from xdsl.ir import Attribute, ParametrizedAttribute, TypeAttribute
from xdsl.irdl import irdl_attr_definition
from xdsl.parser import AttrParser
from xdsl.printer import Printer
from xdsl.utils.exceptions import VerifyException

from ..errors import TilecastError
from ..quant.element_table import element_named
from ..quant.elements import Element
from .layout_text import parse_layout
from .register_layout import RegisterLayout
from .shared_layout import SharedLayout, Swizzle

FLOATS = (Float8E4M3FNType, Float8E5M2Type, Float16Type, BFloat16Type, Float32Type)
UNROLL = "tilecast.unroll"  # iterations of a loop that are written out, a number
Digits = Sequence[tuple[int, int]]  # extents and strides of the digits of an index


@irdl_attr_definition
class CodeType(ParametrizedAttribute, TypeAttribute):
    """A code of 1 to 8 bits, which stands for a number as `element` of the format table says.

    A thread packs its codes in pairs into the two halves of 32-bit words: of pair p (elements 2 p
    and 2 p + 1), the first is bits p * width and up of the stream of low halves, the second of the
    stream of high halves. One shift and one mask then take a pair out, at any width. With four
    `streams`, one per byte of a word, the same takes out four codes: !tile.code<"u4", 4>.
    """

    name = "tile.code"
    element_name: StringAttr
    streams: IntAttr

    @staticmethod
    def of(name: str, streams: int = 2) -> CodeType:
        """The type of codes of the element called `name`."""
        return CodeType(StringAttr(name), IntAttr(streams))

    @property
    def element(self) -> Element:
        """What the codes mean."""
        return element_named(self.element_name.data)

    def verify(self) -> None:
        if self.streams.data not in (2, 4):
            raise VerifyException(f"tile.code: streams are 2 or 4, found {self.streams.data}")
        try:
            element_named(self.element_name.data)
        except TilecastError as error:
            raise VerifyException(f"tile.code: {error}") from error

    def print_parameters(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_string_literal(self.element_name.data)
            if self.streams.data != 2:
                printer.print_string(f", {self.streams.data}")

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> list[Attribute]:
        with parser.in_angle_brackets():
            name, streams = parser.parse_str_literal(), 2
            if parser.parse_optional_punctuation(",") is not None:
                streams = parser.parse_integer()
            return [StringAttr(name), IntAttr(streams)]


def bits_of(type: Attribute) -> int:
    """Bits of an element of a tile."""
    if isinstance(type, CodeType):
        return int(type.element.width)
    if isinstance(type, IntegerType):
        return max(8, int(type.width.data))
    assert isinstance(type, FLOATS)
    return int(type.bitwidth)


def _check_element(name: str, type: Attribute) -> None:
    is_integer = isinstance(type, IntegerType) and type.width.data in (8, 32)
    if is_integer or isinstance(type, (*FLOATS, CodeType)):
        return
    raise VerifyException(
        f"{name}: expected elements of f8E4M3FN, f8E5M2, f16, bf16, f32, i8, i32 or !tile.code, "
        f"found {type}"
    )


class TileType(ParametrizedAttribute, TypeAttribute):
    """Base of the three scopes."""

    @property
    def extents(self) -> tuple[int, ...]:
        """The shape; DYNAMIC_INDEX where an extent is not known."""
        raise NotImplementedError

    @property
    def element(self) -> Attribute:
        """The element type."""
        raise NotImplementedError


@irdl_attr_definition
class PointerType(ParametrizedAttribute, TypeAttribute):
    """Where an array of `pointee` starts in global memory, at a multiple of 16 bytes."""

    name = "tile.pointer"
    pointee: Attribute

    def verify(self) -> None:
        _check_element(self.name, self.pointee)


def _print_shaped(printer: Printer, shape: ArrayAttr[IntAttr], element: Attribute) -> None:
    printer.print_dimension_list([n.data for n in shape])
    printer.print_string("x")
    printer.print_attribute(element)


def _parse_shaped(parser: AttrParser) -> tuple[ArrayAttr[IntAttr], Attribute]:
    shape, element = parser.parse_ranked_shape()
    return ArrayAttr([IntAttr(n) for n in shape]), element


@irdl_attr_definition
class GlobalType(TileType):
    """An array in global memory: !tile.global<?x64xf16> is row-major.

    Others say where element 0 lies and, per dim, its digits as pairs of extent and stride, the
    slowest first: !tile.global<6x4xf32, 8, [[2, 100, 3, 4], [4, 1]]> has element (i, j) at
    8 + i / 3 * 100 + i % 3 * 4 + j.
    """

    name = "tile.global"
    shape: ArrayAttr[IntAttr]
    element_type: Attribute
    start: IntAttr
    digits: ArrayAttr[ArrayAttr[IntAttr]]

    @staticmethod
    def of(shape: Sequence[int], element: Attribute) -> GlobalType:
        """The type of a row-major array of `shape`."""
        return GlobalType(
            ArrayAttr([IntAttr(n) for n in shape]), element, IntAttr(0), ArrayAttr([])
        )

    @staticmethod
    def strided(dims: Sequence[Digits], element: Attribute, start: int = 0) -> GlobalType:
        """The type of an array whose dims have these digits; row-major ones are plain."""
        shape = [prod(extent for extent, _ in digits) for digits in dims]
        plain = GlobalType.of(shape, element)
        if start == 0 and plain.dims == tuple(tuple(digits) for digits in dims):
            return plain
        listed = [ArrayAttr([IntAttr(n) for digit in digits for n in digit]) for digits in dims]
        return GlobalType(plain.shape, element, IntAttr(start), ArrayAttr(listed))

    @property
    def extents(self) -> tuple[int, ...]:
        return tuple(n.data for n in self.shape)

    @property
    def element(self) -> Attribute:
        return self.element_type

    @property
    def dims(self) -> tuple[Digits, ...]:
        """The digits of every dim, the slowest first."""
        if not self.digits.data:
            shape = self.extents
            return tuple(((n, prod(shape[d + 1 :])),) for d, n in enumerate(shape))
        lists = [[n.data for n in digits] for digits in self.digits]
        return tuple(tuple(zip(n[::2], n[1::2], strict=True)) for n in lists)

    @property
    def contiguous(self) -> int:
        """Elements along the last dim that always lie side by side, aligned to their number."""
        digits = [digit for digits in self.dims for digit in digits]
        extent, stride = digits[-1]
        if stride != 1 or extent == DYNAMIC_INDEX:
            return 1
        return gcd(extent, self.start.data, *(stride for _, stride in digits[:-1]))

    def verify(self) -> None:
        _check_element(self.name, self.element_type)
        if DYNAMIC_INDEX in self.extents[1:]:
            raise VerifyException("tile.global: only the first extent may be unknown")
        if self.digits.data and self.extents != tuple(
            prod(extent for extent, _ in digits) for digits in self.dims
        ):
            raise VerifyException(
                f"tile.global: expected digits of {self.extents}, found {self.dims}"
            )

    def print_parameters(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            _print_shaped(printer, self.shape, self.element_type)
            if self.digits.data:
                listed = [[n.data for n in digits] for digits in self.digits]
                printer.print_string(f", {self.start.data}, {listed}")

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> list[Attribute]:
        with parser.in_angle_brackets():
            shape, element = _parse_shaped(parser)
            start, digits = 0, []
            if parser.parse_optional_punctuation(",") is not None:
                start = parser.parse_integer()
                parser.parse_punctuation(",")
                square = parser.Delimiter.SQUARE
                digits = parser.parse_comma_separated_list(
                    square, lambda: parser.parse_comma_separated_list(square, parser.parse_integer)
                )
            listed = [ArrayAttr([IntAttr(n) for n in numbers]) for numbers in digits]
            return [shape, element, IntAttr(start), ArrayAttr(listed)]


@irdl_attr_definition
class SharedType(TileType):
    """An array in shared memory: !tile.shared<3x64x32xf16, 2, 3>, with swizzle(2,3)."""

    name = "tile.shared"
    shape: ArrayAttr[IntAttr]
    element_type: Attribute
    swizzle_bits: IntAttr
    swizzle_shift: IntAttr

    @staticmethod
    def of(shape: Sequence[int], element: Attribute, swizzle: Swizzle) -> SharedType:
        """The type of an array of `shape`, swizzled."""
        extents = ArrayAttr([IntAttr(n) for n in shape])
        return SharedType(extents, element, IntAttr(swizzle.bits), IntAttr(swizzle.shift))

    @property
    def extents(self) -> tuple[int, ...]:
        return tuple(n.data for n in self.shape)

    @property
    def element(self) -> Attribute:
        return self.element_type

    @property
    def layout(self) -> SharedLayout:
        """Where the elements lie."""
        swizzle = Swizzle(self.swizzle_bits.data, self.swizzle_shift.data)
        return SharedLayout(self.extents, bits_of(self.element) // 8, swizzle)

    def verify(self) -> None:
        _check_element(self.name, self.element_type)
        if isinstance(self.element_type, CodeType):
            raise VerifyException("tile.shared: codes have no address; use bytes and tile.view")
        try:
            _ = self.layout
        except TilecastError as error:
            raise VerifyException(f"tile.shared: {error}") from error

    def print_parameters(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            _print_shaped(printer, self.shape, self.element_type)
            if self.swizzle_bits.data:
                printer.print_string(f", {self.swizzle_bits.data}, {self.swizzle_shift.data}")

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> list[Attribute]:
        with parser.in_angle_brackets():
            shape, element = _parse_shaped(parser)
            bits, shift = 0, 0
            if parser.parse_optional_punctuation(",") is not None:
                bits = parser.parse_integer()
                parser.parse_punctuation(",")
                shift = parser.parse_integer()
            return [shape, element, IntAttr(bits), IntAttr(shift)]


@irdl_attr_definition
class RegisterType(TileType):
    """A tile in registers: !tile.register<16x8xf16, "local(2,1).spatial(8,4).local(1,2)">."""

    name = "tile.register"
    shape: ArrayAttr[IntAttr]
    element_type: Attribute
    layout_text: StringAttr

    @staticmethod
    def of(layout: RegisterLayout, element: Attribute) -> RegisterType:
        """The type of a tile that lies as `layout` says."""
        extents = ArrayAttr([IntAttr(n) for n in layout.shape])
        return RegisterType(extents, element, StringAttr(str(layout)))

    @property
    def extents(self) -> tuple[int, ...]:
        return tuple(n.data for n in self.shape)

    @property
    def element(self) -> Attribute:
        return self.element_type

    @property
    def layout(self) -> RegisterLayout:
        """Who holds which elements."""
        return parse_layout(self.layout_text.data)

    def verify(self) -> None:
        _check_element(self.name, self.element_type)
        try:
            shape = self.layout.shape
        except TilecastError as error:
            raise VerifyException(f"tile.register: {error}") from error
        if shape != self.extents:
            raise VerifyException(
                f"tile.register: the layout has shape {shape}, the type {self.extents}"
            )
        if isinstance(self.element, CodeType) and self.layout.locals * bits_of(self.element) % 32:
            raise VerifyException(
                f"tile.register: expected whole words of codes per thread, found "
                f"{self.layout.locals} of {bits_of(self.element)} bits"
            )

    def print_parameters(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            _print_shaped(printer, self.shape, self.element_type)
            printer.print_string(", ")
            printer.print_string_literal(self.layout_text.data)

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> list[Attribute]:
        with parser.in_angle_brackets():
            shape, element = _parse_shaped(parser)
            parser.parse_punctuation(",")
            return [shape, element, StringAttr(parser.parse_str_literal())]
