"""Values of all codes, against ml_dtypes and gfloat; spellings; packing."""

from __future__ import annotations

from collections.abc import Callable

import ml_dtypes
import numpy as np
import pytest
from gfloat import Domain, FormatInfo, decode_float
from hypothesis import given
from hypothesis import strategies as st
from tilecast.dialects.errors import OptionError
from tilecast.dialects.quant import (
    FloatElement,
    QuantizedTensor,
    bit_fields,
    byte_parts,
    byte_words,
    pack_bytes,
    pack_quads,
    pack_words,
    parse_format,
    quad_pieces,
    unpack_bytes,
    unpack_quads,
    unpack_words,
)
from tilecast.dialects.quant.element_table import element_named
from tilecast.dialects.quant.ops import BitPackAttr
from tilecast.dialects.quant.scale_types import SCALE_TYPES

Packer = Callable[[np.ndarray, int], np.ndarray]
ML_DTYPES = {
    "e4m3": ml_dtypes.float8_e4m3fn,
    "e4m3ieee": ml_dtypes.float8_e4m3,
    "e5m2": ml_dtypes.float8_e5m2,
    "e3m4ieee": ml_dtypes.float8_e3m4,
    "e2m3": ml_dtypes.float6_e2m3fn,
    "e3m2fn": ml_dtypes.float6_e3m2fn,
    "e2m1": ml_dtypes.float4_e2m1fn,
}
FLOATS = [
    f"e{e}m{m}{variant}"
    for e in range(1, 6)
    for m in range(7)
    for variant in ("finite", "fn", "ieee")
    if 3 <= 1 + e + m <= 8 and not (variant == "ieee" and e < 2)
]


@pytest.mark.parametrize("name", ML_DTYPES)
def test_float_levels_equal_ml_dtypes(name: str) -> None:
    levels = element_named(name).levels
    codes = np.arange(levels.size, dtype=np.uint8)
    np.testing.assert_array_equal(levels, codes.view(ML_DTYPES[name]).astype(np.float32))


@pytest.mark.parametrize("name", FLOATS)
def test_float_levels_equal_gfloat(name: str) -> None:
    element = element_named(name)
    assert isinstance(element, FloatElement)
    is_ieee = element.variant == "ieee"
    specials = {"finite": 0, "fn": 1, "ieee": 2**element.mantissa - 1}[element.variant]
    format = FormatInfo(
        name=name,
        k=element.width,
        precision=element.mantissa + 1,
        bias=element.bias,
        is_signed=True,
        domain=Domain.Extended if is_ieee else Domain.Finite,
        has_nz=True,
        num_high_nans=specials,
        has_subnormals=True,
        is_twos_complement=False,
    )
    expected = [decode_float(format, code).fval for code in range(2**element.width)]
    np.testing.assert_array_equal(element.levels, np.array(expected, np.float32))


@pytest.mark.parametrize("width", range(1, 9))
def test_integer_levels(width: int) -> None:
    codes = np.arange(2**width)
    digits = [2 * (codes >> bit & 1) - 1 for bit in range(width)]
    bipolar = sum(digit << bit for bit, digit in enumerate(digits))
    np.testing.assert_array_equal(element_named(f"u{width}").levels, codes)
    np.testing.assert_array_equal(element_named(f"i{width}").levels, codes - 2 ** (width - 1))
    np.testing.assert_array_equal(element_named(f"bipolar{width}").levels, bipolar)


@pytest.mark.parametrize("width", range(1, 9))
def test_fields_are_where_bits_of_the_period_lie(width: int) -> None:
    codes = np.random.default_rng(width).integers(0, 2**width, (3, 64), np.uint8)
    words = pack_words(codes, width)
    stream = np.unpackbits(words.view(np.uint8), axis=-1, bitorder="little")
    expected = np.unpackbits(codes[..., None], axis=-1, bitorder="little")[..., :width]
    np.testing.assert_array_equal(stream, expected.reshape(3, -1))
    np.testing.assert_array_equal(unpack_words(words, width), codes)
    for field in bit_fields(width):
        assert field.straddles or field.exponent + width <= 23 or field.exponent == field.shift


