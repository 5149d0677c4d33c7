"""Data-dependent reads: `graph.embedding`, `graph.gather`, `graph.index`."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import i1, i64
from xdsl.ir import SSAValue

from ...dialects.graph import (
    CastOp,
    EmbeddingOp,
    GatherOp,
    IndexOp,
    IotaOp,
    ReshapeOp,
    ViewOp,
    broadcast_shapes,
    element_of,
    shape_of,
    tensor_of,
)
from .builder import Builder, normalize_dim
from .rules import UnsupportedUse, rule


@rule("aten.embedding.default")
def embedding(b: Builder, table: SSAValue, indices: SSAValue, *_: object) -> SSAValue:
    """Rows of the table; the padding index matters in training only."""
    return b.emit(EmbeddingOp(table, indices, b.out))


@rule("aten.gather.default")
def gather(b: Builder, source: SSAValue, dim: int, indices: SSAValue, _sparse: bool) -> SSAValue:
    """result[i] = source[i with i[dim] = indices[i]]."""
    if not shape_of(source):
        return b.reshape(source, shape_of(indices))
    return b.emit(GatherOp(source, indices, normalize_dim(dim, len(shape_of(source))), b.out))


@rule("aten.index_select.default")
def index_select(b: Builder, source: SSAValue, dim: int, indices: SSAValue) -> SSAValue:
    """Slices along `dim` in the order of a rank-1 index."""
    rank = len(shape_of(source))
    dim = normalize_dim(dim, rank)
    if rank == 0:
        return source
    if not shape_of(indices):
        indices = b.reshape(indices, [1])
    return _index(b, source, {dim: indices})


@rule("aten.index.Tensor", "aten._unsafe_index.Tensor")
def index(b: Builder, source: SSAValue, indices: Sequence[SSAValue | None]) -> SSAValue:
    """Indexing by integer tensors as in NumPy; negative indices count from the end."""
    picked: dict[int, SSAValue] = {}
    for d, position in enumerate(indices):
        if position is None:
            continue
        if element_of(position) == i1:
            raise UnsupportedUse("indexing with a boolean mask has a shape that depends on data")
        picked[d] = _from_the_front(b, position, shape_of(source)[d])
    return _index(b, source, picked)


def _index(b: Builder, source: SSAValue, picked: dict[int, SSAValue]) -> SSAValue:
    """Indexed dims first, `graph.index`, then the index dims to where torch puts them."""
    rank = len(shape_of(source))
    dims = sorted(picked)
    if len(dims) == 1:
        return b.pick(source, dims[0], picked[dims[0]])
    rest = [d for d in range(rank) if d not in picked]
    shape = broadcast_shapes([shape_of(picked[d]) for d in dims])
    positions = [b.expand(b.cast(picked[d], i64), shape) for d in dims]
    front = b.permute(source, [*dims, *rest])
    extents = [shape_of(source)[d] for d in rest]
    type = tensor_of(element_of(source), [*shape, *extents])
    value = b.emit(IndexOp(front, positions, type))
    if dims != list(range(dims[0], dims[-1] + 1)):
        return value
    # adjacent index dims stay where the first of them was
    n, before = len(shape), dims[0]
    order = [*range(n, n + before), *range(n), *range(n + before, n + len(rest))]
    return b.permute(value, order)


def _from_the_front(b: Builder, position: SSAValue, extent: int) -> SSAValue:
    if _is_never_negative(position):
        return position
    wrapped = b.pointwise("add", position, extent)
    return b.pointwise("where", b.pointwise("lt", position, 0), wrapped, position)


def _is_never_negative(value: SSAValue) -> bool:
    owner = value.owner
    while isinstance(owner, (ViewOp, ReshapeOp, CastOp)):
        owner = owner.source.owner
    return isinstance(owner, IotaOp) and owner.start.data >= 0 and owner.step.data >= 0
