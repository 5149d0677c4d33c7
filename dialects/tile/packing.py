"""Codes of a tile as the words that its threads hold, in numpy: what `tile.view` to codes means.

See `CodeType` for the places of the bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .register_layout import RegisterLayout

Array = npt.NDArray[Any]


def pack_codes(codes: Array, width: int) -> npt.NDArray[np.uint32]:
    """[..., elements] codes of one thread to [..., elements * width / 32] words."""
    pairs = codes.astype(np.uint64).reshape(*codes.shape[:-1], -1, 2)
    words = np.zeros((*codes.shape[:-1], codes.shape[-1] * width // 32), np.uint64)
    for pair in range(pairs.shape[-2]):
        word, shift = divmod(pair * width, 16)
        for half in (0, 1):
            bits = pairs[..., pair, half] << shift
            words[..., word] |= (bits & 0xFFFF) << (16 * half)
            if shift + width > 16:
                words[..., word + 1] |= (bits >> 16) << (16 * half)
    return words.astype(np.uint32)


def unpack_codes(words: npt.NDArray[np.uint32], width: int) -> npt.NDArray[np.uint8]:
    """The inverse of `pack_codes`."""
    halves = np.stack([words & 0xFFFF, words >> 16], -1).astype(np.uint64)
    count = words.shape[-1] * 32 // width
    codes = np.zeros((*words.shape[:-1], count // 2, 2), np.uint8)
    for pair in range(count // 2):
        word, shift = divmod(pair * width, 16)
        bits = halves[..., word, :] >> shift
        if shift + width > 16:
            bits |= halves[..., word + 1, :] << (16 - shift)
        codes[..., pair, :] = bits & ((1 << width) - 1)
    return codes.reshape(*words.shape[:-1], count)


def thread_bytes(tile: Array, layout: RegisterLayout, width: int | None) -> npt.NDArray[np.uint8]:
    """[threads, bytes]: what every thread holds of `tile`, whose codes have `width` bits."""
    table = layout.table()
    held = tile[tuple(np.moveaxis(table, -1, 0))]
    if width is not None:
        held = pack_codes(held, width)
    return np.ascontiguousarray(held).view(np.uint8).reshape(layout.threads, -1)


def tile_of_bytes(
    data: npt.NDArray[np.uint8], layout: RegisterLayout, dtype: npt.DTypeLike, width: int | None
) -> Array:
    """The inverse of `thread_bytes`."""
    if width is not None:
        held: Array = unpack_codes(np.ascontiguousarray(data).view(np.uint32), width)
    else:
        held = np.ascontiguousarray(data).view(dtype)
    tile = np.zeros(layout.shape, held.dtype)
    tile[tuple(np.moveaxis(layout.table(), -1, 0))] = held
    return tile
