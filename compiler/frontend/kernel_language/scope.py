"""What the names of a kernel mean at one point, and where its IR goes."""

from __future__ import annotations

from dataclasses import dataclass, field

from xdsl.dialects.builtin import AffineMapAttr, StringAttr
from xdsl.ir import Block, Operation, SSAValue
from xdsl.ir.affine import AffineExpr, AffineMap

from .element_types import ElementType


@dataclass(frozen=True)
class Array:
    """An array, or a scalar (rank 0) in memory. `is_mutable` is false for scalar parameters.

    Extents are numbers, or expressions over the sizes that are not bound.
    """

    value: SSAValue
    element: ElementType
    shape: tuple[AffineExpr, ...]
    is_mutable: bool = True


@dataclass
class Scope:
    """Names, the loop variables around the current point, and the block that grows.

    Index names (sizes and loop variables) are affine expressions; dim k is loops[k], symbol k is
    sizes[k], the k-th size that is not bound. `constants` are locals that were assigned once, a
    number.
    """

    entry: Block
    block: Block
    arrays: dict[str, Array] = field(default_factory=dict)
    indices: dict[str, AffineExpr] = field(default_factory=dict)
    constants: dict[str, float] = field(default_factory=dict)
    loops: list[SSAValue] = field(default_factory=list)
    sizes: list[SSAValue] = field(default_factory=list)
    locals: int = 0

    @property
    def operands(self) -> list[SSAValue]:
        """What the maps that `map` makes are applied to."""
        return [*self.loops, *self.sizes]

    def map(self, *exprs: AffineExpr) -> AffineMapAttr:
        """Expressions over loops and sizes as a map, the sizes being dims too.

        (xDSL prints subscripts wrongly whose map has dims and symbols.)
        """
        return AffineMapAttr(AffineMap(len(self.operands), 0, tuple(map(self.as_dims, exprs))))

    def as_dims(self, expr: AffineExpr) -> AffineExpr:
        """`expr` over dims that number `operands`."""
        first = len(self.loops)
        sizes = [AffineExpr.dimension(first + k) for k in range(len(self.sizes))]
        return expr.replace_dims_and_symbols([], sizes)

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
