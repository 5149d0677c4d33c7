"""Rules of graph.embedding, graph.gather and graph.index: `tensor.extract` at computed indices."""

from __future__ import annotations

from xdsl.ir import SSAValue
from xdsl.ir.affine import AffineMap

from ....dialects.graph import EmbeddingOp, GatherOp, IndexOp, element_of, shape_of
from .kernel_builder import KernelBuilder, Read, dims_map
from .rule import converts
from .scalar_builder import ScalarBuilder


@converts(EmbeddingOp)
def convert_embedding(op: EmbeddingOp, b: KernelBuilder) -> SSAValue:
    """out[i..., d...] = table[indices[i...], d...]."""
    shape = shape_of(op.result)
    leading = len(shape_of(op.indices))
    reads: list[Read] = [(op.indices, dims_map(len(shape), range(leading)))]

    def body(s: ScalarBuilder, index: SSAValue) -> SSAValue:
        inner = [s.iteration(d) for d in range(leading, len(shape))]
        return s.extract(op.table, [s.to_index(index), *inner])

    return b.map(reads, shape, element_of(op.result), body)


@converts(GatherOp)
def convert_gather(op: GatherOp, b: KernelBuilder) -> SSAValue:
    """out[i] = source[i with i[dim] = indices[i]]."""
    shape = shape_of(op.result)
    dim = op.dim.data % len(shape)
    reads: list[Read] = [(op.indices, AffineMap.identity(len(shape)))]

    def body(s: ScalarBuilder, index: SSAValue) -> SSAValue:
        position = [s.to_index(index) if d == dim else s.iteration(d) for d in range(len(shape))]
        return s.extract(op.source, position)

    return b.map(reads, shape, element_of(op.result), body)


@converts(IndexOp)
def convert_index(op: IndexOp, b: KernelBuilder) -> SSAValue:
    """out[i..., d...] = source[indices0[i...], indices1[i...], ..., d...]; negatives count back."""
    shape = shape_of(op.result)
    extents = shape_of(op.source)
    leading = len(shape_of(op.indices[0]))
    map = dims_map(len(shape), range(leading))
    reads: list[Read] = [(index, map) for index in op.indices]

    def body(s: ScalarBuilder, *indices: SSAValue) -> SSAValue:
        position = []
        for index, extent in zip(indices, extents, strict=False):
            from_end = s.add(index, s.like(extent, index))
            is_negative = s.compare("lt", index, s.like(0, index))
            position.append(s.to_index(s.select(is_negative, from_end, index)))
        inner = [s.iteration(d) for d in range(leading, len(shape))]
        return s.extract(op.source, [*position, *inner])

    return b.map(reads, shape, element_of(op.result), body)
