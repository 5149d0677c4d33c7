"""What a scop does to its arguments: read, write all, or update; and that accesses are inside."""

from __future__ import annotations

from xdsl.dialects.builtin import MemRefType
from xdsl.ir import SSAValue

from ....dialects.errors import LoweringError
from ....dialects.poly import ScopOp, StatementOp, extents_of
from ..parameters import can_grow
from ..sets import IslSet, access_map, box_text, domain_set, expr_text, isl


def _elements(array: SSAValue) -> IslSet:
    assert isinstance(array.type, MemRefType)
    text = box_text([expr_text(e) for e in extents_of(array)])
    return isl.Set(text).set_tuple_name("A")


def roles_of(scop: ScopOp, context: IslSet) -> list[str]:
    """ "in" for arguments that are only read, "out" for those that are only and fully written.

    All others that are written are "inout": what is in them before the call matters. `context` are
    the values of the parameters.
    """
    roles = []
    for argument in scop.body.block.args:
        writers = [s for s in scop.statements if s.target is argument]
        if not writers:
            roles.append("in")
            continue
        elements = _elements(argument).intersect_params(context)
        written = isl.Set.empty(elements.get_space())
        for s in writers:
            access = access_map(s.write.data, "S", "A")
            written = written.union(access.intersect_domain(domain_set(s.domain.data, "S")).range())
        is_read = any(argument in s.sources for s in scop.statements)
        is_whole = elements.is_subset(written)
        roles.append("inout" if is_read or not is_whole else "out")
    return roles


def context_of_accesses(statement: StatementOp, context: IslSet) -> IslSet:
    """The part of `context` for which no instance reads or writes outside of its array.

    LoweringError where nothing is left, or only sizes up to some bound are.
    """
    domain = domain_set(statement.domain.data, "S")
    accesses = [
        ("writes", statement.target, statement.write.data),
        *(("reads", a, m) for a, m in zip(statement.sources, statement.read_maps, strict=True)),
    ]
    for verb, array, access in accesses:
        relation = access_map(access, "S", "A").intersect_domain(domain).intersect_params(context)
        outside = relation.subtract_range(_elements(array))
        if outside.is_empty():
            continue
        inside = context.subtract(outside.params())
        if not can_grow(inside):
            raise LoweringError(_description(verb, array, outside))
        context = inside.coalesce()
    return context


def _description(verb: str, array: SSAValue, outside: IslSet) -> str:
    """An example of an access that is outside of its array."""
    if outside.dim(isl.dim_type.param):  # at sizes of a few elements, which read more easily
        small = isl.Set("{ : }").align_params(outside.get_space())
        for k in range(outside.dim(isl.dim_type.param)):
            small = small.upper_bound_val(isl.dim_type.param, k, isl.Val(9))
        outside = (
            outside.intersect_params(small)
            if not outside.intersect_params(small).is_empty()
            else outside
        )
    values = outside.sample()
    point = values.range().sample_point()
    rank = values.dim(isl.dim_type.out)
    index = [point.get_coordinate_val(isl.dim_type.set, d).to_python() for d in range(rank)]
    return (
        f"an access is outside its array: {array.name_hint or 'a local'}{index} is "
        f"{'written' if verb == 'writes' else 'read'}, the array is {array.type}"
    )
