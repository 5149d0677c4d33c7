"""What the names of a kernel mean at one point, and where its IR goes."""

from __future__ import annotations

from dataclasses import dataclass, field

from xdsl.dialects.builtin import StringAttr
from xdsl.ir import Block, Operation, SSAValue
from xdsl.ir.affine import AffineExpr

from .element_types import ElementType


@dataclass(frozen=True)
class Array:
    """An array, or a scalar (rank 0) in memory. `is_mutable` is false for scalar parameters."""

    value: SSAValue
    element: ElementType
    shape: tuple[int, ...]
    is_mutable: bool = True


@dataclass
class Scope:
    """Names, the loop variables around the current point, and the block that grows.

    Index names (sizes and loop variables) are affine expressions over `loops`; dim k is loops[k].
    `constants` are locals that were assigned once, a number.
    """

    entry: Block
    block: Block
    arrays: dict[str, Array] = field(default_factory=dict)
    indices: dict[str, AffineExpr] = field(default_factory=dict)
    constants: dict[str, float] = field(default_factory=dict)
    loops: list[SSAValue] = field(default_factory=list)
    locals: int = 0

    def add(self, op: Operation, place: str) -> Operation:
        """Append `op`, remembering the user's line."""
        op.attributes["loc"] = StringAttr(place)
        self.block.add_op(op)
        return op

    def add_local(self, op: Operation) -> None:
        """Put the allocation of a local at the start of the function."""
        if self.entry.first_op is None or self.locals == len(self.entry.ops):
            self.entry.add_op(op)
        else:
            before = list(self.entry.ops)[self.locals]
            self.entry.insert_op_before(op, before)
        self.locals += 1
