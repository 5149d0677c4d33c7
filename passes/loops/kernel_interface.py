"""What is known of a kernel, or of a planned program, by the roles of its arguments."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    ArrayAttr,
    IndexType,
    IntAttr,
    MemRefType,
    ModuleOp,
    StringAttr,
    TensorType,
)
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, SSAValue

from ...costmodel.hardware import Machine
from ...dialects.errors import LoweringError
from ...dialects.graph import is_dynamic
from ...dialects.sizes import Size
from .pack_weights import Pack


def memref_of(type: Attribute) -> MemRefType[Attribute]:
    """The row-major memref of a tensor type; a flat one where its extents depend on sizes."""
    assert isinstance(type, TensorType)
    shape = [DYNAMIC_INDEX] if is_dynamic(type) else type.get_shape()
    return MemRefType(type.element_type, shape)


def element_bytes(element: Attribute) -> int:
    """Size of an element in memory; a boolean takes one byte."""
    bits = 64 if isinstance(element, IndexType) else getattr(element, "bitwidth", 8)
    return max(1, int(bits) // 8)


def bytes_of(type: MemRefType[Attribute]) -> int:
    """Size in memory; negative for a flat memref of unknown size."""
    return math.prod(type.get_shape()) * element_bytes(type.element_type)


def uncached_arguments(
    module: ModuleOp, machine: Machine
) -> Iterator[tuple[FuncOp, SSAValue, MemRefType[Attribute]]]:
    """Arguments of kernels, of known size, that the last-level cache cannot hold."""
    for func in module.ops:
        if not isinstance(func, FuncOp) or not func.body.blocks:
            continue
        for array in func.body.block.args:
            type = array.type
            if not isinstance(type, MemRefType) or not type.has_static_shape():
                continue
            if bytes_of(type) >= machine.l3_bytes:
                yield func, array, type


def largest_bytes(type: Attribute) -> int:
    """The room that a tensor needs at most."""
    assert isinstance(type, TensorType)
    return math.prod(type.get_shape()) * element_bytes(type.element_type)


@dataclass
class KernelInterface:
    """Which arguments are read, written and scratch, and how weights are packed.

    The arena of a program is scratch to whoever calls it. `semaphores` are the scratch arrays that
    hold 0 before a call, and after it.
    """

    func: FuncOp
    read: list[int] = field(default_factory=list)
    written: list[int] = field(default_factory=list)
    scratch: list[int] = field(default_factory=list)
    semaphores: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    packs: dict[int, Pack] = field(default_factory=dict)

    def __post_init__(self) -> None:
        roles = self.func.attributes.get("tilecast.roles")
        if not isinstance(roles, ArrayAttr) or len(roles) != len(self.func.body.block.args):
            raise LoweringError(f"kernel {self.func.sym_name.data} has no role per argument")
        for position, role in enumerate(roles):
            assert isinstance(role, StringAttr)
            kinds = {
                "out": self.written,
                "scratch": self.scratch,
                "arena": self.scratch,
                "semaphores": self.scratch,
                "size": self.sizes,
            }
            kinds.get(role.data, self.read).append(position)
            if role.data == "semaphores":
                self.semaphores.append(position)
        for position, attributes in enumerate(self.func.arg_attrs or ()):
            pack = attributes.data.get("tilecast.pack")
            if isinstance(pack, Pack):
                self.packs[position] = pack

    @property
    def in_place(self) -> int | None:
        """The argument that the result is an update of, and whose memory it may have."""
        position = self.func.attributes.get("tilecast.in_place")
        return position.data if isinstance(position, IntAttr) else None

    def size_values(self) -> list[int]:
        """What the size arguments are."""
        texts = self.func.attributes.get("tilecast.sizes")
        if not self.sizes:
            return []
        assert isinstance(texts, ArrayAttr)
        return [Size.parse(text.data) for text in texts if isinstance(text, StringAttr)]

    def type_of(self, position: int) -> MemRefType[Attribute]:
        """The type of an argument."""
        type = self.func.body.block.args[position].type
        assert isinstance(type, MemRefType)
        return type
