"""Blocks of GGUF tensors to codes, scales and minima: one row per type, integers as stored.

A block is a run of elements along a row, with scales inside. Layouts are those that the GGML block
structures define; elements of a value v = code level * scale - minimum.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[Any]  # uint8; numpy types arithmetic with Python integers as wider
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Blocks:
    """Decoded blocks: codes [blocks, elements], scales and minima [blocks, groups]."""

    codes: Bytes
    scales: Floats
    minima: Floats | None = None


@dataclass(frozen=True)
class BlockType:
    """A type: elements and bytes of a block, the weight format it becomes, how it is decoded."""

    elements: int
    bytes: int
    format: str
    decode: Callable[[Bytes], Blocks]


def f16(data: Bytes) -> Floats:
    """Pairs of bytes as numbers."""
    return np.ascontiguousarray(data).view(np.float16).astype(np.float32)


def nibbles(data: Bytes) -> Bytes:
    """All low halves, then all high halves."""
    return np.concatenate([data & 15, data >> 4], axis=1)


def bits_of(words: Bytes) -> Bytes:
    """Every bit of the bytes of a row, the lowest first."""
    return np.unpackbits(np.ascontiguousarray(words), axis=1, bitorder="little")


def fields(data: Bytes, run: int, width: int) -> Bytes:
    """`width`-bit fields: runs of `run` bytes give their lowest fields first, then the next."""
    runs = data.reshape(len(data), -1, 1, run)
    shifts = np.arange(0, 8, width, dtype=np.uint8).reshape(1, 1, -1, 1)
    found: Bytes = ((runs >> shifts) & ((1 << width) - 1)).reshape(len(data), -1)
    return found


def q4_0(b: Bytes) -> Blocks:
    return Blocks(nibbles(b[:, 2:]), f16(b[:, :2]))


def q4_1(b: Bytes) -> Blocks:
    return Blocks(nibbles(b[:, 4:]), f16(b[:, :2]), -f16(b[:, 2:4]))


def q5_0(b: Bytes) -> Blocks:
    return Blocks(nibbles(b[:, 6:]) | bits_of(b[:, 2:6]) << 4, f16(b[:, :2]))


def q5_1(b: Bytes) -> Blocks:
    codes = nibbles(b[:, 8:]) | bits_of(b[:, 4:8]) << 4
    return Blocks(codes, f16(b[:, :2]), -f16(b[:, 2:4]))


def q8_0(b: Bytes) -> Blocks:
    return Blocks(b[:, 2:] ^ 0x80, f16(b[:, :2]))


def q2_k(b: Bytes) -> Blocks:
    step, least = f16(b[:, 80:82]), f16(b[:, 82:84])
    return Blocks(fields(b[:, 16:80], 32, 2), step * (b[:, :16] & 15), least * (b[:, :16] >> 4))


def q3_k(b: Bytes) -> Blocks:
    packed = b[:, 96:108]
    low = np.concatenate([packed[:, :8] & 15, packed[:, :8] >> 4], axis=1)
    scales = (low | fields(packed[:, 8:], 4, 2) << 4).astype(np.int8) - 32
    high = fields(b[:, :32], 32, 1)
    return Blocks(fields(b[:, 32:96], 32, 2) | high << 2, f16(b[:, 108:110]) * scales)


def six_bit_pairs(packed: Bytes) -> tuple[Bytes, Bytes]:
    """Eight scales and eight minima of six bits in twelve bytes."""
    a, b, c = packed[:, 0:4], packed[:, 4:8], packed[:, 8:12]
    scales = np.concatenate([a & 63, (c & 15) | (a >> 6) << 4], axis=1)
    return scales, np.concatenate([b & 63, (c >> 4) | (b >> 6) << 4], axis=1)


def q4_k(b: Bytes) -> Blocks:
    scales, minima = six_bit_pairs(b[:, 4:16])
    return Blocks(fields(b[:, 16:], 32, 4), f16(b[:, :2]) * scales, f16(b[:, 2:4]) * minima)


def q5_k(b: Bytes) -> Blocks:
    scales, minima = six_bit_pairs(b[:, 4:16])
    codes = fields(b[:, 48:], 32, 4) | fields(b[:, 16:48], 32, 1) << 4
    return Blocks(codes, f16(b[:, :2]) * scales, f16(b[:, 2:4]) * minima)


def q6_k(b: Bytes) -> Blocks:
    codes = fields(b[:, :128], 64, 4) | fields(b[:, 128:192], 32, 2) << 4
    return Blocks(codes, f16(b[:, 208:210]) * b[:, 192:208].view(np.int8))


def tq1_0(b: Bytes) -> Blocks:
    """Five digits of base 3 a byte, the largest first, as a fraction of 256."""
    parts = []
    for data, run, digits in ((b[:, :32], 32, 5), (b[:, 32:48], 16, 5), (b[:, 48:52], 4, 4)):
        powers = (3 ** np.arange(digits)).astype(np.uint8).reshape(1, -1, 1)
        shifted = data.reshape(len(data), 1, run) * powers  # wraps: digits before are dropped
        parts.append((shifted.astype(np.uint16) * 3 >> 8).astype(np.uint8).reshape(len(data), -1))
    return Blocks(np.concatenate(parts, axis=1), f16(b[:, 52:54]))


def tq2_0(b: Bytes) -> Blocks:
    return Blocks(fields(b[:, :64], 32, 2), f16(b[:, 64:66]))


BLOCK_TYPES: dict[str, BlockType] = {
    "Q4_0": BlockType(32, 18, "i4:g32", q4_0),
    "Q4_1": BlockType(32, 20, "u4:g32:zf32", q4_1),
    "Q5_0": BlockType(32, 22, "i5:g32", q5_0),
    "Q5_1": BlockType(32, 24, "u5:g32:zf32", q5_1),
    "Q8_0": BlockType(32, 34, "i8:g32", q8_0),
    "Q2_K": BlockType(256, 84, "u2:g16:sf32:zf32", q2_k),
    "Q3_K": BlockType(256, 110, "i3:g16:sf32", q3_k),
    "Q4_K": BlockType(256, 144, "u4:g32:sf32:zf32", q4_k),
    "Q5_K": BlockType(256, 176, "u5:g32:sf32:zf32", q5_k),
    "Q6_K": BlockType(256, 210, "i6:g16:sf32", q6_k),
    "IQ4_NL": BlockType(32, 18, "iq4nl:g32", q4_0),
    "TQ1_0": BlockType(256, 54, "ternary:g256", tq1_0),
    "TQ2_0": BlockType(256, 66, "ternary:g256", tq2_0),
}


def zero_points(scales: Floats, minima: Floats) -> tuple[Floats, Floats]:
    """(scales, zeros) with (code - zero) * scale = code * scale - minimum, as f32 allows.

    A group without a scale is a constant: a tiny scale and a huge zero point stand for it.
    """
    used = np.where(scales == 0, np.ldexp(np.abs(minima), -40), scales).astype(np.float32)
    zeros = np.divide(minima, used, out=np.zeros_like(used), where=used != 0)
    return used, zeros.astype(np.float32)
