"""Operators that put tensors together: cat, stack, padding, rolling, triangles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.dialects.builtin import FloatAttr, IntegerAttr, IntegerType, f64, i1, i64
from xdsl.ir import Attribute, SSAValue
from xdsl.ir.affine import AffineExpr

from ...dialects.graph import CatOp, PadOp, element_of, shape_of, tensor_of
from ...dialects.integers import wrapped
from .builder import Builder, Scalar, normalize_dim
from .resampling import Positions, pick
from .rules import UnsupportedUse, rule


@rule("aten.cat.default", "aten.concat.default", "aten.concatenate.default")
def cat(b: Builder, tensors: Sequence[SSAValue], dim: int) -> SSAValue:
    """Tensors joined along `dim`; torch lets empty rank-1 tensors join anything."""
    parts = [b.cast(t, b.out_element) for t in tensors if shape_of(t) != (0,)]
    if not parts:
        return b.full(0, b.out_element, b.shape)
    if len(parts) == 1:
        return parts[0]
    return b.emit(CatOp(parts, normalize_dim(dim, len(b.shape)), b.out))


@rule("aten.stack.default")
def stack(b: Builder, tensors: Sequence[SSAValue], dim: int) -> SSAValue:
    """Tensors joined along a new dim."""
    dim = normalize_dim(dim, len(b.shape))
    shape = list(b.shape)
    shape[dim] = 1
    return cat(b, [b.reshape(b.cast(t, b.out_element), shape) for t in tensors], dim)


@rule("aten.constant_pad_nd.default")
def constant_pad(b: Builder, source: SSAValue, pad: Sequence[int], value: Scalar) -> SSAValue:
    """`pad` counts from the last dim, two numbers each; negative numbers cut away."""
    rank = len(shape_of(source))
    low, high = [0] * rank, [0] * rank
    for i in range(len(pad) // 2):
        low[rank - 1 - i], high[rank - 1 - i] = pad[2 * i], pad[2 * i + 1]
    for d in range(rank):
        cut = max(0, -low[d]), max(0, -high[d])
        if any(cut):
            source = b.slice(source, d, cut[0], shape_of(source)[d] - sum(cut))
    return pad_with(b, source, [max(0, n) for n in low], [max(0, n) for n in high], value)


def pad_with(
    b: Builder, source: SSAValue, low: Sequence[int], high: Sequence[int], value: Scalar
) -> SSAValue:
    """`low` and `high` elements equal to `value` around each dim."""
    if not any(low) and not any(high):
        return source
    attr: Attribute
    element = element_of(source)
    if isinstance(element, IntegerType):
        attr = IntegerAttr(wrapped(int(value), element), 64)
    else:
        attr = FloatAttr(float(value), f64)
    shape = [n + lo + hi for n, lo, hi in zip(shape_of(source), low, high, strict=True)]
    return b.emit(PadOp(source, low, high, attr, tensor_of(element_of(source), shape)))


@rule("aten.pad.default")
def pad(
    b: Builder, source: SSAValue, pad: Sequence[int], mode: str, value: Scalar | None
) -> SSAValue:
    """Constant padding; reflect, replicate and circular as joined slices."""
    if mode == "constant":
        return constant_pad(b, source, pad, 0 if value is None else value)
    rank = len(shape_of(source))
    for i in range(len(pad) // 2):
        source = _pad_by_copy(b, source, rank - 1 - i, pad[2 * i], pad[2 * i + 1], mode)
    return source


@rule(
    "aten.reflection_pad1d.default",
    "aten.reflection_pad2d.default",
    "aten.reflection_pad3d.default",
)
def reflection_pad(b: Builder, source: SSAValue, padding: Sequence[int]) -> SSAValue:
    """Mirrored without the border."""
    return pad(b, source, padding, "reflect", None)


@rule(
    "aten.replication_pad1d.default",
    "aten.replication_pad2d.default",
    "aten.replication_pad3d.default",
)
def replication_pad(b: Builder, source: SSAValue, padding: Sequence[int]) -> SSAValue:
    """The border repeated."""
    return pad(b, source, padding, "replicate", None)


def _pad_by_copy(
    b: Builder, source: SSAValue, dim: int, low: int, high: int, mode: str
) -> SSAValue:
    n = shape_of(source)[dim]
    if low < 0 or high < 0:
        return pick(b, source, dim, _padded_positions(n, low, high, mode))
    if low == 0 and high == 0:
        return source
    if mode == "reflect":
        first, last = (low, -1), (n - 2, -1)
    elif mode == "circular":
        first, last = (n - low, 1), (0, 1)
    elif mode == "replicate":
        first, last = (0, 0), (n - 1, 0)
    else:
        raise UnsupportedUse(f"padding mode {mode!r}")
    parts = []
    if low:
        parts.append(b.slice(source, dim, first[0], low, first[1]))
    parts.append(source)
    if high:
        parts.append(b.slice(source, dim, last[0], high, last[1]))
    shape = list(shape_of(source))
    shape[dim] = n + low + high
    return b.emit(CatOp(parts, dim, tensor_of(element_of(source), shape)))


def _padded_positions(extent: int, low: int, high: int, mode: str) -> Positions:
    """The source index of every padded element; negative amounts cut away."""
    if mode == "circular":  # what is left after cutting goes around
        first, last = max(-low, 0), extent - max(-high, 0)
        around: Positions = np.arange(-max(low, 0), last - first + max(high, 0)) % (last - first)
        return around + first
    at: Positions = np.arange(-low, extent + high)
    if mode == "replicate":
        return np.minimum(np.maximum(at, 0), extent - 1)
    mirrored: Positions = extent - 1 - np.abs(extent - 1 - np.abs(at))
    return mirrored


@rule("aten.roll.default")
def roll(b: Builder, source: SSAValue, shifts: Sequence[int], dims: Sequence[int]) -> SSAValue:
    """Indices shifted around: (i - shift) modulo the extent."""
    shape = shape_of(source)
    if not dims:
        flat = b.reshape(source, [b.out.element_count()])
        return b.reshape(roll(b, flat, shifts, [0]), shape)
    exprs = [AffineExpr.dimension(d) for d in range(len(shape))]
    for shift, dim in zip(shifts, dims, strict=True):
        d = normalize_dim(dim, len(shape))
        if shift % shape[d]:
            exprs[d] = (AffineExpr.dimension(d) + (-shift) % shape[d]) % shape[d]
    return b.view(source, exprs, shape)


@rule("aten.tril.default")
def tril(b: Builder, source: SSAValue, diagonal: int) -> SSAValue:
    """Zero above the diagonal."""
    return _triangle(b, source, "le", diagonal)


@rule("aten.triu.default")
def triu(b: Builder, source: SSAValue, diagonal: int) -> SSAValue:
    """Zero below the diagonal."""
    return _triangle(b, source, "ge", diagonal)


def _triangle(b: Builder, source: SSAValue, keep: str, diagonal: int) -> SSAValue:
    rows, columns = shape_of(source)[-2:]
    row = b.reshape(b.iota(rows, i64, start=diagonal), [rows, 1])
    kept = b.pointwise(keep, b.iota(columns, i64), row)
    return b.pointwise("where", kept, source, 0)


@rule("aten.diff.default")
def diff(
    b: Builder,
    source: SSAValue,
    n: int,
    dim: int,
    prepend: SSAValue | None,
    append: SSAValue | None,
) -> SSAValue:
    """Differences of neighbours along `dim`, `n` times; of truth values whether they differ."""
    dim = normalize_dim(dim, len(shape_of(source)))
    parts = [b.cast(part, b.out_element) for part in (prepend, source, append) if part is not None]
    value = parts[0]
    if len(parts) > 1:
        shape = list(shape_of(source))
        shape[dim] = sum(shape_of(part)[dim] for part in parts)
        value = b.emit(CatOp(parts, dim, tensor_of(b.out_element, shape)))
    fn = "xor" if b.out_element == i1 else "sub"
    for _ in range(n):
        rest = shape_of(value)[dim] - 1
        value = b.pointwise(fn, b.slice(value, dim, 1, rest), b.slice(value, dim, 0, rest))
    return value
