"""Threads of a product in f32 without tensor cores, and who holds which numbers.

A warp is 4 x 8 threads. Each has rows `rows_each` and columns `columns_each` of the sums; of the
operands it reads slices of `SLICE` steps along K. Where memory runs along M or N instead, a thread
has up to 4 neighbours of it, so that both are loads of 16 bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd, prod

from ...dialects.tile.register_layout import RegisterLayout

SLICE = 4  # steps along K that are read at once: 16 bytes of f32
LANES = (4, 8)


@dataclass(frozen=True)
class FmaThreads:
    """`rows` x `columns` warps; what each thread has; which operands run along M and N."""

    rows: int
    columns: int
    rows_each: int
    columns_each: int
    along_m: bool = False
    along_n: bool = False

    @property
    def threads(self) -> int:
        """Threads of a block."""
        return 32 * self.rows * self.columns

    @property
    def tile(self) -> tuple[int, int]:
        """(M, N) of a block."""
        m, n = LANES
        return m * self.rows * self.rows_each, n * self.columns * self.columns_each

    @property
    def accumulator(self) -> RegisterLayout:
        """[M, N], the sums of a thread row by row."""
        (m, m_near), (n, n_near) = self._m, self._n
        return _layout(
            [[("m", m), ("wm", self.rows), ("lm", 4), ("vm", m_near)],
             [("n", n), ("wn", self.columns), ("ln", 8), ("vn", n_near)]],
            ["wm", "wn", "lm", "ln"],
            ["m", "vm", "n", "vn"],
        )  # fmt: skip

    @property
    def lhs(self) -> RegisterLayout:
        """[M, K] of a slice, or [K, M] where memory runs along M; copies for a row of threads."""
        m, near = self._m
        modes = [("m", m), ("wm", self.rows), ("lm", 4), ("vm", near)]
        return self._operand(modes, self.along_m, ["wm", -self.columns, "lm", -8], ["m", "vm"])

    @property
    def rhs(self) -> RegisterLayout:
        """[N, K] of a slice, or [K, N] where memory runs along N; copies for a column."""
        n, near = self._n
        modes = [("n", n), ("wn", self.columns), ("ln", 8), ("vn", near)]
        return self._operand(modes, self.along_n, [-self.rows, "wn", -4, "ln"], ["n", "vn"])

    @property
    def _m(self) -> tuple[int, int]:
        near = gcd(self.rows_each, 4) if self.along_m else 1
        return self.rows_each // near, near

    @property
    def _n(self) -> tuple[int, int]:
        near = gcd(self.columns_each, 4) if self.along_n else 1
        return self.columns_each // near, near

    @staticmethod
    def _operand(
        modes: list[tuple[str, int]], along: bool, threads: list[str | int], held: list[str]
    ) -> RegisterLayout:
        depth = [("k", SLICE)]
        if along:
            return _layout([depth, modes], threads, ["k", *held])
        return _layout([modes, depth], threads, [*held, "k"])


def _layout(
    dims: list[list[tuple[str, int]]], threads: list[str | int], held: list[str]
) -> RegisterLayout:
    """A layout by names of modes; numbers below 0 among `threads` are copies."""
    modes = [(name, size) for dim in dims for name, size in dim if size > 1]
    number = {name: k for k, (name, _) in enumerate(modes)}
    spatial = [number.get(t) if isinstance(t, str) else t for t in threads if t != -1]
    return RegisterLayout(
        tuple(prod(size for _, size in dim) for dim in dims),
        tuple(size for _, size in modes),
        tuple(m for m in spatial if m is not None),
        tuple(number[name] for name in held if name in number),
    )
