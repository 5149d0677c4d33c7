"""Operators that only rename indices: `graph.view` and `graph.reshape`."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from xdsl.ir import SSAValue
from xdsl.ir.affine import AffineExpr

from ...dialects.graph import shape_of
from ...dialects.sizes import has_symbols
from .builder import Builder, normalize_dim, normalize_dims
from .rules import rule


@rule(
    "aten.view.default",
    "aten.reshape.default",
    "aten._unsafe_view.default",
    "aten.flatten.using_ints",
    "aten.unflatten.int",
    "aten.view_as.default",
    "aten.reshape_as.default",
    "aten.ravel.default",
    "aten.view_copy.default",
    "aten._reshape_alias.default",
)
def reshape(b: Builder, source: SSAValue, *_: object) -> SSAValue:
    """Row-major reinterpretation; torch has worked out the shape."""
    return b.reshape(source, b.shape)


@rule(
    "aten.squeeze.default",
    "aten.squeeze.dim",
    "aten.squeeze.dims",
    "aten.unsqueeze.default",
    "aten.squeeze_copy.default",
    "aten.unsqueeze_copy.default",
)
def change_unit_dims(b: Builder, source: SSAValue, *_: object) -> SSAValue:
    """Only extents of 1 come or go."""
    return b.reshape(source, b.shape)


@rule("aten.permute.default", "aten.permute_copy.default")
def permute(b: Builder, source: SSAValue, dims: Sequence[int]) -> SSAValue:
    """Result dim i is source dim dims[i]."""
    rank = len(shape_of(source))
    return b.permute(source, [normalize_dim(d, rank) for d in dims])


@rule(
    "aten.transpose.int",
    "aten.swapaxes.default",
    "aten.swapdims.default",
    "aten.transpose_copy.int",
)
def transpose(b: Builder, source: SSAValue, first: int, second: int) -> SSAValue:
    """Two dims exchanged."""
    rank = len(shape_of(source))
    if rank == 0:
        return source
    return b.swap(source, normalize_dim(first, rank), normalize_dim(second, rank))


@rule("aten.t.default", "aten.numpy_T.default", "aten.mT.default", "aten.adjoint.default")
def t(b: Builder, source: SSAValue) -> SSAValue:
    """Matrix transpose; vectors and scalars stay."""
    rank = len(shape_of(source))
    if rank < 2:
        return source
    if rank > 2 and b.shape != (*shape_of(source)[:-2], *shape_of(source)[:-3:-1]):
        return b.permute(source, list(reversed(range(rank))))
    return b.swap(source, rank - 2, rank - 1)


@rule(
    "aten.expand.default",
    "aten.expand_as.default",
    "aten.broadcast_to.default",
    "aten.expand_copy.default",
)
def expand(b: Builder, source: SSAValue, *_: object) -> SSAValue:
    """Extents of 1 repeated."""
    return b.expand(source, b.shape)


@rule("aten.slice.Tensor", "aten.slice_copy.Tensor")
def slice_(
    b: Builder, source: SSAValue, dim: int, start: int | None, end: int | None, step: int
) -> SSAValue:
    """start:end:step along `dim`, with Python's clamping."""
    dim = normalize_dim(dim, len(shape_of(source)))
    extent = shape_of(source)[dim]
    first = start or 0
    if first < 0:
        first = max(first + extent, 0)
    return b.slice(source, dim, first, b.shape[dim], step)


@rule("aten.narrow.default")
def narrow(b: Builder, source: SSAValue, dim: int, start: int, length: int) -> SSAValue:
    """`length` elements from `start` along `dim`."""
    if start < 0:
        start += shape_of(source)[dim]
    return b.slice(source, normalize_dim(dim, len(shape_of(source))), start, length)


@rule("aten.select.int", "aten.select_copy.int")
def select(b: Builder, source: SSAValue, dim: int, index: int) -> SSAValue:
    """One slice, without its dim."""
    dim = normalize_dim(dim, len(shape_of(source)))
    return b.select(source, dim, index if index >= 0 else index + shape_of(source)[dim])


