"""Give every tensor of the program a place: weights, inputs, outputs, or bytes of one arena.

before: func.func @main(%x: tensor<8xf32>) -> tensor<8xf32> {
          %w = graph.weight @w
          %0 = graph.launch @a(%x, %w) ; %1 = graph.launch @b(%0) ; return %1 }
after:  func.func @main(%x: memref<8xf32>, %out: memref<8xf32>, %arena: memref<64xi8>) {
          %w = memref.get_global @w ; %0 = memref.view %arena[%c0][]
          func.call @a(%x, %w, %0) ; func.call @b(%0, %out) ; return }

A model output is written by the kernel that computes it; only outputs that are inputs, weights or
repeated are copied. An output that is an update of an input may have its memory, where all that
reads the input runs before (`tilecast.in_place` says so). Kernels whose weight argument is packed
get a packed weight in the store. Semaphores of all kernels are the same bytes, to which main copies
zeros first.

With `stream_weights`, kernels read their weights from the arena: each weight is copied there ahead
of each call (`tilecast.streamed` marks such programs), and the arena is all the memory there is.

Where sizes are known at run time only, main has an argument `%sizes` after the inputs, one i64 per
symbol (`tilecast.sizes` names them); tensors that depend on them are flat memrefs, and have room in
the arena for their largest size. Kernels get the products of symbols that they ask for.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from xdsl.context import Context
from xdsl.dialects import arith, memref
from xdsl.dialects.builtin import (
    ArrayAttr,
    IndexType,
    IntAttr,
    IntegerAttr,
    MemRefType,
    ModuleOp,
    StringAttr,
    UnitAttr,
    bf16,
    i8,
    i32,
)
from xdsl.dialects.func import CallOp, FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, BlockArgument, Operation, OpResult, SSAValue
from xdsl.passes import ModulePass

from ...dialects.errors import LoweringError, MemoryBudgetError
from ...dialects.graph import LaunchOp, ReshapeOp, WeightOp, is_dynamic, shape_of
from ...dialects.graph.control import PROGRAM_ATTRIBUTE, ControlOp, is_program
from ...dialects.pairs import WordsOp
from ...dialects.sizes import Symbol
from ..context import CompileContext
from .allocate_arena import ArenaPlan, Lifetime, allocate_arena
from .in_place import IN_PLACE, root_of, updates_in_place
from .kernel_interface import KernelInterface, bytes_of, element_bytes, largest_bytes, memref_of
from .lower_control_flow import control_op, lower_control_flow
from .pack_weights import Pack, pack_array
from .program_sizes import ProgramSizes, size_texts, sizes_type, symbols_of_program

Scratch = tuple[LaunchOp, int]
"""An array that one launch alone needs, by its position among the kernel's arguments."""
STREAMED = "tilecast.streamed"
"""Marks programs that copy weights into the arena before they are used."""
SEMAPHORES = "semaphores"
Packed = dict[tuple[str, Pack, MemRefType[Attribute]], str]
"""Symbols of weights that are packed already."""


def is_weight(value: SSAValue) -> bool:
    """Whether `value` is a stored array, perhaps under another shape."""
    return isinstance(root_of(value).owner, WeightOp)


