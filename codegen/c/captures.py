"""Values that the body of a loop takes from the function around it."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects import memref, scf
from xdsl.dialects.builtin import MemRefType
from xdsl.ir import Block, BlockArgument, Operation, SSAValue

from .function import FunctionEmitter


def captured(emitter: FunctionEmitter, op: scf.ForOp | scf.ParallelOp) -> list[SSAValue]:
    """The values of the body that are locals of the function around it, in order of first use."""
    found: dict[SSAValue, None] = {}
    for inner in op.body.walk():
        for value in inner.operands:
            if not _is_inside(value, op) and emitter.is_local(value):
                found[value] = None
    return list(found)


def _is_inside(value: SSAValue, op: Operation) -> bool:
    block = value.owner if isinstance(value.owner, Block) else value.owner.parent_block()
    while block is not None:
        parent = block.parent_op()
        if parent is op:
            return True
        block = parent.parent_block() if parent is not None else None
    return False


def are_distinct(values: Sequence[SSAValue]) -> bool:
    """Whether the arrays among `values` overlap no other array, as `restrict` promises."""
    return all(
        isinstance(v, BlockArgument) or isinstance(v.owner, memref.AllocaOp)
        for v in values
        if isinstance(v.type, MemRefType)
    )
