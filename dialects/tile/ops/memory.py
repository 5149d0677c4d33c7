"""Tiles between registers, shared and global memory; copies that go on in the background."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from xdsl.dialects.builtin import IndexType, IntAttr, UnitAttr
from xdsl.ir import SSAValue
from xdsl.irdl import (
    IRDLOperation,
    ParsePropInAttrDict,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    traits_def,
    var_operand_def,
)
from xdsl.traits import MemoryReadEffect, MemoryWriteEffect
from xdsl.utils.exceptions import VerifyException

from ..types import GlobalType, RegisterType, SharedType, TileType
from .checks import check_same, tile_of


class AccessOp(IRDLOperation):
    """Base: a tile at `offsets` of an array; leading dims that the tile lacks have extent 1."""

    ARRAY: ClassVar[type[TileType]] = GlobalType

    def check_access(self, array: SSAValue, offsets: int, tile: SSAValue) -> None:
        """Offsets, rank, extents and elements agree."""
        source, part = tile_of(array), tile_of(tile)
        check_same(self, "an array of", self.ARRAY.name, source.name)
        check_same(self, "offsets", len(source.extents), offsets)
        if len(part.extents) > len(source.extents):
            raise VerifyException(
                f"{self.name}: a tile of rank {len(part.extents)} in an array of rank "
                f"{len(source.extents)}"
            )
        check_same(self, "elements of", source.element, part.element)
        if isinstance(source, SharedType):
            inner = source.extents[len(source.extents) - len(part.extents) :]
            if any(n > m for n, m in zip(part.extents, inner, strict=True)):
                raise VerifyException(
                    f"{self.name}: a tile of {part.extents} does not fit into {inner}"
                )


class LoadOp(AccessOp):
    """Base of loads into registers."""

    source = operand_def(TileType)
    offsets = var_operand_def(IndexType())
    result = result_def(RegisterType)
    traits = traits_def(MemoryReadEffect())
    assembly_format = "$source `[` $offsets `]` attr-dict `:` type($source) `->` type($result)"

    def __init__(self, source: SSAValue, offsets: Sequence[SSAValue], type: RegisterType) -> None:
        super().__init__(operands=[source, offsets], result_types=[type])

    def verify_(self) -> None:
        self.check_access(self.source, len(self.offsets), self.result)


class StoreOp(AccessOp):
    """Base of stores from registers."""

    source = operand_def(RegisterType)
    target = operand_def(TileType)
    offsets = var_operand_def(IndexType())
    traits = traits_def(MemoryWriteEffect())
    assembly_format = (
        "$source `,` $target `[` $offsets `]` attr-dict `:` type($source) `->` type($target)"
    )

    def __init__(self, source: SSAValue, target: SSAValue, offsets: Sequence[SSAValue]) -> None:
        super().__init__(operands=[source, target, offsets])

    def verify_(self) -> None:
        self.check_access(self.target, len(self.offsets), self.source)


@irdl_op_definition
class LoadGlobalOp(LoadOp):
    """Registers from global memory; elements outside of the array are 0."""

    name = "tile.load_global"
    ARRAY: ClassVar = GlobalType


@irdl_op_definition
class StoreGlobalOp(StoreOp):
    """Registers to global memory; elements outside of the array are left out."""

    name = "tile.store_global"
    ARRAY: ClassVar = GlobalType


@irdl_op_definition
class LoadSharedOp(LoadOp):
    """Registers from shared memory."""

    name = "tile.load_shared"
    ARRAY: ClassVar = SharedType


@irdl_op_definition
class StoreSharedOp(StoreOp):
    """Registers to shared memory."""

    name = "tile.store_shared"
    ARRAY: ClassVar = SharedType


@irdl_op_definition
class CopyAsyncOp(AccessOp):
    """Start to copy a tile of global memory to stage `stage` of a shared array.

    The tile has the shape of a stage, the array without its first dim. Elements outside of the
    global array become 0; `in_bounds` says that there are none. The copy belongs to the next
    `tile.commit`.
    """

    name = "tile.copy_async"
    in_bounds = opt_prop_def(UnitAttr)
    irdl_options = (ParsePropInAttrDict(),)
    source = operand_def(GlobalType)
    offsets = var_operand_def(IndexType())
    target = operand_def(SharedType)
    stage = operand_def(IndexType())
    traits = traits_def(MemoryReadEffect(), MemoryWriteEffect())
    assembly_format = (
        "$source `[` $offsets `]` `->` $target `[` $stage `]` attr-dict "
        "`:` type($source) `->` type($target)"
    )

    def __init__(
        self,
        source: SSAValue,
        offsets: Sequence[SSAValue],
        target: SSAValue,
        stage: SSAValue,
        in_bounds: bool = False,
    ) -> None:
        super().__init__(
            operands=[source, offsets, target, stage],
            properties={"in_bounds": UnitAttr() if in_bounds else None},
        )

    def verify_(self) -> None:
        source, target = tile_of(self.source), tile_of(self.target)
        check_same(self, "offsets", len(source.extents), len(self.offsets))
        check_same(self, "elements of", source.element, target.element)
        if len(source.extents) < len(target.extents) - 1:
            raise VerifyException(
                f"{self.name}: a stage of rank {len(target.extents) - 1} from an array of rank "
                f"{len(source.extents)}"
            )


@irdl_op_definition
class CommitOp(IRDLOperation):
    """Close a group of asynchronous copies."""

    name = "tile.commit"
    traits = traits_def(MemoryWriteEffect())
    assembly_format = "attr-dict"


@irdl_op_definition
class WaitOp(IRDLOperation):
    """Wait until at most `pending` groups of this thread's copies are under way."""

    name = "tile.wait"
    pending = prop_def(IntAttr)
    traits = traits_def(MemoryWriteEffect())

    def __init__(self, pending: int) -> None:
        super().__init__(properties={"pending": IntAttr(pending)})
