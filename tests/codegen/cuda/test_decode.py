"""Every pair of codes of every element, at every place in a word, becomes the right numbers."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from tilecast.codegen.cuda.tile.decode import DTYPES, decode_fp8, decode_pair, decode_quad
from tilecast.dialects.quant.element_table import element_named
from tilecast.dialects.quant.elements import CodebookElement, FloatElement, IntegerElement
from tilecast.dialects.tile.packing import pack_codes, unpack_codes
from tilecast.dialects.tile.types import CodeType
from tilecast.passes.tile.lowbit_linear import fp8_numbers

FLOATS = [f"e{e}m{m}" for e in range(1, 6) for m in range(7) if 3 <= 1 + e + m <= 8]
INTEGERS = [f"{kind}{w}" for kind in ("u", "i", "bipolar") for w in range(1, 9)]
ELEMENTS = [*INTEGERS, "ternary", *(f"bfp{w}" for w in range(2, 9)), *FLOATS, "nf4", "iq4nl"]


def levels_of(name: str) -> np.ndarray:
    element = element_named(name)
    if isinstance(element, CodebookElement) and element.is_fitted:
        return np.sort(np.random.default_rng(3).normal(size=1 << element.width)).astype(np.float32)
    return element.levels


@pytest.mark.parametrize("target", ["f16", "bf16"])
@pytest.mark.parametrize("name", [*ELEMENTS, "pow2", "kmeans3", "pow4"])
def test_all_pairs_at_all_places(name: str, target: str) -> None:
    element, levels = element_named(name), levels_of(name)
    if isinstance(element, FloatElement):
        element = element.as_finite() if name != "e5m2" else element
        levels = element.levels
    width = element.width
    codes = np.arange(1 << width)
    low, high = (a.reshape(-1) for a in np.meshgrid(codes, codes))
    expected = np.stack([levels[low], levels[high]], -1).astype(DTYPES[target]).view(np.uint16)
    rng = np.random.default_rng(0)
    seen = 0
    for shift in sorted({pair * width % 16 for pair in range(16)}):
        sequence = decode_pair(element, levels, target, shift)  # type: ignore[arg-type]
        if sequence is None:
            assert not isinstance(element, IntegerElement)
            continue
        seen += 1
        mask = (1 << width) - 1
        noise = rng.integers(0, 2**32, (2, low.size), dtype=np.uint64)
        halves = []
        for code, at in ((low, 0), (high, 16)):
            stream = (noise[0] >> at & 0xFFFF) | (noise[1] >> at & 0xFFFF) << 16
            halves.append(stream & ~np.uint64(mask << shift) | code.astype(np.uint64) << shift)
        word = (halves[0] & 0xFFFF | (halves[1] & 0xFFFF) << 16).astype(np.uint32)
        following = (halves[0] >> 16 | halves[1] >> 16 << 16).astype(np.uint32)
        found = sequence.evaluate(word, following).view(np.uint16).reshape(-1, 2)
        finite = np.isfinite(expected.view(DTYPES[target]).astype(float))
        np.testing.assert_array_equal(found[finite], expected[finite])
        assert len(sequence.steps) <= 16
    assert seen or name.startswith("e5") or width > 4


@pytest.mark.parametrize("name", [*(f"u{w}" for w in range(1, 8)), "i8"])
def test_four_codes_become_bytes_at_all_places(name: str) -> None:
    element, type = element_named(name), CodeType.of(name, 4)
    codes = np.random.default_rng(0).integers(0, 1 << element.width, (1 << 10, 32))
    words = pack_codes(codes, type)
    following = np.concatenate([words[:, 1:], words[:, :1]], 1)
    for quad in range(8):
        word, shift = divmod(quad * element.width, 8)
        sequence = decode_quad(element, shift)
        assert sequence is not None
        found = sequence.evaluate(words[:, word], following[:, word]).view(np.int8)
        expected = element.levels[codes[:, 4 * quad : 4 * quad + 4]]
        np.testing.assert_array_equal(found.reshape(-1, 4), expected)
        assert len(sequence.steps) <= 4


FP8 = [
    *(f"{kind}{w}" for kind in ("u", "i", "bipolar") for w in range(1, 5)),
    *("ternary", "bfp2", "bfp3", "bfp4"),
    *(f"e{e}m{m}" for e in range(1, 5) for m in range(4) if 3 <= 1 + e + m <= 8),
    "e5m2",
]


@pytest.mark.parametrize("name", FP8)
def test_four_codes_become_floats_of_eight_bits(name: str) -> None:
    """Exactly the numbers of the format, by a step and an offset."""
    element, type = element_named(name), CodeType.of(name, 4)
    found = fp8_numbers(element)
    assert found is not None
    levels, step, zero = np.array(found[0], np.float32), found[1], found[2]
    known = np.isfinite(levels)
    np.testing.assert_array_equal((levels * step - zero)[known], element.levels[known])
    dtype = ml_dtypes.float8_e5m2 if name == "e5m2" else ml_dtypes.float8_e4m3fn
    codes = np.random.default_rng(0).integers(0, 1 << element.width, (1 << 10, 32))
    words = pack_codes(codes, type)
    following = np.concatenate([words[:, 1:], words[:, :1]], 1)
    for quad in range(8):
        word, shift = divmod(quad * element.width, 8)
        table = levels.astype(dtype)
        sequence = decode_fp8(table.view(np.uint8), known, shift)
        assert sequence is not None
        bits = sequence.evaluate(words[:, word], following[:, word]).view(np.uint8)
        numbers = bits.view(dtype).astype(np.float32).reshape(-1, 4)
        np.testing.assert_array_equal(numbers, levels[codes[:, 4 * quad : 4 * quad + 4]])
        assert len(sequence.steps) <= 8


@pytest.mark.parametrize("name", ["u5", "i5", "i8", "e1m4", "e4m3finite", "e5m1", "nf4"])
def test_other_numbers_are_not_in_fp8(name: str) -> None:
    assert fp8_numbers(element_named(name)) is None


def test_other_elements_have_no_bytes() -> None:
    assert all(decode_quad(element_named(n), 0) is None for n in ("u8", "i4", "bipolar3", "e2m1"))


@pytest.mark.parametrize("streams", [2, 4])
@pytest.mark.parametrize("width", range(1, 9))
def test_packing_is_undone(width: int, streams: int) -> None:
    type = CodeType.of(f"u{width}", streams)
    codes = np.random.default_rng(0).integers(0, 1 << width, (3, 64)).astype(np.uint8)
    np.testing.assert_array_equal(unpack_codes(pack_codes(codes, type), type), codes)


def test_four_bit_integers_take_two_instructions() -> None:
    element = element_named("u4")
    for shift in (0, 4):
        sequence = decode_pair(element, element.levels, "f16", shift)
        assert sequence is not None
        assert len(sequence.steps) == 2
