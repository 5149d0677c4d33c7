"""Which ops work row by row, and whether an operand is read at the reader's own row.

The rows of an op are its leading dims up to the first that it reduces; without a reduction every
element is a row.
"""

from __future__ import annotations

from collections.abc import Container

from xdsl.ir import Operation, SSAValue
from xdsl.ir.affine import AffineConstantExpr, AffineDimExpr, AffineMap

from ...dialects.graph import (
    CastOp,
    EmbeddingOp,
    GatherOp,
    GraphOp,
    IndexOp,
    NormOp,
    PointwiseOp,
    ReduceOp,
    SoftmaxOp,
    shape_of,
)
from .layout_access import Access, through_layout
from .linalg_rules.kernel_builder import broadcast_map, dims_map

Shape = tuple[int, ...]


def rows_of(op: GraphOp) -> Shape | None:
    """The leading dims over which `op` works independently; None for other kinds of ops."""
    match op:
        case PointwiseOp() | CastOp() | EmbeddingOp() | GatherOp() | IndexOp():
            return shape_of(op.result)
        case NormOp():
            return shape_of(op.source)[: len(shape_of(op.source)) - op.rank.data]
        case SoftmaxOp():
            rank = len(shape_of(op.source))
            return shape_of(op.source)[:-1] if op.dim.data % rank == rank - 1 else None
        case ReduceOp():
            rank, dims = len(shape_of(op.source)), [d.data for d in op.dims]
            is_trailing = dims == list(range(rank - len(dims), rank))
            return shape_of(op.source)[: rank - len(dims)] if is_trailing else None
        case _:
            return None


def accesses(op: GraphOp, stored: Container[Operation]) -> list[Access]:
    """How `op` reads each operand over its own index space, through layout ops not in `stored`."""
    return [through_layout(value, _operand_map(op, value), stored) for value in op.operands]


def _operand_map(op: GraphOp, value: SSAValue) -> AffineMap | None:
    shape = shape_of(value)
    result = shape_of(op.result)
    match op:
        case PointwiseOp() | CastOp():
            return broadcast_map(shape, result)
        case SoftmaxOp() | ReduceOp():
            return AffineMap.identity(len(shape))
        case NormOp():
            rank = len(result)
            return dims_map(rank, range(rank - len(shape), rank))
        case EmbeddingOp():
            return _leading(op.indices, value, result)
        case GatherOp():
            return _leading(op.indices, value, result)
        case IndexOp():
            return None if value is op.source else dims_map(len(result), range(len(shape)))
        case _:
            return None


def _leading(indices: SSAValue, value: SSAValue, result: Shape) -> AffineMap | None:
    """Indices are read at the leading dims; the table anywhere."""
    if value is not indices:
        return None
    return dims_map(len(result), range(len(shape_of(value))))


def reads_own_row(access: Access, rows: Shape) -> bool:
    """Whether element (r, i...) of the reader needs only elements (r, j...) of the source."""
    shape = shape_of(access.source)
    if access.map is None or shape[: len(rows)] != rows:
        return False
    return all(
        expr == AffineDimExpr(d) or (rows[d] == 1 and expr == AffineConstantExpr(0))
        for d, expr in enumerate(access.map.results[: len(rows)])
    )


def reads_own_element(access: Access, shape: Shape) -> bool:
    """Whether each element of the reader, of `shape`, needs only the same element of the source."""
    return shape_of(access.source) == shape and reads_own_row(access, shape)
