"""The length of the longest sum in a kernel, which decides how much its rounding may add up to."""

from __future__ import annotations

import math

from xdsl.dialects.builtin import TensorType
from xdsl.dialects.func import FuncOp
from xdsl.dialects.linalg.attrs import IteratorType
from xdsl.dialects.linalg.ops import GenericOp
from xdsl.ir.affine import AffineDimExpr

from ...dialects.graph import ScanOp, bounds_of
from ...dialects.graph.opaque import OpaqueOp


def reduction_length(func: FuncOp) -> int:
    """The longest sum in the kernel: largest product of reduction extents of one generic, the
    extent of a running sum, or as many updates as may meet in one element.
    """
    longest = 1
    for op in func.walk():
        if isinstance(op, GenericOp):
            longest = max(longest, math.prod(reduction_extents(op)))
        elif isinstance(op, ScanOp):
            longest = max(longest, bounds_of(op.source)[op.dim.data])
        elif isinstance(op, OpaqueOp):
            longest = max(longest, op.longest_sum)
    return longest


def reduction_extents(op: GenericOp) -> list[int]:
    """Extents of the reduction loops."""
    kinds = [iterator.data for iterator in op.iterator_types]
    pairs = zip(loop_extents(op), kinds, strict=True)
    return [extent for extent, kind in pairs if kind == IteratorType.REDUCTION]


def loop_extents(op: GenericOp) -> list[int]:
    """Extents of all loops, read off the operands whose maps name them plainly."""
    extents: dict[int, int] = {}
    for operand, attribute in zip(op.operands, op.indexing_maps, strict=True):
        if not isinstance(operand.type, TensorType):
            continue
        results = attribute.data.results
        for extent, result in zip(operand.type.get_shape(), results, strict=True):
            if isinstance(result, AffineDimExpr):
                extents[result.position] = extent
    return [extents.get(dim, 1) for dim in range(len(op.iterator_types.data))]
