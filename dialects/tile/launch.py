"""What a kernel is made of: `tile.launch` runs a program, `tile.part` stands for statements."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import MemRefType, StringAttr
from xdsl.ir import Block, Region, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_op_definition,
    prop_def,
    region_def,
    traits_def,
    var_operand_def,
)
from xdsl.traits import MemoryReadEffect, MemoryWriteEffect, NoTerminator
from xdsl.utils.exceptions import VerifyException

from .atoms import FP8, I8
from .ops import ProgramOp
from .types import PointerType


@irdl_op_definition
class LaunchOp(IRDLOperation):
    """Run the program in the region on all blocks of its grid, its pointers those of `arrays`.

    Floats of 8 bits lie in arrays of i8.
    """

    name = "tile.launch"
    arrays = var_operand_def(MemRefType)
    body = region_def("single_block")
    traits = traits_def(NoTerminator(), MemoryReadEffect(), MemoryWriteEffect())

    def __init__(self, arrays: Sequence[SSAValue], program: ProgramOp) -> None:
        super().__init__(operands=[arrays], regions=[Region([Block([program])])])

    @property
    def program(self) -> ProgramOp:
        """What runs."""
        program = self.body.block.first_op
        assert isinstance(program, ProgramOp)
        return program

    def verify_(self) -> None:
        if not isinstance(self.body.block.first_op, ProgramOp) or len(self.body.block.ops) != 1:
            raise VerifyException("tile.launch: expected one tile.program")
        types = [a.type for a in self.program.body.block.args]
        pointers = [t.pointee if isinstance(t, PointerType) else t for t in types]
        pointers = [I8 if t in FP8 else t for t in pointers]
        elements = [a.type.element_type for a in self.arrays if isinstance(a.type, MemRefType)]
        if pointers != elements:
            raise VerifyException(f"tile.launch: expected arrays of {pointers}, found {elements}")


@irdl_op_definition
class PartOp(IRDLOperation):
    """The statements of the scop, or the loops of the function, called `part`, on `arrays`.

    Those may have other shapes there, with as many elements; scratch arrays come behind them.
    """

    name = "tile.part"
    part = prop_def(StringAttr)
    arrays = var_operand_def(MemRefType)
    traits = traits_def(MemoryReadEffect(), MemoryWriteEffect())

    def __init__(self, part: str, arrays: Sequence[SSAValue]) -> None:
        super().__init__(operands=[arrays], properties={"part": StringAttr(part)})
