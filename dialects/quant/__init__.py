"""Quantized weights: formats and their numpy meaning, how codes are packed, and the IR ops."""

from .bit_fields import BitField, bit_fields, pack_words, unpack_words
from .byte_fields import (
    BytePart,
    byte_parts,
    byte_words,
    pack_bytes,
    unpack_bytes,
)
from .elements import CodebookElement, Element, FloatElement, IntegerElement
from .nibble_fields import NIBBLES, pack_nibbles, unpack_nibbles
from .quad_fields import QUADS, QuadPiece, pack_quads, quad_pieces, unpack_quads
from .quantized_tensor import QuantizedTensor
from .weight_format import PERIOD, WeightFormat, parse_format

__all__ = [
    "NIBBLES",
    "PERIOD",
    "QUADS",
    "BitField",
    "BytePart",
    "CodebookElement",
    "Element",
    "FloatElement",
    "IntegerElement",
    "QuadPiece",
    "QuantizedTensor",
    "WeightFormat",
    "bit_fields",
    "byte_parts",
    "byte_words",
    "pack_bytes",
    "pack_nibbles",
    "pack_quads",
    "pack_words",
    "parse_format",
    "quad_pieces",
    "unpack_bytes",
    "unpack_nibbles",
    "unpack_quads",
    "unpack_words",
]
