"""Arrays between pages that nobody may touch, so that a wrong index crashes instead of spoiling
what another candidate is measured with."""

from __future__ import annotations

import ctypes
import mmap
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
PAGE = mmap.PAGESIZE
ALIGNMENT = 64
_NO_ACCESS, _READ_ONLY = 0, mmap.PROT_READ
_FILL = 0x5C
_libc = ctypes.CDLL(None, use_errno=True)


class GuardedArray:
    """An array that ends less than 64 bytes before a forbidden page, and starts after one.

    What the array leaves of its pages is filled with a pattern that `is_intact` looks for.
    """

    def __init__(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
        kind = np.dtype(dtype)
        size = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
        used = -(-max(size, 1) // ALIGNMENT) * ALIGNMENT
        pages = -(-used // PAGE) * PAGE
        try:
            self._map = mmap.mmap(-1, pages + 2 * PAGE)
        except OSError as error:
            raise MemoryError(f"no room for {size} bytes: {error}") from error
        anchor = (ctypes.c_char * len(self._map)).from_buffer(self._map)
        self._base = ctypes.addressof(anchor)
        whole = np.frombuffer(self._map, np.uint8)
        whole[:] = _FILL
        start = PAGE + pages - used
        self.bytes = whole[start : start + size]
        self._before = whole[PAGE:start]
        self._after = whole[start + size : start + used]
        self.array: Array = self.bytes.view(kind).reshape(shape)
        self._protected = PAGE, pages
        self._protect(0, PAGE, _NO_ACCESS)
        self._protect(PAGE + pages, PAGE, _NO_ACCESS)

    def forbid_writing(self) -> None:
        """Make a write crash. For good."""
        self._protect(*self._protected, _READ_ONLY)

    def poison(self) -> None:
        """NaN for floats, 0xA5 bytes for everything else."""
        self.bytes[:] = 0xFF if self.array.dtype.kind == "f" else 0xA5

    @property
    def is_intact(self) -> bool:
        """Whether nothing was written around the array."""
        return bool((self._before == _FILL).all() and (self._after == _FILL).all())

    def _protect(self, offset: int, size: int, access: int) -> None:
        address = ctypes.c_void_p(self._base + offset)
        if _libc.mprotect(address, ctypes.c_size_t(size), ctypes.c_int(access)) != 0:
            raise OSError(ctypes.get_errno(), "mprotect failed")
