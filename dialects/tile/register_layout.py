"""Register layouts: which thread of a block holds which elements of a tile, in which order.

A layout is a function from (thread, local index) to an index of the tile. In: shapes. Out: layouts
that form an algebra: products put tiles into tiles, quotients undo products.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np
import numpy.typing as npt

from ..errors import TilecastError


class LayoutError(TilecastError):
    """A layout does not exist: shapes disagree, or a quotient leaves a remainder."""


@dataclass(frozen=True)
class RegisterLayout:
    """Digits of a mixed-radix number, dealt to threads and to the registers of each.

    Every extent of `shape` is the product of some consecutive `mode_shape` entries, its modes,
    highest first. A mode belongs to `spatial_modes` or to `local_modes`: the thread number is read
    as digits of the spatial modes, the local index as digits of the local modes, highest first. An
    entry -k of `spatial_modes` stands for k threads that hold copies. No mode has size 1.
    """

    shape: tuple[int, ...]
    mode_shape: tuple[int, ...]
    spatial_modes: tuple[int, ...]
    local_modes: tuple[int, ...]

    def __post_init__(self) -> None:
        used = sorted([m for m in self.spatial_modes if m >= 0] + list(self.local_modes))
        if used != list(range(len(self.mode_shape))):
            raise LayoutError(f"layout {self.raw}: expected every mode once, found modes {used}")
        if any(size < 2 for size in self.mode_shape) or -1 in self.spatial_modes:
            raise LayoutError(f"layout {self.raw}: expected modes of at least 2")
        if [prod(self.mode_shape[m] for m in modes) for modes in self.dim_modes] != [*self.shape]:
            raise LayoutError(f"layout {self.raw}: the modes do not multiply to the shape")
        if sum(map(len, self.dim_modes)) != len(self.mode_shape):
            raise LayoutError(f"layout {self.raw}: more modes than the shape has")

    @property
    def raw(self) -> str:
        """The four fields as text."""

        def listed(numbers: Sequence[int]) -> str:
            return ",".join(map(str, numbers))

        return (
            f"modes({listed(self.shape)}; {listed(self.mode_shape)}; "
            f"{listed(self.spatial_modes)}; {listed(self.local_modes)})"
        )

    def __str__(self) -> str:
        from .layout_text import print_layout

        return print_layout(self)

    @property
    def rank(self) -> int:
        """The number of dims of the tile."""
        return len(self.shape)

    @cached_property
    def dim_modes(self) -> tuple[tuple[int, ...], ...]:
        """The modes of every dim, highest first."""
        groups: list[tuple[int, ...]] = []
        start = 0
        for extent in self.shape:
            end, size = start, 1
            while size < extent and end < len(self.mode_shape):
                size *= self.mode_shape[end]
                end += 1
            groups.append(tuple(range(start, end)))
            start = end
        return tuple(groups)

    def dim_of(self, mode: int) -> int:
        """The dim that `mode` is a digit of."""
        return next(d for d, modes in enumerate(self.dim_modes) if mode in modes)

    def stride_of(self, mode: int) -> int:
        """What one step of `mode` adds to the index of its dim."""
        return prod(self.mode_shape[m] for m in self.dim_modes[self.dim_of(mode)] if m > mode)

    def size_of(self, spatial_entry: int) -> int:
        """Threads that an entry of `spatial_modes` tells apart, copies or not."""
        return -spatial_entry if spatial_entry < 0 else self.mode_shape[spatial_entry]

    @property
    def threads(self) -> int:
        """Threads that hold the tile."""
        return prod(self.size_of(m) for m in self.spatial_modes)

    @property
    def locals(self) -> int:
        """Elements per thread."""
        return prod(self.mode_shape[m] for m in self.local_modes)

    @property
    def copies(self) -> int:
        """How many threads hold each element."""
        return prod(-m for m in self.spatial_modes if m < 0)

    def __mul__(self, inner: RegisterLayout) -> RegisterLayout:
        """The product: each element of self is a tile laid out as `inner`.

        h(t, i) = self(t // T, i // N) * inner.shape + inner(t % T, i % N), T and N being the
        threads and locals of `inner`. Associative, not commutative.
        """
        if self.rank != inner.rank:
            raise LayoutError(f"product of ranks {self.rank} and {inner.rank}: {self} * {inner}")
        rename: dict[tuple[bool, int], int] = {}
        sizes: list[int] = []
        for outer_modes, inner_modes in zip(self.dim_modes, inner.dim_modes, strict=True):
            for is_inner, layout, modes in ((False, self, outer_modes), (True, inner, inner_modes)):
                for mode in modes:
                    rename[is_inner, mode] = len(sizes)
                    sizes.append(layout.mode_shape[mode])

        def renamed(is_inner: bool, modes: Sequence[int]) -> tuple[int, ...]:
            return tuple(m if m < 0 else rename[is_inner, m] for m in modes)

        return RegisterLayout(
            tuple(a * b for a, b in zip(self.shape, inner.shape, strict=True)),
            tuple(sizes),
            renamed(False, self.spatial_modes) + renamed(True, inner.spatial_modes),
            renamed(False, self.local_modes) + renamed(True, inner.local_modes),
        )

    def local(self, *shape: int) -> RegisterLayout:
        """self * local(shape), to chain products."""
        return self * local(*shape)

    def spatial(self, *shape: int) -> RegisterLayout:
        """self * spatial(shape), to chain products."""
        return self * spatial(*shape)

    def column_local(self, *shape: int) -> RegisterLayout:
        """self * column_local(shape)."""
        return self * column_local(*shape)

    def column_spatial(self, *shape: int) -> RegisterLayout:
        """self * column_spatial(shape)."""
        return self * column_spatial(*shape)

    def split_mode(self, mode: int, inner: int) -> RegisterLayout:
        """The same function, `mode` written as two modes, the lower of size `inner`."""
        sizes = [*self.mode_shape]
        sizes[mode : mode + 1] = [sizes[mode] // inner, inner]

        def renumbered(modes: Sequence[int]) -> tuple[int, ...]:
            found: list[int] = []
            for m in modes:
                found += [m, m + 1] if m == mode else [m + (m > mode)]
            return tuple(found)

        return RegisterLayout(
            self.shape,
            tuple(sizes),
            renumbered(self.spatial_modes),
            renumbered(self.local_modes),
        )

    def split_dim(self, dim: int, inner: int) -> RegisterLayout | None:
        """The same function, with no mode of `dim` across `inner`; None where there is no such."""
        size = 1
        for mode in reversed(self.dim_modes[dim]):
            if size == inner:
                break
            step = self.mode_shape[mode]
            if inner % (size * step) == 0:
                size *= step
            elif inner % size == 0 and step % (inner // size) == 0:
                return self.split_mode(mode, inner // size)
            else:
                return None
        return self

    @cached_property
    def canonical(self) -> RegisterLayout:
        """The one way to write this function: neighbours in dim and list are one mode.

        Two layouts are the same function if and only if their canonical forms are equal.
        """
        merged = self
        while (pair := merged._mergeable()) is not None:
            merged = merged._merged(pair)
        spatial: list[int] = []
        for m in merged.spatial_modes:
            if m < 0 and spatial and spatial[-1] < 0:
                spatial[-1] *= -m
            else:
                spatial.append(m)
        return RegisterLayout(merged.shape, merged.mode_shape, tuple(spatial), merged.local_modes)

    def _mergeable(self) -> int | None:
        """A mode m whose successor in its dim also follows it in its list."""
        for modes in (self.spatial_modes, self.local_modes):
            for k in range(len(modes) - 1):
                m = modes[k]
                if m >= 0 and modes[k + 1] == m + 1 and self.dim_of(m) == self.dim_of(m + 1):
                    return m
        return None

    def _merged(self, mode: int) -> RegisterLayout:
        sizes = [*self.mode_shape]
        sizes[mode : mode + 2] = [sizes[mode] * sizes[mode + 1]]

        def renumbered(modes: Sequence[int]) -> tuple[int, ...]:
            return tuple(m - (m > mode) for m in modes if m != mode + 1)

        return RegisterLayout(
            self.shape,
            tuple(sizes),
            renumbered(self.spatial_modes),
            renumbered(self.local_modes),
        )

    def is_same_as(self, other: RegisterLayout) -> bool:
        """Whether both are the same function."""
        return self.canonical == other.canonical

    def __truediv__(self, inner: RegisterLayout) -> RegisterLayout:
        """The layout f with f * inner = self; LayoutError where there is none."""
        quotient = self.quotient(inner)
        if quotient is None:
            raise LayoutError(f"{self} is not divisible by {inner}")
        return quotient

    def is_divisible_by(self, inner: RegisterLayout) -> bool:
        """Whether self is a product whose last factor is `inner`."""
        return self.quotient(inner) is not None

    def quotient(self, inner: RegisterLayout) -> RegisterLayout | None:
        """The canonical layout f with f * inner = self, or None."""
        if self.rank != inner.rank:
            return None
        if any(a % b for a, b in zip(self.shape, inner.shape, strict=True)):
            return None
        split: RegisterLayout | None = self.canonical
        for dim, extent in enumerate(inner.shape):
            split = None if split is None else split.split_dim(dim, extent)
        if split is None:
            return None
        split, spatial_at = split._suffix(split.spatial_modes, inner.threads)
        local_at = split._suffix(split.local_modes, inner.locals)[1]
        if spatial_at is None or local_at is None:
            return None
        lower = {
            m
            for modes, extent in zip(split.dim_modes, inner.shape, strict=True)
            for m in modes
            if split.stride_of(m) < extent
        }
        spatial, low_spatial = split.spatial_modes[:spatial_at], split.spatial_modes[spatial_at:]
        locals_, low_local = split.local_modes[:local_at], split.local_modes[local_at:]
        if {m for m in (*low_spatial, *low_local) if m >= 0} != lower:
            return None
        if not split._restricted(inner.shape, low_spatial, low_local).is_same_as(inner):
            return None
        outer_shape = tuple(a // b for a, b in zip(self.shape, inner.shape, strict=True))
        return split._restricted(outer_shape, spatial, locals_).canonical

    def _suffix(self, modes: Sequence[int], count: int) -> tuple[RegisterLayout, int | None]:
        """Where the last entries of `modes` multiply to `count`; copies are split if need be."""
        size = 1
        for at in range(len(modes), -1, -1):
            if size == count:
                return self, at
            if at == 0:
                break
            entry = modes[at - 1]
            step = self.size_of(entry)
            if count % (size * step) == 0:
                size *= step
            elif entry < 0 and count % size == 0 and step % (count // size) == 0:
                inside = count // size
                parts = (-(step // inside), -inside)
                spatial = (*self.spatial_modes[: at - 1], *parts, *self.spatial_modes[at:])
                split = RegisterLayout(self.shape, self.mode_shape, spatial, self.local_modes)
                return split, at
            else:
                break
        return self, None

    def _restricted(
        self, shape: tuple[int, ...], spatial: Sequence[int], local_: Sequence[int]
    ) -> RegisterLayout:
        """The layout of only these modes."""
        kept = sorted(m for m in (*spatial, *local_) if m >= 0)
        number = {mode: k for k, mode in enumerate(kept)}
        return RegisterLayout(
            shape,
            tuple(self.mode_shape[m] for m in kept),
            tuple(m if m < 0 else number[m] for m in spatial),
            tuple(number[m] for m in local_),
        )

    def reduce(self, dim: int, size: int | None = None) -> RegisterLayout:
        """What is left of the layout when `size` neighbours along `dim` (all of them) become one.

        Threads that differed only in these hold copies.
        """
        size = self.shape[dim] if size is None else size
        split = self.split_dim(dim, size) if self.shape[dim] % size == 0 else None
        if split is None:
            raise LayoutError(f"{self}: groups of {size} along dim {dim} are not made of modes")
        gone = {m for m in split.dim_modes[dim] if split.stride_of(m) < size}
        kept = [m for m in range(len(split.mode_shape)) if m not in gone]
        number = {mode: k for k, mode in enumerate(kept)}
        spatial = [
            m if m < 0 else -split.mode_shape[m] if m in gone else number[m]
            for m in split.spatial_modes
        ]
        shape = tuple(n // size if d == dim else n for d, n in enumerate(self.shape))
        return RegisterLayout(
            shape,
            tuple(split.mode_shape[m] for m in kept),
            tuple(spatial),
            tuple(number[m] for m in split.local_modes if m not in gone),
        ).canonical

    def permute(self, dims: Sequence[int]) -> RegisterLayout:
        """Dim k of the result is dim dims[k] of self; every thread keeps its registers."""
        order = [m for d in dims for m in self.dim_modes[d]]
        number = {mode: k for k, mode in enumerate(order)}
        return RegisterLayout(
            tuple(self.shape[d] for d in dims),
            tuple(self.mode_shape[m] for m in order),
            tuple(m if m < 0 else number[m] for m in self.spatial_modes),
            tuple(number[m] for m in self.local_modes),
        )

    def drop(self, dim: int) -> RegisterLayout:
        """Without `dim`, which has extent 1."""
        if self.shape[dim] != 1:
            raise LayoutError(f"{self}: dim {dim} has extent {self.shape[dim]}, only 1 can go")
        shape = self.shape[:dim] + self.shape[dim + 1 :]
        return RegisterLayout(shape, self.mode_shape, self.spatial_modes, self.local_modes)

    def table(self) -> npt.NDArray[np.int64]:
        """The function: [threads, locals, rank] indices."""
        thread_digits = _digits(self.threads, [self.size_of(m) for m in self.spatial_modes])
        local_digits = _digits(self.locals, [self.mode_shape[m] for m in self.local_modes])
        result = np.zeros((self.threads, self.locals, self.rank), np.int64)
        for digits, mode in zip(thread_digits, self.spatial_modes, strict=True):
            if mode >= 0:
                result[:, :, self.dim_of(mode)] += digits[:, None] * self.stride_of(mode)
        for digits, mode in zip(local_digits, self.local_modes, strict=True):
            result[:, :, self.dim_of(mode)] += digits[None, :] * self.stride_of(mode)
        return result


def _digits(count: int, sizes: Sequence[int]) -> list[npt.NDArray[np.int64]]:
    """The digits of 0 .. count - 1 in the mixed radix `sizes`, highest first."""
    numbers = np.arange(count)
    digits: list[npt.NDArray[np.int64]] = []
    for size in reversed(sizes):
        digits.append(numbers % size)
        numbers = numbers // size
    return digits[::-1]


def _dealt(shape: tuple[int, ...], is_spatial: bool, is_column: bool) -> RegisterLayout:
    if not shape or any(extent < 1 for extent in shape):
        raise LayoutError(f"expected positive extents, found {shape}")
    sizes = tuple(extent for extent in shape if extent > 1)
    modes = tuple(range(len(sizes)))
    order = modes[::-1] if is_column else modes
    return RegisterLayout(shape, sizes, order if is_spatial else (), () if is_spatial else order)


def local(*shape: int) -> RegisterLayout:
    """One thread holds the tile, in row-major order."""
    return _dealt(shape, False, False)


def spatial(*shape: int) -> RegisterLayout:
    """One element per thread, threads in row-major order."""
    return _dealt(shape, True, False)


def column_local(*shape: int) -> RegisterLayout:
    """One thread holds the tile, first dim fastest."""
    return _dealt(shape, False, True)


def column_spatial(*shape: int) -> RegisterLayout:
    """One element per thread, first dim fastest."""
    return _dealt(shape, True, True)


def replicate(threads: int, rank: int) -> RegisterLayout:
    """One element, of which all threads hold copies."""
    return RegisterLayout((1,) * rank, (), (-threads,) if threads > 1 else (), ())
