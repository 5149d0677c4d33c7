"""The program of a thread block: its arguments, its place in the grid, its arrays."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    AffineMapAttr,
    ArrayAttr,
    IndexType,
    IntAttr,
    StringAttr,
)
from xdsl.ir import Region, SSAValue
from xdsl.ir.affine import AffineMap
from xdsl.irdl import (
    IRDLOperation,
    irdl_op_definition,
    operand_def,
    prop_def,
    region_def,
    result_def,
    traits_def,
    var_operand_def,
)
from xdsl.traits import IsolatedFromAbove, NoTerminator, Pure, SymbolOpInterface
from xdsl.utils.exceptions import VerifyException

from ..types import GlobalType, PointerType, RegisterType, SharedType
from .checks import check_same, tile_of


@irdl_op_definition
class ProgramOp(IRDLOperation):
    """The program of a block of `threads` threads, started on a grid of blocks.

    Block arguments are pointers and sizes (index), called `arguments`. `grid` maps the sizes, in
    order, to the number of blocks along three axes.
    """

    name = "tile.program"
    sym_name = prop_def(StringAttr)
    threads = prop_def(IntAttr)
    grid = prop_def(AffineMapAttr)
    arguments = prop_def(ArrayAttr[StringAttr])
    body = region_def("single_block")
    traits = traits_def(NoTerminator(), SymbolOpInterface(), IsolatedFromAbove())

    def __init__(
        self,
        name: str,
        threads: int,
        grid: AffineMap,
        arguments: Sequence[str],
        body: Region,
    ) -> None:
        super().__init__(
            properties={
                "sym_name": StringAttr(name),
                "threads": IntAttr(threads),
                "grid": AffineMapAttr(grid),
                "arguments": ArrayAttr([StringAttr(a) for a in arguments]),
            },
            regions=[body],
        )

    def verify_(self) -> None:
        count = self.threads.data
        if count % 32 or not 32 <= count <= 1024:
            raise VerifyException(
                f"tile.program: expected 32 to 1024 threads, a multiple of 32, found {count}"
            )
        check_same(self, "grid extents", 3, len(self.grid.data.results))
        check_same(self, "argument names", len(self.body.block.args), len(self.arguments))
        sizes = [a for a in self.body.block.args if isinstance(a.type, IndexType)]
        check_same(self, "dims of the grid map", len(sizes), self.grid.data.num_dims)
        for argument in self.body.block.args:
            if not isinstance(argument.type, PointerType | IndexType):
                raise VerifyException(
                    f"tile.program: arguments are pointers or index, found {argument.type}"
                )
        for op in self.body.walk():
            for value in op.results:
                if isinstance(value.type, RegisterType) and value.type.layout.threads != count:
                    raise VerifyException(
                        f"{op.name}: expected a layout of {count} threads, found "
                        f"{value.type.layout.threads}: {value.type.layout}"
                    )


@irdl_op_definition
class BlockIndexOp(IRDLOperation):
    """The number of this block along `axis` of the grid."""

    name = "tile.block_index"
    axis = prop_def(IntAttr)
    result = result_def(IndexType())
    traits = traits_def(Pure())

    def __init__(self, axis: int) -> None:
        super().__init__(properties={"axis": IntAttr(axis)}, result_types=[IndexType()])

    def verify_(self) -> None:
        if not 0 <= self.axis.data < 3:
            raise VerifyException(f"tile.block_index: expected axis 0..2, found {self.axis.data}")


@irdl_op_definition
class ViewGlobalOp(IRDLOperation):
    """The array that starts at a pointer; `sizes` has the extent that the type does not know."""

    name = "tile.view_global"
    pointer = operand_def(PointerType)
    sizes = var_operand_def(IndexType())
    result = result_def(GlobalType)
    traits = traits_def(Pure())
    assembly_format = "$pointer `[` $sizes `]` attr-dict `:` type($pointer) `->` type($result)"

    def __init__(self, pointer: SSAValue, sizes: Sequence[SSAValue], type: GlobalType) -> None:
        super().__init__(operands=[pointer, sizes], result_types=[type])

    def verify_(self) -> None:
        unknown = tile_of(self.result).extents.count(DYNAMIC_INDEX)
        check_same(self, "sizes", unknown, len(self.sizes))
        assert isinstance(self.pointer.type, PointerType)
        check_same(self, "elements of", self.pointer.type.pointee, tile_of(self.result).element)


@irdl_op_definition
class AllocSharedOp(IRDLOperation):
    """An array in shared memory, for the whole program; its contents are not defined."""

    name = "tile.alloc_shared"
    result = result_def(SharedType)
    assembly_format = "attr-dict `:` type($result)"

    def __init__(self, type: SharedType) -> None:
        super().__init__(result_types=[type])
