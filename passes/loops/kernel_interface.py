"""What is known of a kernel, or of a planned program, by the roles of its arguments."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from xdsl.dialects.builtin import ArrayAttr, IndexType, MemRefType, StringAttr, TensorType
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute

from ...dialects.errors import LoweringError
from .pack_weights import Pack


def memref_of(type: Attribute) -> MemRefType[Attribute]:
    """The row-major memref of a tensor type."""
    assert isinstance(type, TensorType)
    return MemRefType(type.element_type, type.get_shape())


def bytes_of(type: MemRefType[Attribute]) -> int:
    """Size in memory; a boolean takes one byte."""
    element = type.element_type
    bits = 64 if isinstance(element, IndexType) else getattr(element, "bitwidth", 8)
    return math.prod(type.get_shape()) * max(1, bits // 8)


@dataclass
class KernelInterface:
    """Which arguments are read, written and scratch, and how weights are packed.

    The arena of a program is scratch to whoever calls it.
    """

    func: FuncOp
    read: list[int] = field(default_factory=list)
    written: list[int] = field(default_factory=list)
    scratch: list[int] = field(default_factory=list)
    packs: dict[int, Pack] = field(default_factory=dict)

    def __post_init__(self) -> None:
        roles = self.func.attributes.get("tilecast.roles")
        if not isinstance(roles, ArrayAttr) or len(roles) != len(self.func.body.block.args):
            raise LoweringError(f"kernel {self.func.sym_name.data} has no role per argument")
        for position, role in enumerate(roles):
            assert isinstance(role, StringAttr)
            kinds = {"out": self.written, "scratch": self.scratch, "arena": self.scratch}
            kinds.get(role.data, self.read).append(position)
        for position, attributes in enumerate(self.func.arg_attrs or ()):
            pack = attributes.data.get("tilecast.pack")
            if isinstance(pack, Pack):
                self.packs[position] = pack

    def type_of(self, position: int) -> MemRefType[Attribute]:
        """The type of an argument."""
        type = self.func.body.block.args[position].type
        assert isinstance(type, MemRefType)
        return type
