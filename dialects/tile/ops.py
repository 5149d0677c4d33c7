"""`tile` dialect: programs of thread blocks on tiles.

Each op is carried out by all threads of a block together. Register tiles are values; accesses of
global and shared memory are ordered by `tile.sync` and by groups of asynchronous copies only.
Control flow is `scf.for` and `scf.if`, index arithmetic is `arith`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    AffineMapAttr,
    ArrayAttr,
    FloatAttr,
    IndexType,
    IntAttr,
    IntegerType,
    StringAttr,
    UnitAttr,
    f32,
    f64,
)
from xdsl.ir import Attribute, Operation, Region, SSAValue
from xdsl.ir.affine import AffineMap
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
from xdsl.traits import (
    IsolatedFromAbove,
    IsTerminator,
    MemoryReadEffect,
    MemoryWriteEffect,
    NoTerminator,
    Pure,
    SymbolOpInterface,
)
from xdsl.utils.exceptions import VerifyException

from .register_layout import RegisterLayout
from .types import (
    CodeType,
    GlobalType,
    PointerType,
    RegisterType,
    SharedType,
    TileType,
    bits_of,
)

UNARY = ("neg", "exp", "abs", "relu")
BINARY = ("add", "sub", "mul", "div", "max", "min")
REDUCTIONS = ("add", "max", "min")


def tile_of(value: SSAValue) -> TileType:
    """The type of `value`, which is a tile."""
    assert isinstance(value.type, TileType)
    return value.type


def register_of(value: SSAValue) -> RegisterType:
    """The type of `value`, which is in registers."""
    assert isinstance(value.type, RegisterType)
    return value.type


def check_same(op: Operation, what: str, expected: object, found: object) -> None:
    """Both are equal, else VerifyException with both."""
    if expected != found:
        raise VerifyException(f"{op.name}: expected {what} {expected}, found {found}")


def check_same_layout(op: Operation, a: SSAValue, b: SSAValue) -> None:
    """Both register tiles lie the same way."""
    first, second = register_of(a).layout, register_of(b).layout
    if not first.is_same_as(second):
        raise VerifyException(f"{op.name}: layouts differ: {first} and {second}")


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


@irdl_op_definition
class SyncOp(IRDLOperation):
    """All threads of the block arrive before any goes on; their accesses are ordered."""

    name = "tile.sync"
    traits = traits_def(MemoryWriteEffect())
    assembly_format = "attr-dict"


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
class DotOp(IRDLOperation):
    """accumulator + lhs @ rhs^T: lhs [M, K], rhs [N, K], accumulator [M, N] of f32 or i32."""

    name = "tile.dot"
    lhs = operand_def(RegisterType)
    rhs = operand_def(RegisterType)
    accumulator = operand_def(RegisterType)
    result = result_def(RegisterType)
    traits = traits_def(Pure())
    assembly_format = (
        "$lhs `,` $rhs `,` $accumulator attr-dict "
        "`:` type($lhs) `,` type($rhs) `,` type($accumulator) `->` type($result)"
    )

    def __init__(self, lhs: SSAValue, rhs: SSAValue, accumulator: SSAValue) -> None:
        super().__init__(operands=[lhs, rhs, accumulator], result_types=[accumulator.type])

    def verify_(self) -> None:
        (m, k), (n, k2) = register_of(self.lhs).extents, register_of(self.rhs).extents
        check_same(self, "K of both operands", k, k2)
        check_same(self, "an accumulator of", (m, n), register_of(self.accumulator).extents)
        check_same(self, "the result type", self.accumulator.type, self.result.type)
        check_same(self, "elements", register_of(self.lhs).element, register_of(self.rhs).element)


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


@irdl_op_definition
class BroadcastOp(IRDLOperation):
    """Repeat each element `size` times along `dim`: what lies there is already in every thread."""

    name = "tile.broadcast"
    dim = prop_def(IntAttr)
    size = prop_def(IntAttr)
    source = operand_def(RegisterType)
    result = result_def(RegisterType)
    traits = traits_def(Pure())

    def __init__(self, source: SSAValue, dim: int, size: int, type: RegisterType) -> None:
        super().__init__(
            operands=[source],
            properties={"dim": IntAttr(dim), "size": IntAttr(size)},
            result_types=[type],
        )

    def verify_(self) -> None:
        reduced = register_of(self.result).layout.reduce(self.dim.data, self.size.data)
        if not reduced.is_same_as(register_of(self.source).layout):
            raise VerifyException(
                f"tile.broadcast: expected an operand that lies as {reduced}, found "
                f"{register_of(self.source).layout}"
            )


@irdl_op_definition
class ReduceOp(IRDLOperation):
    """Combine all elements along `dim`, which gets extent 1."""

    name = "tile.reduce"
    function = prop_def(StringAttr)
    dim = prop_def(IntAttr)
    source = operand_def(RegisterType)
    result = result_def(RegisterType)
    traits = traits_def(Pure())

    def __init__(self, function: str, source: SSAValue, dim: int) -> None:
        type = register_of(source)
        super().__init__(
            operands=[source],
            properties={"function": StringAttr(function), "dim": IntAttr(dim)},
            result_types=[RegisterType.of(type.layout.reduce(dim), type.element)],
        )

    def verify_(self) -> None:
        if self.function.data not in REDUCTIONS:
            raise VerifyException(f"tile.reduce: {self.function.data!r} is none of {REDUCTIONS}")
        reduced = register_of(self.source).layout.reduce(self.dim.data)
        if not reduced.is_same_as(register_of(self.result).layout):
            raise VerifyException(
                f"tile.reduce: expected a result that lies as {reduced}, found "
                f"{register_of(self.result).layout}"
            )


@irdl_op_definition
class TransposeOp(IRDLOperation):
    """The tile with its two dims exchanged; every thread keeps its registers."""

    name = "tile.transpose"
    source = operand_def(RegisterType)
    result = result_def(RegisterType)
    traits = traits_def(Pure())
    assembly_format = "$source attr-dict `:` type($source) `->` type($result)"

    def __init__(self, source: SSAValue) -> None:
        type = register_of(source)
        result = RegisterType.of(type.layout.permute((1, 0)), type.element)
        super().__init__(operands=[source], result_types=[result])

    def verify_(self) -> None:
        expected = register_of(self.source).layout.permute((1, 0))
        if not expected.is_same_as(register_of(self.result).layout):
            raise VerifyException(
                f"tile.transpose: expected a result that lies as {expected}, found "
                f"{register_of(self.result).layout}"
            )


@irdl_op_definition
class LockOp(IRDLOperation):
    """Wait until the number at `offset` of an array of i32 is `value`, and see others' writes."""

    name = "tile.lock"
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
class ReleaseOp(IRDLOperation):
    """Make this block's writes visible, then store `value` at `offset`."""

    name = "tile.release"
    semaphores = operand_def(GlobalType)
    offset = operand_def(IndexType())
    value = operand_def(IndexType())
    traits = traits_def(MemoryReadEffect(), MemoryWriteEffect())
    assembly_format = "$semaphores `[` $offset `]` `,` $value attr-dict `:` type($semaphores)"

    def __init__(self, semaphores: SSAValue, offset: SSAValue, value: SSAValue) -> None:
        super().__init__(operands=[semaphores, offset, value])

    def verify_(self) -> None:
        check_same(self, "numbers of", IntegerType(32), tile_of(self.semaphores).element)
