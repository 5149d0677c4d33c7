"""How an op reads its operands through layout ops (graph.view, graph.reshape).

A reshape that only splits dims or adds and drops unit dims is an affine view as well; one that
merges dims needs divisions, or a materialized source.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass

from xdsl.ir import Operation, SSAValue
from xdsl.ir.affine import AffineConstantExpr, AffineDimExpr, AffineExpr, AffineMap

from ...dialects.errors import SymbolicSizeError
from ...dialects.graph import ReshapeOp, ViewOp, is_dynamic, shape_of
from ...dialects.sizes import Size, exact_quotient
from ..poly.affine_maps import reshape_map


@dataclass(frozen=True)
class Access:
    """A value read through layout ops: element map(i) of `source`; None where not affine."""

    source: SSAValue
    map: AffineMap | None


def splitting_map(source: Sequence[int], result: Sequence[int]) -> AffineMap | None:
    """The map from an index of `result` to one of `source`, if each source dim is only split.

    Both shapes hold the same elements in row-major order.
    """
    dims = [d for d, extent in enumerate(result) if extent != 1]
    exprs: list[AffineExpr] = []
    for extent in source:
        if extent == 1:
            exprs.append(AffineConstantExpr(0))
            continue
        expr: AffineExpr | None = None
        left = extent
        while left != 1 and dims:
            d = dims.pop(0)
            if expr is not None and isinstance(result[d], Size):
                return None
            left = exact_quotient(left, result[d])
            if left is None:
                return None
            part = AffineDimExpr(d)
            expr = part if expr is None else expr * result[d] + part
        if left != 1 or expr is None:
            return None
        exprs.append(expr)
    return AffineMap(len(result), 0, tuple(exprs))


def layout_map(op: ViewOp | ReshapeOp) -> AffineMap | None:
    """The affine map of one layout op, None where it merges dims."""
    if isinstance(op, ViewOp):
        return op.map.data
    return splitting_map(shape_of(op.source), shape_of(op.result))


def through_layout(value: SSAValue, map: AffineMap | None, stored: Container[Operation]) -> Access:
    """`map` (from an iteration space to `value`) continued to the value under all layout ops.

    Ends at a layout op in `stored`, whose result is in memory. The map is None where a reshape
    merges dims, or where it was None before.
    """
    while isinstance(value.owner, ViewOp | ReshapeOp) and value.owner not in stored:
        op = value.owner
        step = layout_map(op)
        map = step.compose(map) if step is not None and map is not None else None
        value = op.source
    return Access(value, map)


def under_reshapes(value: SSAValue) -> SSAValue:
    """The value whose row-major elements `value` shows in another shape."""
    while isinstance(value.owner, ReshapeOp):
        value = value.owner.source
    return value


def is_affine_reshape(op: ReshapeOp) -> bool:
    """Whether affine maps with divisions by numbers describe `op`.

    One that splits or joins dims at a place that depends on the sizes of a call has to be an alias
    of memory.
    """
    if not is_dynamic(op.source.type):
        return True
    try:
        reshape_map(shape_of(op.source), shape_of(op.result))
    except SymbolicSizeError:
        return False
    return True


def merges_innermost(op: ReshapeOp) -> bool:
    """Whether the reshape joins the innermost dim of its source with others.

    Reading it through a permuting view would then cost a division per element.
    """
    if not is_affine_reshape(op):
        return True
    if splitting_map(shape_of(op.source), shape_of(op.result)) is not None:
        return False
    inner = [n for n in shape_of(op.source) if n != 1][-1:]
    return [n for n in shape_of(op.result) if n != 1][-1:] != inner
