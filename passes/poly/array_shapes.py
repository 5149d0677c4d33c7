"""Shapes of a scop's arrays: with an `Extent` where one depends on the sizes of a call."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from xdsl.dialects.builtin import DYNAMIC_INDEX, AffineMapAttr, ArrayAttr, MemRefType, UnitAttr
from xdsl.ir import Attribute, Block, SSAValue
from xdsl.ir.affine import AffineConstantExpr, AffineExpr, AffineMap
from xdsl.rewriter import Rewriter

from ...dialects.errors import IllegalScheduleError
from ...dialects.poly import ScopOp, arrays_of, extents_of, has_dynamic_shape
from .sets import Extent, access_map, box_text, declared, domain_set, expr_text, isl

UNBOUNDED = 2**31 - 1


def shape_of(array: SSAValue) -> tuple[int, ...]:
    """The shape of an array of the scop."""
    assert isinstance(array.type, MemRefType)
    if not has_dynamic_shape(array):
        return array.type.get_shape()
    scop = _scop_of(array)
    context = scop.context.data if scop is not None and scop.context is not None else "{ : }"
    return tuple(
        e.value if isinstance(e, AffineConstantExpr) else Extent(_most(expr_text(e), context), e)
        for e in extents_of(array)
    )


def element_type(array: SSAValue) -> Attribute:
    """The element type of a memref value."""
    assert isinstance(array.type, MemRefType)
    element: Attribute = array.type.element_type
    return element


def largest_shape(array: SSAValue) -> list[int]:
    """The shape of an array at the largest sizes."""
    return [int(n) for n in shape_of(array)]


def set_shape(array: SSAValue, shape: Sequence[int]) -> None:
    """Give `array` another shape of the same element type."""
    assert isinstance(array.type, MemRefType)
    extents = [DYNAMIC_INDEX if isinstance(n, Extent) else n for n in shape]
    type = MemRefType(array.type.element_type, extents)
    if not has_dynamic_shape(array):
        Rewriter.replace_value_with_new_type(array, type)
        return
    scop = _scop_of(array)
    assert scop is not None
    assert scop.extents is not None
    exprs = [n.expr if isinstance(n, Extent) else AffineExpr.constant(n) for n in shape]
    map: Attribute = AffineMapAttr(AffineMap(0, len(scop.parameters), tuple(exprs)))
    new = Rewriter.replace_value_with_new_type(array, type)
    known = list(scop.extents.data)
    known[new.index] = map if DYNAMIC_INDEX in extents else UnitAttr()  # type: ignore[attr-defined]
    scop.properties["extents"] = ArrayAttr(known)


def check_accesses_are_inside(scop: ScopOp) -> None:
    """IllegalScheduleError where a statement leaves an array whose shape depends on sizes.

    Rewrites that take a bound for an extent would do so.
    """
    if not any(has_dynamic_shape(array) for array in arrays_of(scop)):
        return
    context = isl.Set("{ : }" if scop.context is None else scop.context.data)
    for s in scop.statements:
        name = s.sym_name.data
        domain = domain_set(s.domain.data, name).intersect_params(context)
        accesses = zip((s.target, *s.sources), (s.write.data, *s.read_maps), strict=True)
        for array, access in accesses:
            if not has_dynamic_shape(array):
                continue
            elements = isl.Set(box_text([expr_text(e) for e in extents_of(array)]))
            touched = access_map(access, name, "A").intersect_domain(domain).range()
            if not touched.reset_tuple_id().is_subset(elements):
                raise IllegalScheduleError(
                    f"{name} leaves {array.name_hint or 'an array'} of {array.type} at some sizes"
                )


def _scop_of(array: SSAValue) -> ScopOp | None:
    owner = array.owner
    parent = owner.parent_op() if isinstance(owner, Block) else None
    return parent if isinstance(parent, ScopOp) else None


@lru_cache(maxsize=4096)
def _most(expr: str, context: str) -> int:
    """The largest value of an expression over the parameters."""
    value = isl.PwAff(f"{declared(expr)}{{ [({expr})] }}").intersect_params(isl.Set(context))
    top = value.max_val()
    return int(top.to_python()) if top.is_int() else UNBOUNDED
