"""Register tiles element by element: constants, functions, other types."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import (
    ArrayAttr,
    FloatAttr,
    IndexType,
    IntAttr,
    IntegerType,
    StringAttr,
    f32,
    f64,
)
from xdsl.ir import Attribute, Region, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    ParsePropInAttrDict,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
    region_def,
    result_def,
    traits_def,
    var_operand_def,
)
from xdsl.traits import IsTerminator, MemoryReadEffect, Pure
from xdsl.utils.exceptions import VerifyException

from ..register_layout import RegisterLayout
from ..types import CodeType, GlobalType, RegisterType, bits_of
from .checks import check_same, check_same_layout, register_of, tile_of

UNARY = ("neg", "exp", "abs", "relu")
BINARY = ("add", "sub", "mul", "div", "max", "min")


@irdl_op_definition
class FillOp(IRDLOperation):
    """A register tile of one value."""

    name = "tile.fill"
    value = prop_def(FloatAttr)
    result = result_def(RegisterType)
    traits = traits_def(Pure())

    def __init__(self, value: float, type: RegisterType) -> None:
        super().__init__(properties={"value": FloatAttr(value, f64)}, result_types=[type])


@irdl_op_definition
class IndicesOp(IRDLOperation):
    """A register tile of i32 whose elements are `start` plus their own index along `dim`."""

    name = "tile.indices"
    dim = prop_def(IntAttr)
    start = operand_def(IndexType())
    result = result_def(RegisterType)
    traits = traits_def(Pure())

    def __init__(self, dim: int, start: SSAValue, layout: RegisterLayout) -> None:
        super().__init__(
            operands=[start],
            properties={"dim": IntAttr(dim)},
            result_types=[RegisterType.of(layout, IntegerType(32))],
        )

    def verify_(self) -> None:
        check_same(self, "elements", IntegerType(32), register_of(self.result).element)
        if not 0 <= self.dim.data < register_of(self.result).layout.rank:
            raise VerifyException(f"tile.indices: there is no dim {self.dim.data}")


@irdl_op_definition
class ViewOp(IRDLOperation):
    """The same bits of every thread as another tile: no instruction at all."""

    name = "tile.view"
    source = operand_def(RegisterType)
    result = result_def(RegisterType)
    traits = traits_def(Pure())
    assembly_format = "$source attr-dict `:` type($source) `->` type($result)"

    def __init__(self, source: SSAValue, type: RegisterType) -> None:
        super().__init__(operands=[source], result_types=[type])

    def verify_(self) -> None:
        source, result = register_of(self.source), register_of(self.result)
        check_same(self, "threads", source.layout.threads, result.layout.threads)
        bits = [t.layout.locals * bits_of(t.element) for t in (source, result)]
        check_same(self, "bits per thread", *bits)


@irdl_op_definition
class CastOp(IRDLOperation):
    """Every element in another type, rounded to nearest even; codes become what they stand for.

    Numbers beyond those of i8 or f8E4M3FN become the least or greatest there; what is no number
    becomes 0 as i8.

    `levels` are the numbers of a codebook that is fitted to the weight.
    """

    name = "tile.cast"
    source = operand_def(RegisterType)
    levels = opt_prop_def(ArrayAttr[FloatAttr])
    result = result_def(RegisterType)
    irdl_options = (ParsePropInAttrDict(),)
    traits = traits_def(Pure())
    assembly_format = "$source attr-dict `:` type($source) `->` type($result)"

    def __init__(
        self, source: SSAValue, element: Attribute, levels: Sequence[float] | None = None
    ) -> None:
        type = RegisterType.of(register_of(source).layout, element)
        numbers = None if levels is None else ArrayAttr([FloatAttr(v, f64) for v in levels])
        super().__init__(operands=[source], properties={"levels": numbers}, result_types=[type])

    def verify_(self) -> None:
        check_same_layout(self, self.source, self.result)
        element = register_of(self.source).element
        if isinstance(register_of(self.result).element, CodeType):
            raise VerifyException("tile.cast: expected numbers as result, found codes")
        if isinstance(element, CodeType) and self.levels is not None:
            check_same(self, "levels", 1 << bits_of(element), len(self.levels))


@irdl_op_definition
class LookupOp(IRDLOperation):
    """The entry of `table`, an array of f32 in global memory, for every code."""

    name = "tile.lookup"
    source = operand_def(RegisterType)
    table = operand_def(GlobalType)
    result = result_def(RegisterType)
    traits = traits_def(MemoryReadEffect())
    assembly_format = (
        "$source `in` $table attr-dict `:` type($source) `,` type($table) `->` type($result)"
    )

    def __init__(self, source: SSAValue, table: SSAValue) -> None:
        type = RegisterType.of(register_of(source).layout, tile_of(table).element)
        super().__init__(operands=[source, table], result_types=[type])

    def verify_(self) -> None:
        check_same_layout(self, self.source, self.result)
        check_same(self, "element", f32, tile_of(self.table).element)
        check_same(self, "element", f32, register_of(self.result).element)
        codes = register_of(self.source).element
        if not isinstance(codes, CodeType):
            raise VerifyException(f"tile.lookup: expected codes, found {codes}")
        check_same(self, "entries", (1 << bits_of(codes),), tile_of(self.table).extents)


@irdl_op_definition
class UnaryOp(IRDLOperation):
    """`function` of every element."""

    name = "tile.unary"
    function = prop_def(StringAttr)
    source = operand_def(RegisterType)
    result = result_def(RegisterType)
    traits = traits_def(Pure())
    assembly_format = "$function $source attr-dict `:` type($source) `->` type($result)"

    def __init__(self, function: str, source: SSAValue) -> None:
        properties = {"function": StringAttr(function)}
        super().__init__(operands=[source], properties=properties, result_types=[source.type])

    def verify_(self) -> None:
        check_same(self, "the type of the operand", self.source.type, self.result.type)
        if self.function.data not in UNARY:
            raise VerifyException(f"tile.unary: {self.function.data!r} is none of {UNARY}")


@irdl_op_definition
class BinaryOp(IRDLOperation):
    """`function` of every pair of elements."""

    name = "tile.binary"
    function = prop_def(StringAttr)
    lhs = operand_def(RegisterType)
    rhs = operand_def(RegisterType)
    result = result_def(RegisterType)
    traits = traits_def(Pure())
    assembly_format = (
        "$function $lhs `,` $rhs attr-dict `:` type($lhs) `,` type($rhs) `->` type($result)"
    )

    def __init__(self, function: str, lhs: SSAValue, rhs: SSAValue) -> None:
        properties = {"function": StringAttr(function)}
        super().__init__(operands=[lhs, rhs], properties=properties, result_types=[lhs.type])

    def verify_(self) -> None:
        if self.function.data not in BINARY:
            raise VerifyException(f"tile.binary: {self.function.data!r} is none of {BINARY}")
        check_same(self, "elements", register_of(self.lhs).element, register_of(self.rhs).element)
        check_same_layout(self, self.lhs, self.rhs)
        check_same_layout(self, self.lhs, self.result)


@irdl_op_definition
class YieldOp(IRDLOperation):
    """The scalar that the body of a `tile.map` computes."""

    name = "tile.yield"
    value = operand_def()
    traits = traits_def(IsTerminator(), Pure())
    assembly_format = "$value attr-dict `:` type($value)"

    def __init__(self, value: SSAValue) -> None:
        super().__init__(operands=[value])


@irdl_op_definition
class MapOp(IRDLOperation):
    """A scalar function, written as a region, of the elements at each place of tiles.

    %r = "tile.map"(%a, %b) ({
    ^body(%x: f32, %y: f32):
      %z = arith.addf %x, %y : f32
      tile.yield %z : f32
    }) : (...) -> ...
    """

    name = "tile.map"
    sources = var_operand_def(RegisterType)
    body = region_def("single_block")
    result = result_def(RegisterType)
    traits = traits_def(Pure())

    def __init__(self, sources: Sequence[SSAValue], body: Region, element: Attribute) -> None:
        type = RegisterType.of(register_of(sources[0]).layout, element)
        super().__init__(operands=[sources], regions=[body], result_types=[type])

    def verify_(self) -> None:
        if not self.sources:
            raise VerifyException("tile.map: expected at least one tile")
        for source in self.sources:
            check_same_layout(self, source, self.result)
        found = [a.type for a in self.body.block.args]
        check_same(self, "scalars", [register_of(s).element for s in self.sources], found)
        end = self.body.block.last_op
        if not isinstance(end, YieldOp):
            raise VerifyException("tile.map: expected a body that ends in tile.yield")
        check_same(self, "the yielded type", register_of(self.result).element, end.value.type)
