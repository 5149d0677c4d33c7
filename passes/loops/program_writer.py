"""Write the memref form of a program of launches, with every array at its place."""

from __future__ import annotations

import math
import re

import numpy as np
from xdsl.dialects import arith, memref
from xdsl.dialects.builtin import (
    ArrayAttr,
    IndexType,
    IntAttr,
    IntegerAttr,
    MemRefType,
    StringAttr,
    UnitAttr,
    bf16,
    i8,
    i32,
)
from xdsl.dialects.func import CallOp, FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, Operation, OpResult, SSAValue

from ...dialects.errors import LoweringError, MemoryBudgetError
from ...dialects.graph import LaunchOp, ReshapeOp, WeightOp, is_dynamic, shape_of
from ...dialects.graph.control import PROGRAM_ATTRIBUTE
from ...dialects.pairs import WordsOp
from ..context import CompileContext
from .in_place import IN_PLACE
from .kernel_interface import KernelInterface, bytes_of, element_bytes, memref_of
from .launched_program import LaunchedProgram, root_of
from .pack_weights import Pack, pack_array
from .program_plan import SEMAPHORES, ProgramPlan
from .program_sizes import ProgramSizes, size_texts, sizes_type

STREAMED = "tilecast.streamed"
"""Marks programs that copy weights into the arena before they are used."""
Packed = dict[tuple[str, Pack, MemRefType[Attribute]], str]
"""Symbols of weights that are packed already."""


