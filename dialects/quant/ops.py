"""`quant` dialect: the product with a quantized weight, how it is packed, and how lanes unpack it.

`quant.linear` belongs to the graph level; `quant.field`, `field_number`, `lookup`, `lookup_bytes`,
`interleave`, `dot`, `pair_dot`, `add_pairs`, `add_odd_bytes` and `half` to loops, on scalars or
one-dimensional vectors.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import (
    Float32Type,
    FloatAttr,
    IntAttr,
    StringAttr,
    TensorType,
    VectorType,
    f32,
    i32,
)
from xdsl.ir import Attribute, Dialect, ParametrizedAttribute, SSAValue
from xdsl.irdl import (
    AttrSizedOperandSegments,
    IRDLOperation,
    irdl_attr_definition,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    prop_def,
    result_def,
    traits_def,
    var_operand_def,
)
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from ..errors import OptionError
from ..graph.base import shape_of
from ..graph.opaque import OpaqueOp
from .activations import ACTIVATIONS
from .bit_fields import EXACT, pack_words
from .byte_fields import pack_bytes
from .elements import FloatElement, IntegerElement
from .nibble_fields import pack_nibbles
from .quad_fields import pack_quads
from .scale_types import SCALE_TYPES
from .weight_format import PERIOD, WeightFormat, parse_format

Array = npt.NDArray[Any]
PACKERS = {
    "bits": pack_words,
    "bytes": pack_bytes,
    "quads": pack_quads,
    "transposed": pack_bytes,
    "nibbles": pack_nibbles,
}
BLOCK = 4  # lanes of i32 whose bytes are looked up and interleaved
ONE_BLOCK = VectorType(i32, [BLOCK])
PAIR_BITS = 7  # of codes of which two products with signed bytes fit 16 bits


@irdl_attr_definition
class BitPackAttr(ParametrizedAttribute):
    """Codes [N, K] as words [tile, word, lane]: lane l of tile t holds row t * panel + l.

    A row's elements lie in its lane in periods of 32, `width` bits each: one after the other
    (`order` is "bits": `bit_fields`), or four to the bytes of a word, in parts of a power of two
    ("bytes": `byte_fields`) or whole where they have room ("quads": `quad_fields`). With
    "transposed" four lanes have the bytes of "bytes" by element and not by row: lane 4 i + j has
    byte j of rows 4 i .. 4 i + 3. In "nibbles" (`nibble_fields`), of one bit, each byte of a period
    has registers of its own: [tile, 4 period + r, lane] is byte r of rows t * panel + lane, of
    those a quarter of a panel behind, and so on. Rows and elements that pad the last tile and
    period have code 0.
    """

    name = "quant.bit_pack"
    width: IntAttr
    panel: IntAttr
    order: StringAttr

    @staticmethod
    def of(width: int, panel: int, order: str = "bits") -> BitPackAttr:
        """The attribute for codes of `width` bits in tiles of `panel` rows."""
        return BitPackAttr(IntAttr(width), IntAttr(panel), StringAttr(order))

    def packed_shape(self, rows: int, columns: int) -> tuple[int, int, int]:
        """The shape of the packed words."""
        panel, parts = self.panel.data, BLOCK if self.order.data == "nibbles" else 1
        words = -(-columns // PERIOD) * self.width.data
        return -(-rows // panel), words * parts, panel // parts

    def pack(self, codes: Array) -> npt.NDArray[np.int32]:
        """The words of `codes`, a [N, K] array of bytes."""
        panel, shape = self.panel.data, self.packed_shape(*codes.shape)
        tiles, periods = shape[0], -(-codes.shape[1] // PERIOD)
        words = periods * self.width.data
        padded = np.zeros((tiles * panel, periods * PERIOD), np.uint8)
        padded[: codes.shape[0], : codes.shape[1]] = codes.view(np.uint8)
        pack = PACKERS[self.order.data]
        packed = pack(padded, self.width.data).reshape(tiles, panel, words)
        words_first = np.ascontiguousarray(packed.transpose(0, 2, 1)).view(np.int32)
        bytes = words_first.view(np.uint8)
        if self.order.data == "transposed":
            bytes = bytes.reshape(tiles, words, panel // BLOCK, BLOCK, 4).swapaxes(-1, -2)
        elif self.order.data == "nibbles":
            bytes = bytes.reshape(tiles, words, BLOCK, panel // BLOCK, 4).swapaxes(-1, -3)
        else:
            return words_first
        return np.ascontiguousarray(bytes).view(np.int32).reshape(shape)

    def verify(self) -> None:
        if self.order.data not in PACKERS:
            raise VerifyException(f"{self.name}: order is one of {', '.join(PACKERS)}")
        if self.order.data in ("transposed", "nibbles") and self.panel.data % BLOCK:
            raise VerifyException(
                f"{self.name}: panels of {self.order.data} have a multiple of {BLOCK} rows"
            )
        if self.order.data == "nibbles" and self.width.data != 1:
            raise VerifyException(f"{self.name}: nibbles have codes of 1 bit")


@irdl_op_definition
class QuantizedLinearOp(OpaqueOp):
    """source @ ((levels[codes] - zeros) * scales)^T + bias: source [M, K], codes [N, K] of i8.

    `scales` and `zeros` are [N, groups] in the types of `format`, which are integers where they
    hold the bits of narrow floats. `levels` has one value per code; integer elements need none.
    With `activations` "int8", "int16" or "fp8", rows of the source are rounded to integers or 8-bit
    floats times a scale first (`dialects.quant.activations`).
    """

    name = "quant.linear"
    format = prop_def(StringAttr)
    activations = prop_def(StringAttr)
    source = operand_def(TensorType)
    codes = operand_def(TensorType)
    scales = operand_def(TensorType)
    zeros = opt_operand_def(TensorType)
    levels = opt_operand_def(TensorType)
    bias = opt_operand_def(TensorType)
    irdl_options = (AttrSizedOperandSegments(as_property=True),)

    def __init__(
        self,
        format: str,
        source: SSAValue,
        codes: SSAValue,
        scales: SSAValue,
        zeros: SSAValue | None,
        levels: SSAValue | None,
        bias: SSAValue | None,
        activations: str = "f32",
    ) -> None:
        assert isinstance(source.type, TensorType)
        shape = (shape_of(source)[0], shape_of(codes)[0])
        super().__init__(
            operands=[source, codes, scales, zeros, levels, bias],
            properties={"format": StringAttr(format), "activations": StringAttr(activations)},
            result_types=[TensorType(source.type.element_type, shape)],
        )

    @property
    def weight_format(self) -> WeightFormat:
        """The meaning of `format`."""
        return parse_format(self.format.data)

    @property
    def rows(self) -> int:
        """Rows of activations."""
        return shape_of(self.source)[0]

    @property
    def longest_sum(self) -> int:
        return shape_of(self.codes)[1]

    def expected_shape(self) -> tuple[int, ...] | None:
        return shape_of(self.source)[0], shape_of(self.codes)[0]

    def sample_operand(self, position: int, rng: np.random.Generator) -> Array | None:
        format, operand = self.weight_format, self.operands[position]
        shape, element = shape_of(operand), format.element
        if operand is self.codes:
            codes = np.arange(2**element.width, dtype=np.uint8)
            if isinstance(element, FloatElement):
                codes = codes[np.isfinite(element.levels)]
            picks = rng.integers(0, len(codes), shape, np.uint8)
            sample: Array = codes[picks].view(np.int8)
            return sample
        if operand is self.scales:
            values = rng.uniform(0.1, 2.0, shape).astype(np.float32)
            return SCALE_TYPES[format.scale].encode(values)
        if operand is self.zeros and format.zero == "int":
            return rng.integers(0, 2**element.width, shape, np.uint8).view(np.int8)
        if operand is self.zeros:
            values = rng.uniform(-2.0, 2.0, shape).astype(np.float32)
            return SCALE_TYPES[format.zero].encode(values)
        if operand is self.levels and element.levels.size:
            return element.levels  # not fitted: kernels may know them without reading
        return None

    def verify_(self) -> None:
        try:
            format = self.weight_format
        except OptionError as error:
            raise VerifyException(f"{self.name}: {error}") from error
        if self.activations.data not in ACTIVATIONS:
            raise VerifyException(
                f"{self.name}: activations are one of {', '.join(ACTIVATIONS)}, "
                f"found {self.activations.data!r}"
            )
        rows, columns = shape_of(self.codes)
        if shape_of(self.source)[1:] != (columns,):
            raise VerifyException(
                f"{self.name}: source {shape_of(self.source)} does not have {columns} columns"
            )
        expected = (rows, format.groups(columns))
        for value in (self.scales, self.zeros):
            if value is not None and shape_of(value) != expected:
                raise VerifyException(
                    f"{self.name}: {format} of {rows} x {columns} has scales {expected}, "
                    f"found {shape_of(value)}"
                )
        if (self.zeros is None) != (format.zero == "none"):
            raise VerifyException(f"{self.name}: zeros are given where the format has them")
        if (self.levels is None) != isinstance(format.element, IntegerElement):
            raise VerifyException(f"{self.name}: levels are given where elements are no integers")
        super().verify_()


class BitFieldOp(IRDLOperation, ABC):
    """The bits shift .. shift + width - 1 of an i32, left in their place, as f32.

    They end at bit 23 at the latest, so that this is exact.
    """

    width = prop_def(IntAttr)
    shift = prop_def(IntAttr)
    word = operand_def()
    result = result_def()
    traits = traits_def(Pure())

    def __init__(self, word: SSAValue, width: int, shift: int, **others: Attribute) -> None:
        super().__init__(
            operands=[word],
            properties={"width": IntAttr(width), "shift": IntAttr(shift), **others},
            result_types=[_float_like(word.type)],
        )

    @property
    def mask(self) -> int:
        """The bits of the field."""
        return int(((1 << self.width.data) - 1) << self.shift.data)

    def verify_(self) -> None:
        width, shift = self.width.data, self.shift.data
        if width < 1 or shift < 0 or shift + width > EXACT:
            raise VerifyException(
                f"{self.name}: {width} bits from bit {shift} on do not lie in bits 0 .. {EXACT - 1}"
            )


@irdl_op_definition
class FieldOp(BitFieldOp):
    """result = 2^23 + float(word & (2^width - 1) << shift): the field is the mantissa of the
    result, which takes no conversion."""

    name = "quant.field"


@irdl_op_definition
class FieldNumberOp(BitFieldOp):
    """result = float(word & (2^width - 1) << shift) - center, by conversion."""

    name = "quant.field_number"
    center = prop_def(FloatAttr)

    def __init__(self, word: SSAValue, width: int, shift: int, center: float) -> None:
        super().__init__(word, width, shift, center=FloatAttr(center, f32))


@irdl_op_definition
class LookupOp(IRDLOperation):
    """result[l] = tables[codes[l] mod size]: tables of as many f32 as lanes, one after the other.

    Their number, and the number of lanes, is a power of two.
    """

    name = "quant.lookup"
    codes = operand_def(VectorType)
    tables = var_operand_def(VectorType)
    result = result_def(VectorType)
    traits = traits_def(Pure())

    def __init__(self, codes: SSAValue, tables: Sequence[SSAValue]) -> None:
        super().__init__(operands=[codes, tables], result_types=[_float_like(codes.type)])

    def verify_(self) -> None:
        count = len(self.tables)
        if count not in (1, 2, 4, 8) or any(t.type != self.result.type for t in self.tables):
            raise VerifyException(f"{self.name}: expected 1, 2, 4 or 8 tables like the result")


class BlockOp(IRDLOperation, ABC):
    """An op on the sixteen bytes of each four i32 lanes, a block."""

    result = result_def(VectorType)
    traits = traits_def(Pure())

    def verify_(self) -> None:
        self.check_blocks(*self.operands)

    def check_blocks(self, *operands: SSAValue) -> None:
        """Raise unless the result, and operands like it, are whole blocks."""
        type = self.result.type
        lanes = type.get_shape()[0] if isinstance(type, VectorType) else 0
        if lanes % BLOCK or any(value.type != type for value in operands):
            raise VerifyException(
                f"{self.name}: expected operands and result of one type, of a multiple of {BLOCK} "
                f"lanes"
            )


@irdl_op_definition
class LookupBytesOp(BlockOp):
    """result.i = table.(codes.i) for the bytes i of each block of four lanes.

    Codes are less than 16; every block is looked up in the table's own block, or in the only one
    that the table has.
    """

    name = "quant.lookup_bytes"
    codes = operand_def(VectorType)
    table = operand_def(VectorType)

    def __init__(self, codes: SSAValue, table: SSAValue) -> None:
        super().__init__(operands=[codes, table], result_types=[codes.type])

    @property
    def is_shared(self) -> bool:
        """Whether one table serves several blocks."""
        return self.table.type != self.codes.type

    def verify_(self) -> None:
        self.check_blocks(self.codes, *() if self.table.type == ONE_BLOCK else (self.table,))


@irdl_op_definition
class InterleaveOp(BlockOp):
    """Parts of `bits` bits of two vectors in turn, for each block of four lanes.

    result.(2 i) = first.i, result.(2 i + 1) = second.i, of the lower half of the parts of a block,
    or with `half` 1 of the upper one.
    """

    name = "quant.interleave"
    bits = prop_def(IntAttr)
    half = prop_def(IntAttr)
    first = operand_def(VectorType)
    second = operand_def(VectorType)

    def __init__(self, first: SSAValue, second: SSAValue, bits: int, half: int) -> None:
        super().__init__(
            operands=[first, second],
            properties={"bits": IntAttr(bits), "half": IntAttr(half)},
            result_types=[first.type],
        )

    def verify_(self) -> None:
        super().verify_()
        if self.bits.data not in (8, 16) or self.half.data not in (0, 1):
            raise VerifyException(f"{self.name}: expected 8 or 16 bits, and half 0 or 1")


@irdl_op_definition
class DotOp(IRDLOperation):
    """acc + sum over the four bytes j of codes.j * values.j, in each i32 lane.

    Bytes of `codes` are unsigned and less than 2^bits, those of `values` signed and not -128.
    """

    name = "quant.dot"
    bits = prop_def(IntAttr)
    acc = operand_def()
    codes = operand_def()
    values = operand_def()
    result = result_def()
    traits = traits_def(Pure())

    def __init__(self, acc: SSAValue, codes: SSAValue, values: SSAValue, bits: int) -> None:
        super().__init__(
            operands=[acc, codes, values],
            properties={"bits": IntAttr(bits)},
            result_types=[acc.type],
        )

    def verify_(self) -> None:
        if not 1 <= self.bits.data <= 8:
            raise VerifyException(f"{self.name}: expected 1 to 8 bits, got {self.bits.data}")
        if not self.acc.type == self.codes.type == self.values.type == self.result.type:
            raise VerifyException(f"{self.name}: expected operands and result of one type")


@irdl_op_definition
class PairDotOp(IRDLOperation):
    """Sums of two products, in the halves of each i32 lane, modulo 2^16.

    result.low = codes.0 * values.0 + codes.1 * values.1, result.high the same of bytes 2 and 3,
    each plus what `acc` has there if it is given. Bytes of `codes` are unsigned and less than
    2^bits, those of `values` signed; codes have at most 7 bits, so that two products fit 16.
    """

    name = "quant.pair_dot"
    bits = prop_def(IntAttr)
    codes = operand_def()
    values = operand_def()
    acc = opt_operand_def()
    result = result_def()
    traits = traits_def(Pure())

    def __init__(self, codes: SSAValue, values: SSAValue, acc: SSAValue | None, bits: int) -> None:
        super().__init__(
            operands=[codes, values, acc],
            properties={"bits": IntAttr(bits)},
            result_types=[codes.type],
        )

    def verify_(self) -> None:
        if not 1 <= self.bits.data <= PAIR_BITS:
            raise VerifyException(
                f"{self.name}: expected 1 to {PAIR_BITS} bits, got {self.bits.data}"
            )
        if any(value.type != self.result.type for value in self.operands):
            raise VerifyException(f"{self.name}: expected operands and result of one type")


@irdl_op_definition
class AddPairsOp(IRDLOperation):
    """factor * (low + high) of the signed halves of `pairs`, plus `acc` if given, in i32 lanes."""

    name = "quant.add_pairs"
    factor = prop_def(IntAttr)
    pairs = operand_def()
    acc = opt_operand_def()
    result = result_def()
    traits = traits_def(Pure())

    def __init__(self, pairs: SSAValue, acc: SSAValue | None, factor: int) -> None:
        super().__init__(
            operands=[pairs, acc],
            properties={"factor": IntAttr(factor)},
            result_types=[pairs.type],
        )

    def verify_(self) -> None:
        if not 1 <= self.factor.data < 2**15:
            raise VerifyException(f"{self.name}: factor {self.factor.data} is not positive i16")
        if any(value.type != self.result.type for value in self.operands):
            raise VerifyException(f"{self.name}: expected operands and result of one type")


@irdl_op_definition
class AddOddBytesOp(IRDLOperation):
    """Every other byte, from the second on, added in 16 bits: result.h = acc.h + bytes.(2 h + 1)
    for the halves h of each i32 lane, modulo 2^16; bytes are unsigned."""

    name = "quant.add_odd_bytes"
    bytes = operand_def()
    acc = operand_def()
    result = result_def()
    traits = traits_def(Pure())

    def __init__(self, bytes: SSAValue, acc: SSAValue) -> None:
        super().__init__(operands=[bytes, acc], result_types=[acc.type])

    def verify_(self) -> None:
        if not self.bytes.type == self.acc.type == self.result.type:
            raise VerifyException(f"{self.name}: expected operands and result of one type")


@irdl_op_definition
class HalfOp(IRDLOperation):
    """The f16 whose bits an i16 holds, as f32."""

    name = "quant.half"
    bits = operand_def()
    result = result_def()
    traits = traits_def(Pure())

    def __init__(self, bits: SSAValue) -> None:
        super().__init__(operands=[bits], result_types=[_float_like(bits.type)])


def _float_like(type: Attribute) -> Attribute:
    if isinstance(type, VectorType):
        return VectorType(Float32Type(), type.get_shape())
    return Float32Type()


Quant = Dialect(
    "quant",
    [
        QuantizedLinearOp,
        FieldOp,
        FieldNumberOp,
        LookupOp,
        LookupBytesOp,
        InterleaveOp,
        DotOp,
        PairDotOp,
        AddPairsOp,
        AddOddBytesOp,
        HalfOp,
    ],
    [BitPackAttr],
)
