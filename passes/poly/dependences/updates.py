"""Which statements update elements of one array in a way that does not depend on their order.

    table[i, j] = max(table[i, j], table[i, j - 1])
    table[i, j] = max(table[i, j], table[i, k] + table[k + 1, j])     for all k

A reduction may be reassociated. Updates of several statements may change places too where that is
exact: the largest of some numbers is the same in every order. Sums of floats keep the order of
their statements, so that the schedule of one does not change how another one rounds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from xdsl.dialects.builtin import IntegerType, MemRefType
from xdsl.ir import Operation, SSAValue

from ....dialects.poly import ScopOp, StatementOp
from ..combiners import COMBINERS

INEXACT = ("add", "mul")  # where numbers are floats


@dataclass(frozen=True)
class Updates:
    """Statements that update one array by one operation; each reads the element that it writes as
    its source `accumulators[statement]`."""

    target: SSAValue
    accumulators: dict[str, int]


def updates_of(scop: ScopOp) -> Iterator[Updates]:
    """The updates of every array: exact ones of one kind together, others statement by
    statement."""
    together: dict[tuple[SSAValue, str], Updates] = {}
    for statement in scop.statements:
        name, exact = statement.sym_name.data, exact_update(statement)
        if exact is not None:
            kind, accumulator = exact
            key = statement.target, kind
            together.setdefault(key, Updates(statement.target, {})).accumulators[name] = accumulator
        elif statement.reduction is not None:
            yield Updates(statement.target, {name: 0})
    for group in together.values():
        several = len(group.accumulators) > 1
        if several or scop.statement(*group.accumulators).reduction is not None:
            yield group


def exact_update(statement: StatementOp) -> tuple[str, int] | None:
    """(kind, source that is the accumulator) where `statement` writes element (+) value, (+) being
    exact and the value another one than the element; None otherwise."""
    last = statement.body.block.last_op
    assert last is not None
    value = last.operands[0].owner
    if not isinstance(value, Operation) or type(value) not in COMBINERS:
        return None
    kind = COMBINERS[type(value)]
    if kind in INEXACT and not _is_integer(statement.target):
        return None
    for source, argument in enumerate(statement.body.block.args):
        if (
            statement.sources[source] is statement.target
            and statement.read_maps[source] == statement.write.data
            and sum(operand is argument for operand in value.operands) == 1
            and len(list(argument.uses)) == 1
        ):
            return kind, source
    return None


def _is_integer(array: SSAValue) -> bool:
    assert isinstance(array.type, MemRefType)
    return isinstance(array.type.element_type, IntegerType)
