"""The function under construction: what an opaque op reads, writes, and needs besides."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from xdsl.dialects.builtin import (
    ArrayAttr,
    DictionaryAttr,
    FloatAttr,
    IndexType,
    IntAttr,
    IntegerAttr,
    MemRefType,
    StringAttr,
    i32,
)
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, BlockArgument, SSAValue
from xdsl.ir.affine import AffineMap

from ....costmodel.hardware import Machine
from ....dialects.errors import LoweringError
from ....dialects.graph import (
    FullOp,
    IotaOp,
    ReshapeOp,
    ViewOp,
    element_of,
    extents_of_type,
    is_dynamic,
    shape_of,
)
from ....dialects.integers import is_unsigned
from ....dialects.poly import PackAttr
from ....dialects.sizes import factors_of, upper_bound
from ...graph.linalg_rules.indexing import source_index
from ...graph.linalg_rules.scalar_builder import computed_in
from ..kernel_interface import memref_of
from ..pack_weights import Pack
from .loop_builder import LoopBuilder, Sizes, row_major


class OpaqueKernel:
    """The loops function that replaces `func`: sizes, its inputs, its output, scratch arrays.

    Scratch arrays have room for the largest sizes.
    """

    def __init__(self, func: FuncOp, result: SSAValue, machine: Machine, threads: int) -> None:
        self.machine, self.threads = machine, threads
        self.name = func.sym_name.data
        inputs = func.body.block.args
        values = [*inputs, *(r for op in func.body.block.ops for r in op.results)]
        symbols = factors_of(n for value in values for n in extents_of_type(value.type))
        arrays = [memref_of(v.type) for v in (*inputs, result)]
        self.block = Block(arg_types=[*(IndexType() for _ in symbols), *arrays])
        self.sizes = Sizes(dict(zip(symbols, self.block.args, strict=False)))
        for symbol, size in self.sizes.values.items():
            size.name_hint = symbol.name
        first = len(symbols)
        attributes = func.arg_attrs.data if func.arg_attrs is not None else ()
        weights = {k for k, entry in enumerate(attributes) if "tilecast.weight" in entry.data}
        reads = ["weight" if k in weights else "in" for k in range(len(inputs))]
        self.roles = ["size"] * first + reads + ["out"]
        self.packs: dict[SSAValue, Pack] = {}
        self.updated: BlockArgument | None = None
        self.arrays: dict[SSAValue, SSAValue] = {}
        for k, (old, new) in enumerate(zip(inputs, self.block.args[first:], strict=False)):
            new.name_hint = old.name_hint or f"a{k}"
            self.arrays[old] = new
            self._note_extents(old, new)
        self.out: SSAValue = self.block.args[-1]
        self.out.name_hint = "out"
        self._note_extents(result, self.out)

    def _note_extents(self, value: SSAValue, array: SSAValue) -> None:
        if is_dynamic(value.type):
            self.sizes.extents[array] = shape_of(value)

    def pack(self, value: SSAValue, pack: Pack, shape: Sequence[int], element: Attribute) -> None:
        """Have the stored weight `value` arranged as `pack` says, once, before any call."""
        array = self.arrays[value]
        assert isinstance(array, BlockArgument)
        if self.roles[array.index] != "weight":
            raise LoweringError(f"kernel {self.name}: {array.name_hint} is packed but no weight")
        self.arrays[value] = self.block.insert_arg(MemRefType(element, shape), array.index)
        self.arrays[value].name_hint = array.name_hint
        self.packs[self.arrays[value]] = pack
        self.block.erase_arg(array)

    def scratch(self, name: str, shape: Sequence[int], element: Attribute) -> SSAValue:
        """An array for intermediate values, which the memory plan places in the arena."""
        room = [upper_bound(n) for n in shape]
        array = self.block.insert_arg(MemRefType(element, room), len(self.block.args))
        array.name_hint = name
        self.roles.append("scratch")
        return array

    def semaphores(self, count: int) -> SSAValue:
        """Numbers that are 0 before the kernel runs, which leaves them at 0."""
        array = self.scratch("semaphores", (count,), i32)
        self.roles[-1] = "semaphores"
        return array

    def read(self, b: LoopBuilder, value: SSAValue, position: Sequence[SSAValue]) -> SSAValue:
        """value[position], which may lie behind views, or be computed from its position."""
        owner = value.owner
        if value in self.arrays:
            return b.load(self.arrays[value], position)
        match owner:
            case ViewOp():
                inner = [source_index(b, expr, position) for expr in owner.map.data.results]
                return self.read(b, owner.source, inner)
            case ReshapeOp():
                flat = row_major(b, position, shape_of(value))
                return self.read(b, owner.source, unravel(b, flat, shape_of(owner.source)))
            case FullOp():
                assert isinstance(owner.value, FloatAttr | IntegerAttr)
                return b.constant(owner.value.value.data, _held_as(value))
            case IotaOp():
                count = b.from_index(position[0], _held_as(value))
                scaled = b.mul(count, b.like(owner.step.data, count))
                return b.add(scaled, b.like(owner.start.data, count))
        raise LoweringError(f"kernel {self.name}: an opaque op reads {owner}, which is not stored")

    def place(
        self, b: LoopBuilder, value: SSAValue, position: Sequence[SSAValue]
    ) -> tuple[SSAValue, list[SSAValue]]:
        """The array that holds value[position], and where in it; only views lie between."""
        while isinstance(owner := value.owner, ViewOp):
            position = [source_index(b, expr, position) for expr in owner.map.data.results]
            value = owner.source
        return self.arrays[value], list(position)

    def stored(self, b: LoopBuilder, value: SSAValue) -> SSAValue:
        """An array that holds `value` in row-major order; a copy where it is behind views."""
        if value in self.arrays:
            return self.arrays[value]
        copy = self.scratch("copy", shape_of(value), element_of(value))
        b.nest(shape_of(value), lambda b, at: b.store(self.read(b, value, at), copy, at))
        return copy

    def packed(
        self, b: LoopBuilder, value: SSAValue, shape: Sequence[int], source: AffineMap
    ) -> SSAValue:
        """An array of `shape` whose element i is value[source(i)], made before the kernel runs
        where `value` is a stored weight."""
        array = self.arrays.get(value)
        if isinstance(array, BlockArgument) and self.roles[array.index] == "weight":
            self.pack(value, PackAttr.of(source, shape_of(value)), shape, element_of(value))
            return self.arrays[value]
        copy = self.scratch("panels", shape, element_of(value))

        def fill(b: LoopBuilder, at: list[SSAValue]) -> None:
            position = [source_index(b, expr, at) for expr in source.results]
            b.store(self.read(b, value, position), copy, at)

        b.nest(shape, fill)
        return copy

    def updates(self, value: SSAValue) -> SSAValue | None:
        """The array of `value`, an operand that the result starts as a copy of; None where other
        operands may read it too. The caller may give its memory as that of the result."""
        array = self.arrays.get(value)
        if self.machine.is_gpu or not isinstance(array, BlockArgument) or len(list(value.uses)) > 1:
            return None
        self.updated = array
        return array

    def finish(self) -> FuncOp:
        """The function, ready to be called by the program."""
        self.block.add_op(ReturnOp())
        func = FuncOp(self.name, ([a.type for a in self.block.args], []))
        func.body.detach_block(func.body.block)
        func.body.add_block(self.block)
        if self.packs:
            packs = [self.packs.get(a) for a in self.block.args]
            func.arg_attrs = ArrayAttr(
                [DictionaryAttr({"tilecast.pack": p} if p is not None else {}) for p in packs]
            )
        if self.sizes.values:
            texts = [StringAttr(str(symbol)) for symbol in self.sizes.values]
            func.attributes["tilecast.sizes"] = ArrayAttr(texts)
        if self.updated is not None:
            func.attributes["tilecast.in_place"] = IntAttr(self.updated.index)
        func.attributes["tilecast.roles"] = ArrayAttr([StringAttr(role) for role in self.roles])
        return func


def _held_as(value: SSAValue) -> Attribute:
    """The type of a scalar of `value`, as `LoopBuilder.load` gives it."""
    element = element_of(value)
    return computed_in(element) if is_unsigned(element) else element


def unravel(b: LoopBuilder, flat: SSAValue, shape: Sequence[int]) -> list[SSAValue]:
    """The position of element `flat` (not negative); inverse of `row_major`."""
    position = []
    for d, extent in enumerate(shape):
        inner = prod(shape[d + 1 :])
        index = flat if inner == 1 else b.div(flat, b.index(inner))
        if extent == 1:
            index = b.index(0)
        elif prod(shape[:d]) != 1:
            index = b.sub(index, b.mul(b.div(index, b.index(extent)), b.index(extent)))
        position.append(index)
    return position