@given(st.integers(1, 8), st.integers(1, 70), st.integers(1, 70), st.sampled_from([1, 8, 64]))
def test_packed_lanes_hold_the_rows(width: int, rows: int, columns: int, panel: int) -> None:
    codes = np.random.default_rng(rows).integers(0, 2**width, (rows, columns), np.uint8)
    attribute = BitPackAttr.of(width, panel)
    packed = attribute.pack(codes)
    assert packed.shape == attribute.packed_shape(rows, columns)
    row = rows - 1
    lane = np.ascontiguousarray(packed[row // panel, :, row % panel]).view(np.uint32)
    np.testing.assert_array_equal(unpack_words(lane, width)[:columns], codes[row])


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("f16", np.float16), ("bf16", ml_dtypes.bfloat16), ("e8m0", ml_dtypes.float8_e8m0fnu)],
)
def test_scale_types_round_trip_and_equal_ml_dtypes(name: str, dtype: type) -> None:
    kind = SCALE_TYPES[name]
    raw = np.arange(2**kind.bits, dtype=f"u{kind.bits // 8}")
    expected = raw.view(dtype).astype(np.float32)
    np.testing.assert_array_equal(kind.decode(raw.view(raw.dtype.name[1:])), expected)
    finite = np.isfinite(expected)
    again = kind.decode(kind.encode(expected[finite]))
    np.testing.assert_array_equal(again, expected[finite])


@pytest.mark.parametrize(
    ("spelling", "canonical"),
    [
        ("u4:g128", "u4:g128:sf16:zint"),
        ("i3:g64:zf16", "i3:g64:sf16:zf16"),
        ("e3m2:g32:mx", "e3m2:g32:se8m0:znone"),
        ("nf4:g64", "nf4:g64:sf16:znone"),
        ("ternary", "ternary:channel:sf32:znone"),
        ("bfp4:g16", "bfp4:g16:se8m0:znone"),
        ("u8:tensor:sbf16", "u8:tensor:sbf16:zint"),
    ],
)
def test_spellings(spelling: str, canonical: str) -> None:
    assert str(parse_format(spelling)) == canonical
    assert parse_format(canonical) == parse_format(spelling)


@pytest.mark.parametrize(
    ("spelling", "reason"),
    [
        ("u9", "unknown weight element type 'u9'"),
        ("e5m3", "floats have 3 to 8 bits, this has 9"),
        ("u4:g20", "a group has 8, 16 or a multiple of 32 elements, not 20"),
        ("u4:g32:g64", "a second time"),
        ("u4:mx:sf16", "blocks share a power of two"),
        ("nf4:zint", "integer zero points need integer elements"),
        ("u4:wide", "unknown part 'wide'"),
    ],
)
def test_wrong_spellings_say_what_is_wrong(spelling: str, reason: str) -> None:
    with pytest.raises(OptionError, match=reason):
        parse_format(spelling)


def test_dequantize_is_the_definition() -> None:
    format = parse_format("i3:g8:zf32:sf32")
    codes = np.arange(24, dtype=np.uint8).reshape(2, 12) % 8
    scales = np.array([[1, 2], [3, 0.5]], np.float32)
    zeros = np.array([[0, 1], [-1, 0.25]], np.float32)
    found = QuantizedTensor(format, codes, scales, zeros).dequantize()
    for n in range(2):
        for k in range(12):
            expected = (int(codes[n, k]) - 4 - zeros[n, k // 8]) * scales[n, k // 8]
            assert found[n, k] == expected


@pytest.mark.parametrize("width", range(1, 9))
@pytest.mark.parametrize("layout", [(pack_bytes, unpack_bytes), (pack_quads, unpack_quads)])
def test_bytes_of_codes_are_unpacked(layout: tuple[Packer, Packer], width: int) -> None:
    pack, unpack = layout
    codes = np.random.default_rng(width).integers(0, 2**width, (3, 64), np.uint8)
    words = pack(codes, width)
    assert words.shape == (3, 2 * width)
    np.testing.assert_array_equal(unpack(words, width), codes)


@pytest.mark.parametrize("width", range(1, 9))
def test_quads_need_the_words_of_a_period_front_to_back(width: int) -> None:
    used = [part.place(quad)[0] for quad in range(8) for part in byte_parts(width)]
    assert list(dict.fromkeys(used)) == list(range(width))
    owners = byte_words(width)
    assert [byte_parts(width)[number].words[k] for number, k in owners] == list(range(width))
    last = [pieces[-1].word for pieces in quad_pieces(width)]
    assert last == sorted(last)
    assert set(last) == set(range(width))


@pytest.mark.parametrize("width", range(1, 9))
def test_codes_lie_in_one_place_where_a_byte_has_room(width: int) -> None:
    pieces = quad_pieces(width)
    assert sum(len(each) == 1 for each in pieces) == width * (8 // width)
    bits = {(p.word, p.shift + k) for each in pieces for p in each for k in range(p.width)}
    assert bits == {(word, bit) for word in range(width) for bit in range(8)}
    assert all(piece.position <= piece.shift for each in pieces for piece in each)
