"""Weights from memory: each call reads another copy, and all copies exceed the last-level cache.

A copy is read again only after `COLD_BYTES` of others, several times what any cache here holds.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

COLD_BYTES = 128 << 20
LINE = 64
Array = npt.NDArray[Any]


def copies_needed(weight_bytes: float) -> int:
    """How many copies of a weight of this size are rotated."""
    return max(2, math.ceil(COLD_BYTES / weight_bytes))


def aligned(array: Array) -> Array:
    """A copy that starts at a cache line, as the arrays of compiled programs do."""
    room = np.empty(array.nbytes + LINE, np.uint8)
    start = -room.ctypes.data % LINE
    found = room[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    found[...] = array
    return found