class ProgramWriter:
    """Writes the memref form of a program, op by op."""

    def __init__(self, program: LaunchedProgram, ctx: CompileContext, packed: Packed) -> None:
        self.program, self.ctx, self.packed = program, ctx, packed
        plan = ProgramPlan.of(program)
        self.plan, self.offsets, self.output_of = plan.arena, plan.offsets, plan.output_of
        if ctx.max_memory is not None and self.plan.bytes > ctx.max_memory:
            raise MemoryBudgetError(
                f"max_memory: expected an arena of at most {ctx.max_memory} bytes, found "
                f"{self.plan.bytes} with the buffers of kernels; give it more"
            )
        inputs = [memref_of(argument.type) for argument in program.main.body.block.args]
        outputs = [memref_of(value.type) for value in program.returned]
        arena = MemRefType(i8, [self.plan.bytes])
        symbols = program.symbols()
        given = sizes_type(symbols)
        name = program.main.sym_name.data
        self.func = FuncOp(name, ([*inputs, *given, *outputs, arena], []))
        self.block: Block = self.func.body.block
        arguments = self.block.args
        self.outputs = arguments[len(inputs) + len(given) : -1]
        self.arena = arguments[-1]
        self.arena.name_hint = "arena"
        for k, output in enumerate(self.outputs):
            output.name_hint = f"output_{k}" if len(outputs) > 1 else "output"
        self.places: dict[SSAValue, SSAValue] = {}
        for old, new in zip(program.main.body.block.args, arguments, strict=False):
            new.name_hint = old.name_hint
            self.places[old] = new
        self.globals: dict[str, SSAValue] = {}
        roles = ["in"] * len(inputs + given) + ["out"] * len(outputs) + ["arena"]
        self.func.attributes["tilecast.roles"] = ArrayAttr([StringAttr(role) for role in roles])
        self.func.attributes["tilecast.arena_lower_bound"] = IntAttr(self.plan.lower_bound)
        if program.streamed:
            self.func.attributes[STREAMED] = UnitAttr()
        pairs = [ArrayAttr([IntAttr(k), IntAttr(j)]) for k, j in plan.in_place]
        if pairs:
            self.func.attributes[IN_PLACE] = ArrayAttr(pairs)
        if PROGRAM_ATTRIBUTE in program.main.attributes:
            self.func.attributes[PROGRAM_ATTRIBUTE] = UnitAttr()
        self.sizes: ProgramSizes | None = None
        if symbols:
            self.func.attributes["tilecast.sizes"] = ArrayAttr(size_texts(symbols))
            self.sizes = ProgramSizes(symbols, arguments[len(inputs)], self.add_op)

    def write(self) -> FuncOp:
        """The whole program."""
        self.clear_semaphores()
        for launch in self.program.launches:
            self.write_launch(launch)
        for k, value in enumerate(self.program.returned):
            if self.output_of.get(root_of(value)) != k:
                source = self.place_of(value)
                copy = memref.CopyOp(source, self.outputs[k])
                if is_dynamic(value.type):
                    copy.attributes["tilecast.elements"] = StringAttr(
                        str(math.prod(shape_of(value)))
                    )
                self.block.add_op(copy)
        self.block.add_op(ReturnOp())
        return self.func

    def clear_semaphores(self) -> None:
        """Copy zeros to where the semaphores are, if there are any."""
        count = self.program.semaphore_bytes // element_bytes(i32)
        if count:
            symbol = self.ctx.weights.add("zeros", np.zeros(count, np.int32))
            type = MemRefType(i32, [count])
            zeros, places = (
                self.weight(symbol, type),
                self.arena_view(self.offsets[SEMAPHORES], type),
            )
            self.block.add_op(memref.CopyOp(zeros, places))

    def add_op(self, op: Operation) -> SSAValue:
        """Append an op with one result."""
        return self.add(op, op.results[0])

    def write_launch(self, launch: LaunchOp) -> None:
        """The call of one kernel."""
        interface = self.program.interface_of(launch)
        arguments: dict[int, SSAValue] = {}
        fetched = self.program.fetched(launch)
        for position, operand in zip(interface.read, launch.arguments, strict=True):
            pack = interface.packs.get(position)
            if pack is None:
                place = self.place_of(operand)
            else:
                place = self.packed_weight(operand, pack, interface, position)
            if position in fetched:
                place = self.copied(place, self.offsets[launch, position])
            arguments[position] = place
        for position, result in zip(interface.written, launch.results_, strict=True):
            arguments[position] = self.place_of(result)
        for position in interface.scratch:
            is_semaphore = position in interface.semaphores
            offset = self.offsets[SEMAPHORES if is_semaphore else (launch, position)]
            arguments[position] = self.arena_view(offset, interface.type_of(position))
        for position, size in zip(interface.sizes, interface.size_values(), strict=True):
            assert self.sizes is not None
            arguments[position] = self.sizes.value(size)
        ordered = [arguments[position] for position in range(len(arguments))]
        for position, argument in enumerate(ordered):
            if position in interface.sizes:
                continue
            expected, found = interface.type_of(position), argument.type
            assert isinstance(found, MemRefType)
            words = found.element_type == bf16 and expected.element_type == i32
            known = words or expected.element_type == found.element_type
            if not known or bytes_of(expected) != bytes_of(found):
                raise LoweringError(
                    f"kernel {interface.func.sym_name.data}, argument {position}: expected "
                    f"{expected}, the program has {found}"
                )
            ordered[position] = self.reshaped(argument, expected)  # kernels collapse dims
        self.block.add_op(CallOp(interface.func.sym_name.data, ordered, []))

    def place_of(self, value: SSAValue) -> SSAValue:
        """The memref that holds `value`, made where it is first needed."""
        if value in self.places:
            return self.places[value]
        owner = value.owner
        if isinstance(owner, ReshapeOp):
            place = self.reshaped(self.place_of(owner.source), memref_of(value.type))
        elif isinstance(owner, WeightOp):
            place = self.weight(owner.symbol.root_reference.data, memref_of(value.type))
        elif value in self.output_of:
            output = self.outputs[self.output_of[value]]
            place = self.reshaped(output, memref_of(value.type))
        else:
            place = self.arena_view(self.offsets[value], memref_of(value.type))
            place.name_hint = value.name_hint
        self.places[value] = place
        return place

    def reshaped(self, source: SSAValue, type: MemRefType[Attribute]) -> SSAValue:
        """The same memory under another shape, or as pairs."""
        if source.type == type:
            return source
        assert isinstance(source.type, MemRefType)
        if source.type.element_type != type.element_type:
            words = WordsOp(source, type)
            return self.add(words, words.result)
        shape = type.get_shape()
        strides = [math.prod(shape[d + 1 :]) for d in range(len(shape))]
        op = memref.ReinterpretCastOp(source, [], [], [], [0], shape, strides, type)
        return self.add(op, op.result)

    def copied(self, weight: SSAValue, offset: int) -> SSAValue:
        """A copy of a weight in the arena, made here."""
        assert isinstance(weight.type, MemRefType)
        view = self.arena_view(offset, weight.type)
        view.name_hint = weight.name_hint
        self.block.add_op(memref.CopyOp(weight, view))
        return view

    def arena_view(self, offset: int, type: MemRefType[Attribute]) -> SSAValue:
        """A piece of the arena."""
        constant = arith.ConstantOp(IntegerAttr(offset, IndexType()))
        self.block.add_op(constant)
        sizes = [] if type.has_static_shape() else [self.whole_arena()]
        view = memref.ViewOp(self.arena, constant.result, sizes, type)
        return self.add(view, view.result)

    def whole_arena(self) -> SSAValue:
        """An upper bound of the elements of any view: the program level does not check extents."""
        return self.add_op(arith.ConstantOp.from_int_and_width(self.plan.bytes, IndexType()))

    def weight(self, symbol: str, type: MemRefType[Attribute]) -> SSAValue:
        """The array stored under a symbol; one op per symbol, ahead of all calls."""
        if symbol not in self.globals:
            op = memref.GetGlobalOp(symbol, type)
            op.memref.name_hint = re.sub(r"^(?=\d)|\W", "_", symbol)
            self.insert_first(op)
            self.globals[symbol] = op.memref
        return self.globals[symbol]

    def insert_first(self, op: memref.GetGlobalOp) -> None:
        """Add a weight after the weights that are there already."""
        last = next(reversed(self.globals.values()), None)
        if last is not None:
            assert isinstance(last, OpResult)
            self.block.insert_op_after(op, last.op)
        elif self.block.first_op is not None:
            self.block.insert_op_before(op, self.block.first_op)
        else:
            self.block.add_op(op)

    def packed_weight(
        self, operand: SSAValue, pack: Pack, interface: KernelInterface, position: int
    ) -> SSAValue:
        """A weight in the arrangement a kernel wants, packed once and shared by all launches."""
        root = root_of(operand)
        if not isinstance(root.owner, WeightOp):
            raise LoweringError(
                f"kernel {interface.func.sym_name.data} packs argument {position}, "
                "which is not a weight in every launch"
            )
        symbol, type = root.owner.symbol.root_reference.data, interface.type_of(position)
        key = (symbol, pack, type)
        if key not in self.packed:
            array = pack_array(self.ctx.weights[symbol], pack, type.get_shape())
            self.packed[key] = self.ctx.weights.add(f"{symbol}_packed", array)
        return self.weight(self.packed[key], type)

    def add(self, op: Operation, result: SSAValue) -> SSAValue:
        """Append an op."""
        self.block.add_op(op)
        return result
