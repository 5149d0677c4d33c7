"""`weights.safetensors`: written so that every tensor starts at a multiple of 64 bytes.

The safetensors format allows no holes, so small `__fill_N` byte tensors stand between weights; the
header is padded with spaces. Any safetensors reader opens the file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from .content import Array
from .element_types import element_type

ALIGNMENT = 64
FILL = "__fill_"


def stored_bytes(array: Array) -> bytes:
    """Row-major little-endian bytes of `array`."""
    return np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False).tobytes()


def weights_file_layout(weights: Mapping[str, Array]) -> tuple[bytes, list[int], int]:
    """(the header with its length in front, where each weight starts in the file, bytes of it)."""
    header: dict[str, Any] = {}
    position = 0
    starts: list[int] = []
    for number, (symbol, array) in enumerate(weights.items()):
        header[symbol] = {
            "dtype": element_type(array.dtype.name, f"weight {symbol}").stored,
            "shape": list(array.shape),
            "data_offsets": [position, position + array.nbytes],
        }
        starts.append(position)
        position += array.nbytes
        fill = -position % ALIGNMENT
        if fill:
            header[f"{FILL}{number}"] = {
                "dtype": "U8",
                "shape": [fill],
                "data_offsets": [position, position + fill],
            }
            position += fill
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-(8 + len(text)) % ALIGNMENT)
    head = len(text).to_bytes(8, "little") + text
    return head, [len(head) + start for start in starts], len(head) + position


def weights_file_chunks(weights: Mapping[str, Array]) -> Iterator[bytes]:
    """The bytes of the file, in pieces (a large model is never held twice in memory)."""
    yield weights_file_layout(weights)[0]
    for array in weights.values():
        yield stored_bytes(array) + b"\0" * (-array.nbytes % ALIGNMENT)
