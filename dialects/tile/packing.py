"""Codes of a tile as the words that its threads hold, in numpy: what `tile.view` to codes means.

See `CodeType` for the places of the bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .register_layout import RegisterLayout
from .types import CodeType, bits_of

Array = npt.NDArray[Any]


def pack_codes(codes: Array, type: CodeType) -> npt.NDArray[np.uint32]:
    """[..., elements] codes of one thread to [..., elements * width / 32] words."""
    width, streams, each = bits_of(type), type.streams.data, 32 // type.streams.data
    rows = codes.astype(np.uint64).reshape(*codes.shape[:-1], -1, streams)
    words = np.zeros((*codes.shape[:-1], codes.shape[-1] * width // 32), np.uint64)
    for row in range(rows.shape[-2]):
        word, shift = divmod(row * width, each)
        for stream in range(streams):
            bits = rows[..., row, stream] << shift
            words[..., word] |= (bits & ((1 << each) - 1)) << (each * stream)
            if shift + width > each:
                words[..., word + 1] |= (bits >> each) << (each * stream)
    return words.astype(np.uint32)


def unpack_codes(words: npt.NDArray[np.uint32], type: CodeType) -> npt.NDArray[np.uint8]:
    """The inverse of `pack_codes`."""
    width, streams, each = bits_of(type), type.streams.data, 32 // type.streams.data
    parts = [words >> each * s & ((1 << each) - 1) for s in range(streams)]
    taken = np.stack(parts, -1).astype(np.uint64)
    count = words.shape[-1] * 32 // width
    codes = np.zeros((*words.shape[:-1], count // streams, streams), np.uint8)
    for row in range(count // streams):
        word, shift = divmod(row * width, each)
        bits = taken[..., word, :] >> shift
        if shift + width > each:
            bits |= taken[..., word + 1, :] << (each - shift)
        codes[..., row, :] = bits & ((1 << width) - 1)
    return codes.reshape(*words.shape[:-1], count)


def thread_bytes(
    tile: Array, layout: RegisterLayout, code: CodeType | None
) -> npt.NDArray[np.uint8]:
    """[threads, bytes]: what every thread holds of `tile`, whose elements may be codes."""
    table = layout.table()
    held = tile[tuple(np.moveaxis(table, -1, 0))]
    if code is not None:
        held = pack_codes(held, code)
    return np.ascontiguousarray(held).view(np.uint8).reshape(layout.threads, -1)


def tile_of_bytes(
    data: npt.NDArray[np.uint8], layout: RegisterLayout, dtype: npt.DTypeLike, code: CodeType | None
) -> Array:
    """The inverse of `thread_bytes`."""
    if code is not None:
        held: Array = unpack_codes(np.ascontiguousarray(data).view(np.uint32), code)
    else:
        held = np.ascontiguousarray(data).view(dtype)
    tile = np.zeros(layout.shape, held.dtype)
    tile[tuple(np.moveaxis(layout.table(), -1, 0))] = held
    return tile
