"""Which ops work row by row, and whether an operand is read at the reader's own row.

The rows of an op are its leading dims up to the first that it reduces; without a reduction every
element is a row.
"""

from __future__ import annotations

from collections.abc import Container

from xdsl.ir import Operation, SSAValue
from xdsl.ir.affine import AffineDimExpr, AffineMap

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


def squeezed(shape: Shape) -> Shape:
    """`shape` without unit dims, which make no difference to what a row is."""
    return tuple(extent for extent in shape if extent != 1)


def index_space(op: GraphOp) -> Shape:
    """The shape over whose indices `op` reads and computes."""
    return shape_of(op.source if isinstance(op, ReduceOp) else op.result)


def rows_of(op: GraphOp) -> Shape | None:
    """The leading (squeezed) dims over which `op` works independently; None for other ops."""
    space = index_space(op)
    rank = len(space)
    match op:
        case PointwiseOp() | CastOp() | EmbeddingOp() | GatherOp() | IndexOp():
            return squeezed(space)
        case NormOp():
            return squeezed(space[: rank - op.rank.data])
        case SoftmaxOp():
            return squeezed(space[:-1]) if op.dim.data % rank == rank - 1 else None
        case ReduceOp():
            dims = [d.data for d in op.dims]
            is_trailing = dims == list(range(rank - len(dims), rank))
            return squeezed(space[: rank - len(dims)]) if is_trailing else None
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


def reads_own_row(access: Access, space: Shape, rows: Shape) -> bool:
    """Whether index (r, i...) of `space`, r over `rows`, reads only elements (r, j...)."""
    shape = shape_of(access.source)
    if access.map is None or squeezed(shape)[: len(rows)] != rows:
        return False
    exprs = [expr for expr, n in zip(access.map.results, shape, strict=True) if n != 1]
    own = [AffineDimExpr(d) for d, n in enumerate(space) if n != 1]
    return exprs[: len(rows)] == own[: len(rows)]


def reads_own_element(access: Access, space: Shape) -> bool:
    """Whether each index of `space` reads only the same element (but for unit dims)."""
    wide = squeezed(space)
    return squeezed(shape_of(access.source)) == wide and reads_own_row(access, space, wide)
