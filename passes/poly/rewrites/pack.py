"""Copy a read operand into panels: tiles of one of its dims, the elements of a tile side by side.

before: S: .. B[k, j] ..
after:  S_pack: p[j / w, k, j mod w] = B[k, j]   for every element that S reads
        S: .. p[j / w, k, j mod w] ..
"""

from __future__ import annotations

from math import ceil

from xdsl.dialects.builtin import MemRefType
from xdsl.ir.affine import AffineMap

from ....dialects.errors import IllegalScheduleError
from ....dialects.poly import ArrayOp, ScopOp, StatementOp
from ....dialects.schedule import Pack
from ..array_shapes import shape_of
from ..dependences.dependences import (
    accesses_of,
    array_names,
    domains_of,
    original_schedule,
)
from ..dependences.value_flow import flow_between
from ..positions import insert_beside
from ..rules.pack_operands import panel_access, set_read
from ..sets import IslSet, access_map, domain_set, domain_text, isl
from ..simplification.collapse_dims import is_indirect
from .accumulate import copy_statement
from .find import check_name_is_free, find_statement, refuse


def _elements_read(statement: StatementOp, operand: int) -> IslSet:
    access = access_map(statement.read_maps[operand], "S", "A")
    return access.intersect_domain(domain_set(statement.domain.data, "S")).range()


def _check_is_final(scop: ScopOp, statement: StatementOp, elements: IslSet, step: Pack) -> None:
    """Nothing in the outermost loop of `statement` writes an element that is read: then a copy made
    right before that loop has the values that the statement would have read."""
    array = statement.sources[step.operand]
    nests = dict(zip(scop.statements, (p[0] for p in scop.positions), strict=True))
    for other in scop.statements:
        if other.target is not array or nests[other] != nests[statement]:
            continue
        write = access_map(other.write.data, "S", "A")
        written = write.intersect_domain(domain_set(other.domain.data, "S")).range()
        both = written.intersect(elements)
        if not both.is_empty():
            raise refuse(
                step,
                f"{other.sym_name.data} writes the operand in the same outermost loop, for example "
                f"{both.sample_point()}; distribute these loops, or split the domain first",
            )


def _only_producer(scop: ScopOp, statement: StatementOp, operand: int) -> StatementOp | None:
    """The statement that wrote every value which `statement` reads there, if there is one."""
    array, label = statement.sources[operand], statement.sym_name.data
    access = access_map(statement.read_maps[operand], label, array_names(scop)[array])
    reads = access.intersect_domain(domain_set(statement.domain.data, label))
    schedule = original_schedule(scop).intersect_domain(domains_of(scop))
    flow = flow_between(isl.UnionMap(reads), accesses_of(scop)[1], schedule)
    sources: set[str] = set()
    flow.domain().foreach_set(lambda one: sources.add(one.get_tuple_name()))
    if len(sources) != 1 or not isl.UnionSet(reads.domain()).is_subset(flow.range()):
        return None
    return scop.statement(sources.pop())


def pack(scop: ScopOp, step: Pack) -> None:
    """Apply `step`; other readers keep the array.

    The copy `S_packN` of operand N is a loop nest over the dims of the array, right before the
    outermost loop of the statement, or in front of everything where nothing writes the operand.
    Where that loop writes the operand itself, but one statement wrote all that is read, each
    element is copied right after it.
    """
    statement = find_statement(scop, step.statement)
    name = f"{step.statement}_pack{step.operand}"
    check_name_is_free(scop, name, step)
    first = 0 if statement.reduction is None else 1
    if not first <= step.operand < len(statement.sources):
        raise refuse(
            step,
            f"expected an operand from {first} to {len(statement.sources) - 1}"
            + (" (0 is the accumulator)" if first else ""),
        )
    array = statement.sources[step.operand]
    shape = shape_of(array)
    if step.position >= len(shape):
        raise refuse(step, f"the operand has {len(shape)} dims")
    if is_indirect(array):
        raise refuse(step, "the operand is read at computed indices")
    elements = _elements_read(statement, step.operand)
    if elements.is_empty():
        raise refuse(step, f"{step.statement} has no instances")
    try:
        _check_is_final(scop, statement, elements, step)
        producer = None
    except IllegalScheduleError:
        producer = _only_producer(scop, statement, step.operand)
        if producer is None:
            raise
    others = [n for p, n in enumerate(shape) if p != step.position]
    tiles = ceil(shape[step.position] / step.width)
    assert isinstance(array.type, MemRefType)
    panel = ArrayOp(
        MemRefType(array.type.element_type, [tiles, *others, step.width]),
        (array.name_hint or "t") + "_panel",
    )
    scop.body.block.insert_op_before(panel, scop.statements[0])
    if producer is None:
        element, domain = AffineMap.identity(len(shape)), domain_text(elements)
    else:
        element, domain = producer.write.data, producer.domain.data
    copy = copy_statement(
        name,
        domain,
        panel.result,
        panel_access(element, step.position, step.width),
        array,
        element,
    )
    access = panel_access(statement.read_maps[step.operand], step.position, step.width)
    statement.operands[1 + step.operand] = panel.result
    set_read(statement, step.operand, access)
    if producer is None:
        is_written = any(s.target is array for s in scop.statements)
        insert_beside(scop, copy, statement if is_written else scop.statements[0], 0)
    else:
        insert_beside(scop, copy, producer, producer.rank, after=True)
