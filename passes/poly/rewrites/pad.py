"""Round an extent of a temporary up, and let its writers fill the new elements.

before: t : 13 x 30;  for i in 0..13: for j in 0..30: t[i, j] = f(i)
after:  t : 13 x 32;  for i in 0..13: for j in 0..32: t[i, j] = f(i)

Nobody reads the new elements; loops over whole tiles of `t` need no masks.
"""

from __future__ import annotations

from math import ceil

from xdsl.dialects.builtin import StringAttr
from xdsl.ir import SSAValue

from ....dialects.poly import ScopOp, StatementOp
from ....dialects.schedule import Pad
from ..affine_maps import plain_dim
from ..array_shapes import set_shape, shape_of
from ..sets import IslSet, access_map, box_text, dims, domain_text, isl
from .expand import find_temporary
from .find import refuse


def _added(statement: StatementOp, dim: int, old: int, new: int) -> IslSet:
    """The iterations old <= i_dim < new whose neighbour at i_dim == old - 1 exists."""
    names = dims(statement.rank)
    beyond = [f"o{d}" if d == dim else name for d, name in enumerate(names)]
    repeat = isl.Map(
        f"{{ [{', '.join(names)}] -> [{', '.join(beyond)}] : "
        f"i{dim} = {old - 1} and {old} <= o{dim} < {new} }}"
    )
    return isl.Set(statement.domain.data).apply(repeat)


def _check_reads(
    statement: StatementOp, added: IslSet, array: SSAValue, shape: list[int], step: Pad
) -> None:
    """The added iterations read inside of arrays."""
    added = added.set_tuple_name("S")
    for source, access in zip(statement.sources, statement.read_maps, strict=True):
        extents = shape if source is array else shape_of(source)
        elements = isl.Set(box_text(extents)).set_tuple_name("A")
        if not access_map(access, "S", "A").intersect_domain(added).range().is_subset(elements):
            raise refuse(
                step,
                f"{statement.sym_name.data} would read {source.name_hint or 'an array'} beyond its "
                "end; pad or pack that one first",
            )


def pad(scop: ScopOp, step: Pad) -> None:
    """Apply `step`; IllegalScheduleError where the writers cannot go on."""
    array = find_temporary(scop, step.array)
    shape = list(shape_of(array))
    if step.position >= len(shape):
        raise refuse(step, f"{step.array} has {len(shape)} dims")
    old = shape[step.position]
    new = ceil(old / step.multiple) * step.multiple
    if new == old:
        raise refuse(step, f"an extent of {old} is a multiple already")
    shape[step.position] = new
    domains: dict[StatementOp, IslSet] = {}
    for statement in scop.statements:
        if statement.target is not array:
            continue
        dim = plain_dim(statement.write.data.results[step.position])
        others = [e for p, e in enumerate(statement.write.data.results) if p != step.position]
        if dim is None or any(dim in e.used_dims() for e in others):
            raise refuse(
                step, f"{statement.sym_name.data} does not write dim {step.position} by a loop"
            )
        added = _added(statement, dim, old, new)
        _check_reads(statement, added, array, shape, step)
        domains[statement] = isl.Set(statement.domain.data).union(added)
    set_shape(array, shape)
    for statement, domain in domains.items():
        statement.properties["domain"] = StringAttr(domain_text(domain))
