"""Leave a function with control flow nothing but launches, of its parts and of its branches.

before: func.func @main(%x, %p) { %0 = graph.pointwise "exp" %x
                                  %1 = graph.cond %p, %0 {@then, @else} ; return %1 }
after:  func.func @main(%x, %p) { %0 = graph.launch @main_part_0(%x)
                                  %1 = graph.launch @main_cond_0(%p, %0) ; return %1 }
        func.func @main_cond_0(%p, %0) { %1 = graph.cond %p, %0 {@then, @else} ; return %1 }

What lies between two control ops is a part: a function like main, which fusion divides into
kernels. Layout ops and constants are repeated where they are read, so that they cost nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Operation, SSAValue
from xdsl.passes import ModulePass

from ...dialects.graph import FullOp, IotaOp, LaunchOp, ReshapeOp, ViewOp, WeightOp
from ...dialects.graph.control import ControlOp, is_program, program_function

FREE = (ViewOp, ReshapeOp, FullOp, IotaOp, WeightOp)


class Parts:
    """The parts of one function: part k is what is computed ahead of control op k."""

    def __init__(self, func: FuncOp) -> None:
        self.ends: list[Operation] = []  # control ops, then the return
        self.part_of: dict[Operation, int] = {}
        for op in func.body.block.ops:
            self.part_of[op] = len(self.ends)
            if isinstance(op, ControlOp | ReturnOp):
                self.ends.append(op)

    def computed(self, part: int) -> list[Operation]:
        """Its ops, without those that are repeated where they are read."""
        return [
            op
            for op, at in self.part_of.items()
            if at == part and op is not self.ends[part] and not isinstance(op, FREE)
        ]

    def results(self, part: int) -> list[SSAValue]:
        """What it hands over, to its end or to later parts."""
        computed = [v for op in self.computed(part) for v in op.results if self._leaves(v, part)]
        free = [
            v
            for v in self.ends[part].operands
            if isinstance(v.owner, FREE) and not isinstance(v.owner, WeightOp)
        ]
        return list(dict.fromkeys([*computed, *free]))

    def _leaves(self, value: SSAValue, part: int) -> bool:
        """Whether another part reads `value`, or its own end does."""
        for use in value.uses:
            reader = use.operation
            if reader in self.ends:
                return True
            if not isinstance(reader, FREE) and self.part_of[reader] != part:
                return True
            if isinstance(reader, FREE) and self._is_read_elsewhere(reader, part):
                return True
        return False

    def _is_read_elsewhere(self, op: Operation, part: int) -> bool:
        """Whether a layout op is repeated in another part."""
        for use in op.results[0].uses:
            reader = use.operation
            if isinstance(reader, FREE):
                if self._is_read_elsewhere(reader, part):
                    return True
            elif self.part_of[reader] != part:
                return True
        return False


class PartBuilder:
    """The function of one part: its ops, copied, over arguments for what comes from outside."""

    def __init__(self, computed: Sequence[Operation], results: Sequence[SSAValue]) -> None:
        self.block = Block()
        self.inside = set(computed)
        self.known: dict[SSAValue, SSAValue] = {}
        self.arguments: list[SSAValue] = []
        for op in computed:
            self.copy(op)
        self.block.add_op(ReturnOp(*[self.read(value) for value in results]))

    def copy(self, op: Operation) -> None:
        """Append a copy of `op`."""
        new = op.clone({value: self.read(value) for value in op.operands})
        self.block.add_op(new)
        for old, result in zip(op.results, new.results, strict=True):
            result.name_hint = old.name_hint
            self.known[old] = result

    def read(self, value: SSAValue) -> SSAValue:
        """What stands for `value` here."""
        if value not in self.known:
            if isinstance(value.owner, FREE):
                self.copy(value.owner)
            else:
                argument = self.block.insert_arg(value.type, len(self.block.args))
                argument.name_hint = value.name_hint
                self.arguments.append(value)
                self.known[value] = argument
        return self.known[value]


def outline_control_flow(module: ModuleOp, func: FuncOp) -> None:
    """Replace what `func` computes by launches of new functions behind it."""
    parts, block = Parts(func), func.body.block
    name = func.sym_name.data
    old_ops = list(block.ops)
    new: dict[SSAValue, SSAValue] = {}

    def launch(callee: FuncOp, arguments: Sequence[SSAValue], results: Sequence[SSAValue]) -> None:
        module.body.block.insert_op_after(callee, func)
        op = LaunchOp(
            callee.sym_name.data, [new.get(v, v) for v in arguments], [v.type for v in results]
        )
        block.insert_op_before(op, end)
        for old, result in zip(results, op.results_, strict=True):
            result.name_hint = old.name_hint
            new[old] = result

    for k, end in enumerate(parts.ends):
        results = parts.results(k)
        if results:
            body = PartBuilder(parts.computed(k), results)
            launch(function_of(f"{name}_part_{k}", body.block), body.arguments, results)
        if isinstance(end, ControlOp):
            operands = list(dict.fromkeys(end.operands))
            whole = control_function(f"{name}_{end.name.rpartition('.')[2]}_{k}", end, operands)
            launch(whole, operands, end.results)
        else:
            end.operands = [new.get(value, value) for value in end.operands]
    erase_replaced(block, old_ops)


def function_of(name: str, block: Block) -> FuncOp:
    """The program function with the body `block`, which ends in a return."""
    end = block.last_op
    assert isinstance(end, ReturnOp)
    func = program_function(name, [a.type for a in block.args], [v.type for v in end.arguments])
    func.body.detach_block(func.body.block)
    func.body.add_block(block)
    return func


def control_function(name: str, op: ControlOp, operands: Sequence[SSAValue]) -> FuncOp:
    """A function that consists of `op`."""
    block = Block(arg_types=[value.type for value in operands])
    for value, argument in zip(operands, block.args, strict=True):
        argument.name_hint = value.name_hint
    copy = op.clone(dict(zip(operands, block.args, strict=True)))
    block.add_ops([copy, ReturnOp(*copy.results)])
    return function_of(name, block)


def erase_replaced(block: Block, old_ops: Sequence[Operation]) -> None:
    """Erase what launches stand for, and weights that only parts read."""
    for op in reversed(old_ops):
        keeps = isinstance(op, ReturnOp) or (isinstance(op, WeightOp) and op.result.uses)
        if not keeps:
            block.erase_op(op)


def programs_with_control_flow(module: ModuleOp) -> Iterator[FuncOp]:
    """Functions that compute and control."""
    for func in list(module.ops):
        if isinstance(func, FuncOp) and is_program(func) and not func.is_declaration:
            ops = list(func.body.block.ops)
            is_launched = any(isinstance(op, LaunchOp) for op in ops)
            if not is_launched and any(isinstance(op, ControlOp) for op in ops):
                yield func


@dataclass(frozen=True)
class OutlineControlFlowPass(ModulePass):
    """Divide every function with control flow into parts and control functions."""

    name = "outline-control-flow"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for func in programs_with_control_flow(op):
            outline_control_flow(op, func)
