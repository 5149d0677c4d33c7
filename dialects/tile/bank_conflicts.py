"""Bank conflicts of shared memory, counted: 32 banks of 4 bytes, a warp in phases by access width.

In: the byte addresses of a warp's accesses. Out: how many times the busiest bank is asked per phase
(1: no conflict), and swizzles for which ldmatrix and copies have none.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from .register_layout import RegisterLayout, local
from .shared_layout import CHUNK, PLAIN, SharedLayout, Swizzle

BANKS, BANK_BYTES, WARP = 32, 4, 32
Addresses = npt.NDArray[np.int64]


def conflict_degree(addresses: Addresses, width: int) -> int:
    """The busiest bank's share of different words, over all phases of one warp's access.

    `addresses` are the first bytes of what each thread accesses, `width` bytes each: 4 or fewer in
    one phase, 8 in two, 16 in four. Threads that access the same word share it.
    """
    per_phase = WARP if width <= BANK_BYTES else WARP * BANK_BYTES // width
    worst = 1
    for start in range(0, addresses.size, per_phase):
        phase = addresses[start : start + per_phase]
        offsets = np.arange(0, max(width, BANK_BYTES), BANK_BYTES)
        words = np.unique((phase[:, None] // BANK_BYTES * BANK_BYTES + offsets) // BANK_BYTES)
        worst = max(worst, int(np.bincount(words % BANKS, minlength=BANKS).max()))
    return worst


def ldmatrix_addresses(layout: SharedLayout, row: int, column: int) -> Addresses:
    """What a quarter of a warp reads for the 8x8 matrix of 16-bit elements at (row, column)."""
    rows = row + np.arange(8)
    lead = [np.zeros(8, np.int64)] * (len(layout.shape) - 2)
    return layout.addresses(*lead, rows, np.full(8, column))


def ldmatrix_conflicts(layout: SharedLayout) -> int:
    """The worst conflict of ldmatrix over all matrices of the array."""
    rows, columns = layout.shape[-2:]
    step = CHUNK // layout.element_bytes
    return max(
        conflict_degree(ldmatrix_addresses(layout, r, c), CHUNK)
        for r in range(0, rows - 7, 8)
        for c in range(0, columns - step + 1, step)
    )


def copy_conflicts(layout: SharedLayout, width: int) -> int:
    """The worst conflict of copies that deal the array to the threads, `width` bytes each."""
    elements = width // layout.element_bytes
    flat = np.arange(0, layout.nbytes // layout.element_bytes, elements)
    addresses = layout.addresses(*np.unravel_index(flat, layout.shape))
    return max(
        conflict_degree(addresses[w : w + WARP], width) for w in range(0, addresses.size, WARP)
    )


def vector_conflicts(layout: SharedLayout, held: RegisterLayout, count: int) -> int:
    """The worst conflict of threads that load or store what they hold, `count` elements at once."""
    table = held.table()
    lead = [np.zeros(held.threads, np.int64)] * (len(layout.shape) - held.rank)
    worst = 1
    for first in range(0, table.shape[1], count):
        addresses = layout.addresses(*lead, *table[:, first].T)
        for warp in range(0, held.threads, WARP):
            degree = conflict_degree(addresses[warp : warp + WARP], count * layout.element_bytes)
            worst = max(worst, degree)
    return worst


@cache
def choose_swizzle(
    shape: tuple[int, ...], element_bytes: int, held: RegisterLayout | None = None
) -> Swizzle:
    """The smallest swizzle without conflicts for 16-byte copies and ldmatrix, else the best.

    With `held`, the array is loaded so, as vectors. Else a few rows show all there is to see:
    further down, the same is exchanged once more in all of 8 rows alike.
    """
    row_bytes = shape[-1] * element_bytes
    if row_bytes % CHUNK or shape[-2] < 8:
        return PLAIN
    candidates = [PLAIN] + [
        Swizzle(bits, shift)
        for overlaps in (False, True)  # plain exchanges first
        for bits in (1, 2, 3)
        for shift in range(1, 8)
        if row_bytes % (CHUNK << bits) == 0 and (shift < bits) == overlaps
    ]

    def conflicts(swizzle: Swizzle) -> int:
        if held is not None:
            whole = SharedLayout(shape, element_bytes, swizzle)
            widths = (n // element_bytes for n in (16, 8, 4))
            count = next((n for n in widths if n and held.is_divisible_by(local(1, n))), 1)
            return max(vector_conflicts(whole, held, count), copy_conflicts(whole, CHUNK))
        layout = SharedLayout((min(shape[-2], 32), shape[-1]), element_bytes, swizzle)
        return max(ldmatrix_conflicts(layout), copy_conflicts(layout, CHUNK))

    return min(candidates, key=conflicts)