@rule(
    "aten.split.Tensor",
    "aten.split_with_sizes.default",
    "aten.split.sizes",
    "aten.chunk.default",
    "aten.tensor_split.sections",
    "aten.split_with_sizes_copy.default",
)
def split(b: Builder, source: SSAValue, _sections: object, dim: int) -> list[SSAValue]:
    """Consecutive pieces along `dim`; torch has worked out their extents."""
    dim = normalize_dim(dim, len(shape_of(source)))
    pieces, start = [], 0
    for type in b.outs:
        length = type.get_shape()[dim]
        pieces.append(b.slice(source, dim, start, length))
        start += length
    return pieces


@rule("aten.unbind.int")
def unbind(b: Builder, source: SSAValue, dim: int) -> list[SSAValue]:
    """Every slice along `dim`."""
    dim = normalize_dim(dim, len(shape_of(source)))
    return [b.select(source, dim, i) for i in range(shape_of(source)[dim])]


@rule("aten.flip.default")
def flip(b: Builder, source: SSAValue, dims: Sequence[int]) -> SSAValue:
    """Dims read backwards."""
    shape = shape_of(source)
    backwards = normalize_dims(dims, len(shape)) if dims else []
    if has_symbols(shape[d] for d in backwards):
        for d in backwards:
            source = b.slice(source, d, shape[d] - 1, shape[d], -1)
        return source
    exprs = [
        AffineExpr.dimension(d) * -1 + (n - 1) if d in backwards else AffineExpr.dimension(d)
        for d, n in enumerate(shape)
    ]
    return b.view(source, exprs, shape)


@rule("aten.repeat.default", "aten.tile.default")
def repeat(b: Builder, source: SSAValue, _repeats: Sequence[int]) -> SSAValue:
    """Copies side by side: the index modulo the source extent."""
    shape, result = shape_of(source), b.shape
    lead = len(result) - len(shape)
    exprs: list[AffineExpr | int] = []
    for d, n in enumerate(shape, start=lead):
        dim = AffineExpr.dimension(d)
        exprs.append(0 if n == 1 else dim if result[d] == n else dim % n)
    return b.view(source, exprs, result)


@rule("aten.repeat_interleave.self_int")
def repeat_interleave(
    b: Builder, source: SSAValue, repeats: int, dim: int | None = None, output_size: object = None
) -> SSAValue:
    """Each element several times, one copy after the other: the index divided."""
    if dim is None:
        source, dim = b.reshape(source, [prod(shape_of(source))]), 0
    shape, result = shape_of(source), b.shape
    dim = normalize_dim(dim, len(shape))
    exprs: list[AffineExpr | int] = [AffineExpr.dimension(d) for d in range(len(shape))]
    exprs[dim] = 0 if shape[dim] == 1 else AffineExpr.dimension(dim) // repeats
    return b.view(source, exprs, result)


@rule("aten.unfold.default")
def unfold(b: Builder, source: SSAValue, dim: int, size: int, step: int) -> SSAValue:
    """Sliding windows along `dim`, as a new last dim; a number is one window."""
    rank = len(shape_of(source))
    if rank == 0:
        return b.reshape(source, b.out.get_shape())
    dim = normalize_dim(dim, rank)
    exprs = [AffineExpr.dimension(d) for d in range(rank)]
    exprs[dim] = exprs[dim] * step + AffineExpr.dimension(rank)
    return b.view(source, exprs, b.shape)


@rule("aten.diagonal.default")
def diagonal(b: Builder, source: SSAValue, offset: int, first: int, second: int) -> SSAValue:
    """Elements whose two indices differ by `offset`, as a new last dim."""
    rank = len(shape_of(source))
    first, second = normalize_dim(first, rank), normalize_dim(second, rank)
    along = AffineExpr.dimension(rank - 2)
    exprs: list[AffineExpr] = []
    kept = 0
    for d in range(rank):
        if d == first:
            exprs.append(along + max(0, -offset))
        elif d == second:
            exprs.append(along + max(0, offset))
        else:
            exprs.append(AffineExpr.dimension(kept))
            kept += 1
    return b.view(source, exprs, b.shape)
