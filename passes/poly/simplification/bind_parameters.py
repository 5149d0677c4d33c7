"""A scop at one choice of its sizes: what it would be had they been numbers.

before: params = ["n"], A : memref<?x?xf64>, [s0] -> { [i0] : 0 <= i0 < s0 }, (d0)[s0] -> (s0 - d0)
after:  A : memref<500x500xf64>, { [i0] : 0 <= i0 < 500 }, (d0) -> (500 - d0)
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects import arith
from xdsl.dialects.builtin import AffineMapAttr, ArrayAttr, IndexType, MemRefType, StringAttr
from xdsl.ir.affine import AffineExpr, AffineMap
from xdsl.rewriter import Rewriter

from ....dialects.errors import LoweringError
from ....dialects.poly import ArrayOp, ParamOp, ScopOp, StatementOp, arrays_of, extents_of
from ..affine_maps import simplify
from ..parameters import context_of
from ..sets import IslSet, at_sizes, domain_text, isl

TYPICAL_SIZE = 500


def typical_sizes(scop: ScopOp, least: int = TYPICAL_SIZE) -> list[int]:
    """Sizes that the context of `scop` allows: `least` for each, or a little more where it must be.

    LoweringError where sizes cannot all be so large.
    """
    context = context_of(scop)
    large = context
    for k in range(len(scop.parameters)):
        position = large.find_dim_by_name(isl.dim_type.param, f"s{k}")
        large = large.lower_bound_val(isl.dim_type.param, position, isl.Val(least))
    if large.is_empty():
        raise LoweringError(f"no sizes of {least} and more meet {context}")
    point = _as_dims(large, len(scop.parameters)).lexmin().sample_point()
    return [
        point.get_coordinate_val(isl.dim_type.set, k).to_python()
        for k in range(len(scop.parameters))
    ]


def _as_dims(context: IslSet, count: int) -> IslSet:
    """A set of parameters s0, s1, ... as a set of points (s0, s1, ...)."""
    moved = context.from_params()
    for k in range(count):
        position = moved.find_dim_by_name(isl.dim_type.param, f"s{k}")
        moved = moved.move_dims(isl.dim_type.set, k, isl.dim_type.param, position, 1)
    return moved


def bind_parameters(scop: ScopOp, sizes: Sequence[int]) -> ScopOp:
    """A copy of `scop` without parameters, at `sizes`."""
    bound = scop.clone()
    constants = [AffineExpr.constant(size) for size in sizes]
    for array in arrays_of(bound):
        assert isinstance(array.type, MemRefType)
        shape = [extent.eval([], sizes) for extent in extents_of(array)]
        type = MemRefType(array.type.element_type, shape)
        if isinstance(array.owner, ArrayOp):
            array.owner.properties.pop("extents", None)
        Rewriter.replace_value_with_new_type(array, type)
    for name in ("params", "context", "extents"):
        bound.properties.pop(name, None)
    for statement in bound.statements:
        _bind_statement(statement, sizes, constants)
    return bound


def _bind_statement(
    statement: StatementOp, sizes: Sequence[int], constants: Sequence[AffineExpr]
) -> None:
    def without_symbols(map: AffineMap) -> AffineMapAttr:
        exprs = (simplify(e.replace_dims_and_symbols([], constants)) for e in map.results)
        return AffineMapAttr(AffineMap(map.num_dims, 0, tuple(exprs)))

    domain = at_sizes(isl.Set(statement.domain.data), sizes)
    statement.properties["domain"] = StringAttr(domain_text(domain))
    statement.properties["write"] = without_symbols(statement.write.data)
    statement.properties["reads"] = ArrayAttr([without_symbols(m) for m in statement.read_maps])
    for op in list(statement.body.block.ops):
        if isinstance(op, ParamOp):
            size = sizes[op.index.data]
            Rewriter.replace_op(op, arith.ConstantOp.from_int_and_width(size, IndexType()))
