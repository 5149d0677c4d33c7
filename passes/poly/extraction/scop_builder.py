"""What collects the arrays and statements of a scop, and knows where each tensor value is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from xdsl.dialects import arith
from xdsl.dialects.builtin import FloatAttr, IntegerAttr, MemRefType, TensorType
from xdsl.ir import Attribute, Block, Region, SSAValue
from xdsl.ir.affine import AffineExpr, AffineMap

from ....dialects.errors import LoweringError
from ....dialects.graph import extents_of_type
from ....dialects.poly import ArrayOp, StatementOp, YieldOp, symbols_in
from ..size_parameters import SizeParameters


def memref_of(type: Attribute) -> MemRefType[Attribute]:
    """The row-major memref that stores a tensor, of the largest size that it can have."""
    assert isinstance(type, TensorType)
    return MemRefType(type.element_type, type.get_shape())


@dataclass
class Source:
    """Where the elements of a tensor value are: `array` at `map(index)`."""

    array: SSAValue
    map: AffineMap


@dataclass
class ScopBuilder:
    """Collects arrays and statements of one kernel."""

    block: Block
    parameters: SizeParameters
    sources: dict[SSAValue, Source] = field(default_factory=dict)
    fills: dict[SSAValue, SSAValue] = field(default_factory=dict)
    shapes: dict[SSAValue, tuple[int, ...]] = field(default_factory=dict)
    serial: int = 0

    def array(self, type: Attribute) -> SSAValue:
        """A new temporary array for a tensor type."""
        op = ArrayOp(memref_of(type), f"t{self.serial}")
        self.block.add_op(op)
        self.shapes[op.result] = extents_of_type(type)
        return op.result

    def statement(
        self,
        extents: Sequence[int],
        target: SSAValue,
        write: AffineMap,
        reads: Sequence[Source],
        body: Region,
        reduction: str | None = None,
    ) -> None:
        """Append a statement over a box."""
        self.block.add_op(
            StatementOp(
                f"S{self.serial}",
                self.parameters.box(extents),
                target,
                write,
                [r.array for r in reads],
                [r.map for r in reads],
                body,
                reduction,
            )
        )
        self.serial += 1

    def constant(
        self,
        target: SSAValue,
        extents: Sequence[int],
        value: FloatAttr | IntegerAttr,
        write: AffineMap | None = None,
    ) -> None:
        """target[write(i)] = value over the box; target[i] without `write`."""
        body = Block()
        constant = arith.ConstantOp(value)
        body.add_ops([constant, YieldOp(constant.result)])
        write = write or AffineMap.identity(len(extents))
        self.statement(extents, target, write, [], Region(body))

    def copy(
        self, target: SSAValue, extents: Sequence[int], write: AffineMap, source: Source
    ) -> None:
        """target[write(i)] = source[i] over the box."""
        assert isinstance(source.array.type, MemRefType)
        body = Block(arg_types=[source.array.type.element_type])
        body.add_op(YieldOp(body.args[0]))
        self.statement(extents, target, write, [source], Region(body))

    def map(self, rank: int, exprs: Sequence[AffineExpr]) -> AffineMap:
        """An access whose expressions may use the parameters."""
        symbols = any(symbols_in(expr) for expr in exprs)
        return AffineMap(rank, len(self.parameters.numbers) if symbols else 0, tuple(exprs))

    def read(self, value: SSAValue) -> Source:
        """Where `value` is stored, or LoweringError."""
        if value not in self.sources:
            raise LoweringError(f"extract-scop: no array holds {value}")
        return self.sources[value]
