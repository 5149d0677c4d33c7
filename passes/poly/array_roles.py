"""What a scop does to its arguments: read, write all, or update; and that accesses are inside."""

from __future__ import annotations

from xdsl.dialects.builtin import MemRefType
from xdsl.ir import SSAValue

from ...dialects.errors import LoweringError
from ...dialects.poly import ScopOp, StatementOp
from .sets import IslSet, access_map, box_text, domain_set, isl


def _elements(array: SSAValue) -> IslSet:
    assert isinstance(array.type, MemRefType)
    return isl.Set(box_text(array.type.get_shape())).set_tuple_name("A")


def roles_of(scop: ScopOp) -> list[str]:
    """ "in" for arguments that are only read, "out" for those that are only and fully written.

    All others that are written are "inout": what is in them before the call matters.
    """
    roles = []
    for argument in scop.body.block.args:
        writers = [s for s in scop.statements if s.target is argument]
        if not writers:
            roles.append("in")
            continue
        written = isl.Set.empty(_elements(argument).get_space())
        for s in writers:
            access = access_map(s.write.data, "S", "A")
            written = written.union(access.intersect_domain(domain_set(s.domain.data, "S")).range())
        is_read = any(argument in s.sources for s in scop.statements)
        is_whole = _elements(argument).is_subset(written)
        roles.append("inout" if is_read or not is_whole else "out")
    return roles


def check_accesses_are_inside(statement: StatementOp) -> None:
    """LoweringError where an instance reads or writes outside its array."""
    domain = domain_set(statement.domain.data, "S")
    accesses = [
        ("writes", statement.target, statement.write.data),
        *(("reads", a, m) for a, m in zip(statement.sources, statement.read_maps, strict=True)),
    ]
    for verb, array, access in accesses:
        relation = access_map(access, "S", "A").intersect_domain(domain)
        outside = relation.subtract_range(_elements(array))
        if outside.is_empty():
            continue
        point = outside.range().lexmin().sample_point()
        index = [
            point.get_coordinate_val(isl.dim_type.set, d).to_python()
            for d in range(len(access.results))
        ]
        raise LoweringError(
            f"an access is outside its array: {array.name_hint or 'a local'}{index} is "
            f"{'written' if verb == 'writes' else 'read'}, the array is {array.type}"
        )
