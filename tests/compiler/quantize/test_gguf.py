"""GGUF blocks against the `gguf` package's own dequantization; files; damaged files."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import tilecast
import torch
from tilecast.compiler.quantize.gguf import from_gguf, quantized_tensor, with_gguf
from tilecast.compiler.quantize.gguf_blocks import BLOCK_TYPES
from tilecast.dialects.errors import InvalidInputError
from tilecast.dialects.quant import QuantizedTensor

gguf = pytest.importorskip("gguf")


def random_blocks(name: str, count: int, seed: int = 0) -> np.ndarray:
    """Blocks of arbitrary bytes, whose f16 fields are finite: every code and scale occurs."""
    kind = BLOCK_TYPES[name]
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 256, (count, kind.bytes), np.uint8)
    places = {"Q4_1": (0, 2), "Q5_1": (0, 2), "Q2_K": (80, 82), "Q3_K": (108,), "Q4_K": (0, 2)}
    places |= {"Q5_K": (0, 2), "Q6_K": (208,), "TQ1_0": (52,), "TQ2_0": (64,)}
    for place in places.get(name, (0,)):
        scale = rng.normal(size=count).astype(np.float16)
        blocks[:, place : place + 2] = scale[:, None].view(np.uint8)
    if name == "TQ2_0":  # 3 is no digit
        low = blocks[:, :64]
        blocks[:, :64] = np.where(low & (low >> 1) & 0x55, low & 0x55, low)
    return blocks


@pytest.mark.parametrize("name", BLOCK_TYPES)
def test_blocks_mean_what_gguf_says(name: str) -> None:
    kind = BLOCK_TYPES[name]
    blocks = random_blocks(name, 64)
    shape = (16, 4 * kind.elements)
    found = quantized_tensor("w", kind, blocks, shape)
    type = gguf.GGMLQuantizationType[name]
    expected = gguf.quants.dequantize(blocks, type).reshape(shape)
    bound = 2e-6 * np.abs(expected).max()
    np.testing.assert_allclose(found.dequantize(), expected, rtol=2e-6, atol=bound)
    assert int(found.codes.max()) < 2**found.format.element.width


def test_an_empty_matrix_is_refused() -> None:
    kind = BLOCK_TYPES["Q8_0"]
    with pytest.raises(InvalidInputError, match=r"expected a matrix .* found \(36\d+, 0\)"):
        quantized_tensor("w", kind, np.zeros((0, kind.bytes), np.uint8), (3602879701896396802, 0))


@pytest.mark.parametrize("name", ["Q4_0", "Q5_0", "Q8_0", "Q6_K", "Q3_K", "TQ2_0", "IQ4_NL"])
def test_types_without_minima_are_exact(name: str) -> None:
    kind = BLOCK_TYPES[name]
    blocks = random_blocks(name, 8)
    found = quantized_tensor("w", kind, blocks, (8, kind.elements))
    expected = gguf.quants.dequantize(blocks, gguf.GGMLQuantizationType[name])
    np.testing.assert_array_equal(found.dequantize(), expected.reshape(8, kind.elements))


def test_a_group_without_a_scale_is_its_minimum() -> None:
    blocks = random_blocks("Q4_K", 2)
    blocks[:, 4:8] &= 0xC0  # scales of the first four groups
    kind = BLOCK_TYPES["Q4_K"]
    found = quantized_tensor("w", kind, blocks, (2, 256)).dequantize()
    expected = gguf.quants.dequantize(blocks, gguf.GGMLQuantizationType.Q4_K).reshape(2, 256)
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=2e-6 * np.abs(expected).max())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    writer = gguf.GGUFWriter(path, "test")
    rng = np.random.default_rng(1)
    weight = rng.normal(size=(6, 64)).astype(np.float32)
    kind = gguf.GGMLQuantizationType.Q4_0
    writer.add_tensor("first.weight", gguf.quants.quantize(weight, kind), raw_dtype=kind)
    writer.add_tensor("first.bias", np.arange(6, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_model_takes_the_tensors_of_a_file(file: Path) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(64, 6)).eval()
    loaded = with_gguf(model, file, lambda name: name.replace("first", "0"))
    weight = from_gguf(file)["first.weight"]
    assert isinstance(weight, QuantizedTensor)
    x = torch.randn(3, 64)
    fast = tilecast.compile(loaded, (x,))
    assert any("codes" in name for name in fast.artifact.weights)
    expected = x.double() @ torch.from_numpy(weight.dequantize()).double().T + torch.arange(6.0)
    torch.testing.assert_close(fast(x), expected.float(), rtol=1e-5, atol=1e-5)


def test_a_tensor_that_fits_no_parameter(file: Path) -> None:
    with pytest.raises(InvalidInputError, match="no such parameter"):
        with_gguf(torch.nn.Sequential(torch.nn.Linear(64, 6)), file, lambda name: f"x.{name}")
    with pytest.raises(InvalidInputError, match=r"expected the shape \(6, 32\)"):
        with_gguf(
            torch.nn.Sequential(torch.nn.Linear(32, 6)), file, lambda n: n.replace("first", "0")
        )


def test_damaged_files(file: Path, tmp_path: Path) -> None:
    data = file.read_bytes()
    cases = [b"", b"GGUF", data[:40], data[:-100], b"\x80\x04pickle" + data]
    cases.append(data[:8] + (2**60).to_bytes(8, "little") + data[16:])
    for case in cases:
        broken = tmp_path / "broken.gguf"
        broken.write_bytes(case)
        with pytest.raises(InvalidInputError, match=r"GGUF|blocks"):
            from_gguf(broken)
    with pytest.raises(InvalidInputError, match="no such file"):
        from_gguf(tmp_path / "none.gguf")


def header(values: bytes, keys: int = 1, tensors: int = 0) -> bytes:
    key = struct.pack("<Q", 1) + b"k"
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, keys) + key + values


DAMAGED = {
    "array": (header(struct.pack("<IIQ", 9, 5, 2**62)), "expected 4611686018427387904 elements"),
    "strings": (header(struct.pack("<IIQ", 9, 8, 2**40)), "elements of an array"),
    "string": (header(struct.pack("<IQ", 8, 2**40)), "bytes of a string"),
    "keys": (header(b"", keys=2**50), "expected 1125899906842624 keys"),
    "tensors": (header(b"", tensors=2**50), "tensors"),
    "type": (header(struct.pack("<I", 77)), "has the number 77"),
    "nested": (header(struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 6), "nested"),
    "end": (header(struct.pack("<I", 9) + b"\x08"), "expected 1 number"),
    "other": (b"GGML" + bytes(60), "does not start with GGUF"),
    "empty": (b"", "empty"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_counts_have_to_fit_into_the_file(name: str, tmp_path: Path) -> None:
    """The reader would go on beyond the end, for minutes and gigabytes."""
    content, expected = DAMAGED[name]
    path = tmp_path / "damaged.gguf"
    path.write_bytes(content)
    with pytest.raises(InvalidInputError, match=expected):
        from_gguf(path)