class Program:
    """What the pass knows of `main` before it writes anything."""

    def __init__(
        self, main: FuncOp, kernels: dict[str, KernelInterface], streamed: bool = False
    ) -> None:
        self.main, self.streamed = main, streamed
        self.ops = list(main.body.block.ops)
        self.launches = [op for op in self.ops if isinstance(op, LaunchOp)]
        self.kernels = kernels
        end = main.get_return_op()
        self.returned = list(end.arguments) if end is not None else []
        for op in self.ops:
            if not isinstance(op, WeightOp | ReshapeOp | LaunchOp | ReturnOp):
                raise LoweringError(f"main holds {op.name}, which is no kernel launch; fuse first")
        for launch in self.launches:
            self.interface_of(launch)
        # A launch result that is returned lives in the first output it is returned as.
        self.output_of: dict[SSAValue, int] = {}
        for k, value in enumerate(self.returned):
            root = root_of(value)
            if isinstance(root.owner, LaunchOp):
                self.output_of.setdefault(root, k)
        self.in_place = updates_in_place(self)

    def symbols(self) -> list[Symbol]:
        """The sizes that a call has to give."""
        values = [*self.main.body.block.args, *(r for op in self.ops for r in op.results)]
        asked = [n for launch in self.launches for n in self.interface_of(launch).size_values()]
        return symbols_of_program(values, asked)

    def interface_of(self, launch: LaunchOp) -> KernelInterface:
        """The kernel of a launch; LoweringError where they do not fit."""
        name = launch.kernel.root_reference.data
        interface = self.kernels.get(name)
        if interface is None:
            raise LoweringError(f"main launches {name}, which is not in the module")
        if len(interface.read) != len(launch.arguments) or len(interface.written) != len(
            launch.results_
        ):
            raise LoweringError(
                f"kernel {name} takes {len(interface.read)} and writes {len(interface.written)} "
                f"arrays, its launch has {len(launch.arguments)} and {len(launch.results_)}"
            )
        return interface

    def fetched(self, launch: LaunchOp) -> list[int]:
        """Positions of the weights that have to be copied into the arena for a launch."""
        pairs = zip(self.interface_of(launch).read, launch.arguments, strict=True)
        return [p for p, value in pairs if self.streamed and is_weight(value)]

    @property
    def semaphore_bytes(self) -> int:
        """What the kernel with most semaphores needs."""
        interfaces = [self.interface_of(launch) for launch in self.launches]
        types = [i.type_of(position) for i in interfaces for position in i.semaphores]
        return max(map(bytes_of, types), default=0)

    def plan(self) -> tuple[ArenaPlan, dict[SSAValue | Scratch | str, int]]:
        """The arena, and the offset of each launch result and scratch array that lives in it."""
        keys: list[SSAValue | Scratch | str] = []
        lifetimes: list[Lifetime] = []
        last_use: dict[SSAValue, int] = {}
        for step, launch in enumerate(self.launches):
            for argument in launch.arguments:
                last_use[root_of(argument)] = step
        for step, launch in enumerate(self.launches):
            interface = self.interface_of(launch)
            for result in launch.results_:
                if result in self.output_of:
                    continue
                keys.append(result)
                last = last_use.get(result, step)
                lifetimes.append(Lifetime(largest_bytes(result.type), step, last))
            for position in (*interface.scratch, *self.fetched(launch)):
                if position in interface.semaphores:
                    continue
                keys.append((launch, position))
                lifetimes.append(Lifetime(bytes_of(interface.type_of(position)), step, step))
        if bytes := self.semaphore_bytes:
            keys.append(SEMAPHORES)
            lifetimes.append(Lifetime(bytes, 0, len(self.launches) - 1))
        plan = allocate_arena(lifetimes)
        return plan, dict(zip(keys, plan.offsets, strict=True))


class ProgramWriter:
    """Writes the memref form of a program, op by op."""

    def __init__(self, program: Program, ctx: CompileContext, packed: Packed) -> None:
        self.program, self.ctx, self.packed = program, ctx, packed
        self.plan, self.offsets = program.plan()
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
        pairs = [ArrayAttr([IntAttr(k), IntAttr(j)]) for k, j in program.in_place]
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
            if self.program.output_of.get(root_of(value)) != k:
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
        elif value in self.program.output_of:
            output = self.outputs[self.program.output_of[value]]
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


def program_arena(main: FuncOp) -> tuple[int, int]:
    """(bytes of the arena, peak of live bytes) of a planned program."""
    arena = main.body.block.args[-1]
    bound = main.attributes["tilecast.arena_lower_bound"]
    assert isinstance(arena, BlockArgument)
    assert isinstance(arena.type, MemRefType)
    assert isinstance(bound, IntAttr)
    return arena.type.get_shape()[0], bound.data


def local_bytes(kernel: FuncOp) -> int:
    """Bytes of the local arrays of a kernel, which are on the stack."""
    arrays = [op.memref.type for op in kernel.walk() if isinstance(op, memref.AllocaOp)]
    return sum(bytes_of(type) for type in arrays)


def called_first(programs: Mapping[str, FuncOp]) -> list[FuncOp]:
    """`programs` so that each comes after those it launches or controls."""
    ordered: dict[str, FuncOp] = {}

    def visit(name: str) -> None:
        if name in ordered or name not in programs:
            return
        for op in programs[name].body.block.ops:
            if isinstance(op, LaunchOp):
                visit(op.kernel.root_reference.data)
            elif isinstance(op, ControlOp):
                for callee in op.callees.values():
                    visit(callee)
        ordered[name] = programs[name]

    for name in programs:
        visit(name)
    return list(ordered.values())


@dataclass(frozen=True)
class PlanMemoryPass(ModulePass):
    """Replace tensors of `main` by inputs, outputs, weights and bytes of the arena.

    A program that control flow calls has an arena of its own, which is a piece of its caller's.
    """

    name = "plan-memory"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        functions = {f.sym_name.data: f for f in op.ops if isinstance(f, FuncOp)}
        if "main" not in functions:
            return
        assert isinstance(ctx, CompileContext)
        programs = {name: func for name, func in functions.items() if is_program(func)}
        interfaces = {
            name: KernelInterface(func) for name, func in functions.items() if name not in programs
        }
        packed: Packed = {}
        for func in called_first(programs):
            control = control_op(func)
            if control is not None:
                planned = lower_control_flow(func, control, interfaces)
            else:
                program = Program(func, interfaces, ctx.stream_weights)
                planned = ProgramWriter(program, ctx, packed).write()
            op.body.block.insert_op_after(planned, func)
            op.body.block.erase_op(func)
            if func.sym_name.data != "main":
                interfaces[func.sym_name.data] = KernelInterface(planned)
