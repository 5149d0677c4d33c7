"""Codes to numbers in registers, by a sequence that follows from the element type and bit field.

table       shift, permute: levels that fit a few registers, integers of few bits among them
in place    and-or, subtract: the field of an integer becomes the mantissa of 2^23 where it lies,
            so its value comes out times 2^exponent, by which activations are divided beforehand
arithmetic  shift, shift, and, multiply: the exponent and mantissa of a float go where f32 has them
gather      levels in memory: large codebooks
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
from xdsl.dialects import arith
from xdsl.dialects.builtin import DenseIntOrFPElementsAttr, VectorType, f32, i32
from xdsl.ir import SSAValue

from ....costmodel.hardware import Machine
from ....dialects.quant import BitField, FloatElement, IntegerElement, WeightFormat, bit_fields
from ....dialects.quant.bit_fields import EXACT, WORD
from ....dialects.quant.ops import FieldOp, LookupOp
from ..opaque_rules.loop_builder import LoopBuilder
from .lanes import Lanes

Method = Literal["table", "in place", "arithmetic", "gather"]
# Registers that hold levels. One permutation costs what and-or and subtract do, so that integers
# use it only where a single register is enough; floats have arithmetic instead of four.
MOST_TABLES = {"scalar": 0, "avx2": 2, "avx512": 2}
MOST_CODEBOOK_TABLES = {"scalar": 0, "avx2": 2, "avx512": 4}
MOST_INTEGER_TABLES = {"scalar": 0, "avx2": 0, "avx512": 1}


@dataclass(frozen=True)
class Decoder:
    """How codes of `format` become numbers. `levels` is the table, in memory, of non-integers."""

    format: WeightFormat
    lanes: Lanes
    machine: Machine
    levels: SSAValue | None

    @property
    def registers(self) -> int:
        """Registers that a table of all levels fills."""
        return max(1, (1 << self.format.element.width) // self.lanes.count)

    @cached_property
    def method(self) -> Method:
        """What decodes one element."""
        isa, element = self.machine.isa, self.format.element
        if isinstance(element, IntegerElement):
            fits = self.registers <= MOST_INTEGER_TABLES[isa] and self.format.zero == "none"
            return "table" if fits else "in place"
        if isinstance(element, FloatElement):
            return "table" if self.registers <= MOST_TABLES[isa] else "arithmetic"
        return "table" if self.registers <= MOST_CODEBOOK_TABLES[isa] else "gather"

    @property
    def fields(self) -> tuple[BitField, ...]:
        """The places of a period's elements."""
        return bit_fields(self.format.element.width)

    def exponent(self, element: int) -> int:
        """Decoded numbers of this element of a period are 2^exponent times the true ones."""
        return self.fields[element].exponent if self.method == "in place" else 0

    @property
    def unit(self) -> float:
        """True numbers are this times the decoded ones: integers in place are decoded as codes."""
        element, is_code = self.format.element, self.method == "in place"
        return float(element.step) if isinstance(element, IntegerElement) and is_code else 1.0

    def load_tables(self, b: LoopBuilder) -> list[SSAValue]:
        """The levels in registers. A table shorter than a register repeats."""
        if self.method != "table":
            return []
        if self.levels is not None:
            count = self.lanes.count
            return [self.lanes.load(b, self.levels, [k * count]) for k in range(self.registers)]
        return [self.constant(b, np.resize(self.format.element.levels, self.lanes.count))]

    def constant(self, b: LoopBuilder, values: np.ndarray) -> SSAValue:
        """A vector of numbers."""
        type = VectorType(f32, [self.lanes.count])
        numbers = [float(v) for v in values]
        return b.insert(arith.ConstantOp(DenseIntOrFPElementsAttr.from_list(type, numbers)))


