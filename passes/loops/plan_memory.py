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

from collections.abc import Mapping
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects import memref
from xdsl.dialects.builtin import (
    IntAttr,
    MemRefType,
    ModuleOp,
)
from xdsl.dialects.func import FuncOp
from xdsl.ir import BlockArgument
from xdsl.passes import ModulePass

from ...dialects.graph import LaunchOp
from ...dialects.graph.control import ControlOp, is_program
from ..context import CompileContext
from .kernel_interface import KernelInterface, bytes_of
from .launched_program import LaunchedProgram
from .lower_control_flow import control_op, lower_control_flow
from .program_writer import Packed, ProgramWriter


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
                program = LaunchedProgram(func, interfaces, ctx.stream_weights)
                planned = ProgramWriter(program, ctx, packed).write()
            op.body.block.insert_op_after(planned, func)
            op.body.block.erase_op(func)
            if func.sym_name.data != "main":
                interfaces[func.sym_name.data] = KernelInterface(planned)
