"""Who waits for whom: the threads of a block, and blocks of a grid by semaphores."""

from __future__ import annotations

from abc import ABC

from xdsl.dialects.builtin import IndexType, IntegerType
from xdsl.ir import SSAValue
from xdsl.irdl import IRDLOperation, irdl_op_definition, operand_def, traits_def
from xdsl.traits import MemoryReadEffect, MemoryWriteEffect

from ..types import GlobalType
from .checks import check_same, tile_of


@irdl_op_definition
class SyncOp(IRDLOperation):
    """All threads of the block arrive before any goes on; their accesses are ordered."""

    name = "tile.sync"
    traits = traits_def(MemoryWriteEffect())
    assembly_format = "attr-dict"


class SemaphoreOp(IRDLOperation, ABC):
    """An access to the number at `offset` of an array of i32 that blocks share."""

    semaphores = operand_def(GlobalType)
    offset = operand_def(IndexType())
    value = operand_def(IndexType())
    traits = traits_def(MemoryReadEffect(), MemoryWriteEffect())
    assembly_format = "$semaphores `[` $offset `]` `,` $value attr-dict `:` type($semaphores)"

    def __init__(self, semaphores: SSAValue, offset: SSAValue, value: SSAValue) -> None:
        super().__init__(operands=[semaphores, offset, value])

    def verify_(self) -> None:
        check_same(self, "numbers of", IntegerType(32), tile_of(self.semaphores).element)


@irdl_op_definition
class LockOp(SemaphoreOp):
    """Wait until the number at `offset` of an array of i32 is `value`, and see others' writes."""

    name = "tile.lock"


@irdl_op_definition
class ReleaseOp(SemaphoreOp):
    """Make this block's writes visible, then store `value` at `offset`."""

    name = "tile.release"