@dataclass
class PeriodDecoder:
    """Decodes one period of one lane group, loading and shifting each word once."""

    decoder: Decoder
    tables: list[SSAValue]
    array: SSAValue
    position: tuple[SSAValue, SSAValue, int]  # tile, first word, first lane
    words: dict[tuple[int, int], SSAValue] = field(default_factory=dict)

    def word(self, b: LoopBuilder, number: int, shift: int = 0) -> SSAValue:
        """Word `number` of the period in all lanes, shifted to the right."""
        if (number, shift) not in self.words:
            lanes = self.decoder.lanes
            if shift:
                value = lanes.shift_right(b, self.word(b, number), shift)
            else:
                tile, first, lane = self.position
                row = b.add(first, b.index(number)) if number else first
                value = lanes.load(b, self.array, [tile, row, lane])
            self.words[number, shift] = value
        return self.words[number, shift]

    def low(self, b: LoopBuilder, element: int) -> SSAValue:
        """The field in the lowest bits, other bits above it."""
        place, lanes = self.decoder.fields[element], self.decoder.lanes
        low = lanes.shift_right(b, self.word(b, place.word), place.shift)
        if not place.straddles:
            return low
        high = lanes.shift_left(b, self.word(b, place.word + 1), WORD - place.shift)
        return b.either(low, high)

    def code(self, b: LoopBuilder, element: int) -> SSAValue:
        """The field alone."""
        place, value = self.decoder.fields[element], self.low(b, element)
        if place.shift + place.width == WORD:
            return value
        return self.decoder.lanes.both(b, value, 2**place.width - 1)

    def number(self, b: LoopBuilder, element: int, zero: Zero | None) -> SSAValue:
        """(level - zero) * 2^exponent of an element; for integers, zero is in codes."""
        decoder = self.decoder
        match decoder.method:
            case "in place":
                return self.in_place(b, element, zero)
            case "table":
                value = b.insert(LookupOp(self.low(b, element), self.tables))
            case "arithmetic":
                value = self.float_number(b, element)
            case "gather":
                assert decoder.levels is not None
                value = decoder.lanes.gather(b, decoder.levels, self.code(b, element))
        return value if zero is None else b.sub(value, zero.value)

    def in_place(self, b: LoopBuilder, element: int, zero: Zero | None) -> SSAValue:
        """2^23 and a whole zero are taken off together, which is exact; others in two steps."""
        place, lanes, kind = self.decoder.fields[element], self.decoder.lanes, self.decoder.format
        word = self.low(b, element) if place.straddles else self.word(b, place.word, place.window)
        value = b.insert(FieldOp(word, place.width, place.exponent))
        assert isinstance(kind.element, IntegerElement)
        if zero is None:
            bias = kind.element.zero_code * 2**place.exponent
            if bias.is_integer():
                return b.sub(value, lanes.constant(b, 2.0**EXACT + bias, f32))
            value = b.sub(value, lanes.constant(b, 2.0**EXACT, f32))
            return b.sub(value, lanes.constant(b, bias, f32))
        if zero.is_whole:
            return b.sub(value, zero.biased(b, lanes, place.exponent))
        value = b.sub(value, lanes.constant(b, 2.0**EXACT, f32))
        scale = lanes.constant(b, 2.0**place.exponent, f32)
        return lanes.subtract_product(b, value, zero.value, scale)

    def float_number(self, b: LoopBuilder, element: int) -> SSAValue:
        """The field to the top, the sign stays there, the rest goes where f32 has it.

        A product corrects the bias, which makes numbers of subnormals too.
        """
        decoder, lanes = self.decoder, self.decoder.lanes
        kind, place = decoder.format.element, decoder.fields[element]
        assert isinstance(kind, FloatElement)
        if place.straddles:
            top = lanes.shift_left(b, self.low(b, element), WORD - kind.width)
        else:
            top = lanes.shift_left(b, self.word(b, place.word), WORD - kind.width - place.shift)
        spread = lanes.shift_right_signed(b, top, 8 - kind.exponent)
        magnitude = (2 ** (kind.width - 1) - 1) << (EXACT - kind.mantissa)
        bits = lanes.both(b, spread, magnitude - 2**31)
        factor = lanes.constant(b, 2.0 ** (127 - kind.bias), f32)
        value = b.mul(lanes.as_float(b, bits), factor)
        if kind.variant == "finite":
            return value
        fill = 0x7F800000 if kind.variant == "ieee" else 0x7FC00000  # all others are NaN
        special = lanes.as_float(b, b.either(bits, lanes.constant(b, fill, i32)))
        first = kind.first_special << (EXACT - kind.mantissa)
        return lanes.where_at_least(b, lanes.both(b, bits, magnitude), first, special, value)


@dataclass
class Zero:
    """The zero points of a group in all lanes; for integer elements as codes."""

    value: SSAValue
    is_whole: bool
    shifted: dict[int, SSAValue] = field(default_factory=dict)

    def biased(self, b: LoopBuilder, lanes: Lanes, exponent: int) -> SSAValue:
        """2^23 + zero * 2^exponent, computed once per exponent."""
        if exponent not in self.shifted:
            scale = lanes.constant(b, 2.0**exponent, f32)
            magic = lanes.constant(b, 2.0**EXACT, f32)
            self.shifted[exponent] = lanes.fma(b, self.value, scale, magic)
        return self.shifted[exponent]
