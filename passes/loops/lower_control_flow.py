"""A function of one control op over memrefs: scf.if, scf.while or scf.for around calls.

before: func.func @k(%p: tensor<i1>, %x: tensor<8xf32>) -> tensor<8xf32> {
          %0 = graph.cond %p, %x {@then, @else} ; return %0 }
after:  func.func @k(%p: memref<i1>, %x: memref<8xf32>, %out: memref<8xf32>, %arena: memref<64xi8>)
        { scf.if %p[] { call @then(%x, %out, %arena) } else { call @else(%x, %out, %arena) } }

What the callees need of the arena lies at one place, since one of them runs at a time. Carried
values have two buffers, the result itself and one in the arena, which change places after every
iteration.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from xdsl.dialects import arith, memref, scf
from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    ArrayAttr,
    IndexType,
    IntAttr,
    IntegerAttr,
    MemRefType,
    StringAttr,
    UnitAttr,
    i1,
    i8,
)
from xdsl.dialects.func import CallOp, FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue

from ...dialects.graph.control import PROGRAM_ATTRIBUTE, CondOp, ControlOp, ForOp, WhileOp
from .allocate_arena import ALIGNMENT
from .kernel_interface import KernelInterface, bytes_of, memref_of

Buffers = Sequence[SSAValue]


def control_op(func: FuncOp) -> ControlOp | None:
    """The control op that a function consists of, if it is such a function."""
    first = func.body.block.first_op
    return first if isinstance(first, ControlOp) else None


def lower_control_flow(
    func: FuncOp, op: ControlOp, callees: Mapping[str, KernelInterface]
) -> FuncOp:
    """`func`, which consists of `op`, over memrefs; `callees` are the functions that it calls."""
    writer = _ControlWriter(func, op, callees)
    match op:
        case CondOp():
            writer.cond(op)
        case WhileOp():
            writer.loop_while(op)
        case ForOp():
            writer.loop_for(op)
    return writer.finish()


class _ControlWriter:
    """The new function, and how far its arena is taken."""

    def __init__(self, func: FuncOp, op: ControlOp, callees: Mapping[str, KernelInterface]) -> None:
        self.callees = {key: callees[name] for key, name in op.callees.items()}
        inputs = [memref_of(argument.type) for argument in func.body.block.args]
        self.outputs = [memref_of(result.type) for result in op.results]
        carried = list(op.results_) if isinstance(op, WhileOp | ForOp) else []
        self.offset = 0
        places = [self._take(bytes_of(memref_of(value.type))) for value in carried]
        flag = self._take(1) if isinstance(op, WhileOp) else 0
        shared = self._take(
            max(
                sum(_room(bytes_of(callee.type_of(k))) for k in callee.scratch)
                for callee in self.callees.values()
            )
        )
        arena = MemRefType(i8, [self.offset])
        self.func = FuncOp(func.sym_name.data, ([*inputs, *self.outputs, arena], []))
        self.block: Block = self.func.body.block
        arguments = self.block.args
        self.arena = arguments[-1]
        self.arena.name_hint = "arena"
        self.results: Buffers = arguments[len(inputs) : -1]
        self.values: dict[SSAValue, SSAValue] = {}
        for old, new in zip(func.body.block.args, arguments, strict=False):
            new.name_hint = old.name_hint
            self.values[old] = new
        for k, output in enumerate(self.results):
            output.name_hint = f"output_{k}" if len(self.results) > 1 else "output"
        self.work = {
            key: [self._view(shared + at, callee.type_of(k)) for k, at in _stacked(callee)]
            for key, callee in self.callees.items()
        }
        self.spare = [
            self._view(place, memref_of(value.type))
            for place, value in zip(places, carried, strict=True)
        ]
        self.flag = self._view(flag, MemRefType(i1, [])) if isinstance(op, WhileOp) else None

    def finish(self) -> FuncOp:
        """The function, complete."""
        self.block.add_op(ReturnOp())
        roles = ["in"] * (len(self.block.args) - len(self.results) - 1)
        roles += ["out"] * len(self.results) + ["arena"]
        self.func.attributes["tilecast.roles"] = ArrayAttr([StringAttr(role) for role in roles])
        self.func.attributes["tilecast.arena_lower_bound"] = IntAttr(self.offset)
        self.func.attributes[PROGRAM_ATTRIBUTE] = UnitAttr()
        return self.func

    def cond(self, op: CondOp) -> None:
        """Both branches write the results themselves."""
        holds = memref.LoadOp.get(self.values[op.condition], [])
        self.block.add_op(holds)
        arguments = self._places(op.arguments)
        branches = []
        for key in ("then_branch", "else_branch"):
            block = Block()
            self._call(block, key, arguments, self.results)
            block.add_op(scf.YieldOp())
            branches.append(Region(block))
        self.block.add_op(scf.IfOp(holds.res, [], branches[0], branches[1]))

    def loop_while(self, op: WhileOp) -> None:
        """Pointers to the buffers are what the loop carries."""
        shared, count = self._places(op.shared), len(op.carried)
        assert self.flag is not None
        for source, target in zip(self._places(op.carried), self.results, strict=True):
            self.block.add_op(memref.CopyOp(source, target))
        start = [*self.results, *self.spare]
        types = [value.type for value in start]
        before, after = Block(arg_types=types), Block(arg_types=types)
        self._call(before, "condition", [*before.args[:count], *shared], [self.flag])
        holds = memref.LoadOp.get(self.flag, [])
        before.add_ops([holds, scf.ConditionOp(holds.res, *before.args)])
        current, next_ = list(after.args[:count]), list(after.args[count:])
        self._call(after, "body", [*current, *shared], next_)
        after.add_op(scf.YieldOp(*next_, *current))
        loop = scf.WhileOp(start, types, Region(before), Region(after))
        self.block.add_op(loop)
        for final, target in zip(loop.results, self.results, strict=False):
            self.block.add_op(memref.CopyOp(final, target))

    def loop_for(self, op: ForOp) -> None:
        """The first buffers are such that the last iteration writes the results."""
        times, count = op.count.data, len(op.carried)
        sliced, shared = self._places(op.sliced), self._places(op.shared)
        stacked, carried = self.results[count:], self.results[:count]
        first, second = (carried, self.spare) if times % 2 == 0 else (self.spare, carried)
        for source, target in zip(self._places(op.carried), first, strict=True):
            self.block.add_op(memref.CopyOp(source, target))
        start = [*first, *second]
        block = Block(arg_types=[IndexType(), *(value.type for value in start)])
        i, *buffers = block.args
        current, next_ = buffers[:count], buffers[count:]
        reads = [*current, *(_slice(block, value, i) for value in sliced), *shared]
        writes = [*next_, *(_slice(block, value, i) for value in stacked)]
        self._call(block, "body", reads, writes)
        block.add_op(scf.YieldOp(*next_, *current))
        zero, last, one = (self._index(n) for n in (0, times, 1))
        self.block.add_op(scf.ForOp(zero, last, one, start, Region(block)))

    def _places(self, values: Sequence[SSAValue]) -> Buffers:
        return [self.values[value] for value in values]

    def _call(self, block: Block, key: str, reads: Buffers, writes: Buffers) -> None:
        callee = self.callees[key]
        arguments: dict[int, SSAValue] = {}
        for positions, values in (
            (callee.read, reads),
            (callee.written, writes),
            (callee.scratch, self.work[key]),
        ):
            arguments |= dict(zip(positions, values, strict=True))
        ordered = [arguments[k] for k in range(len(arguments))]
        block.add_op(CallOp(callee.func.sym_name.data, ordered, []))

    def _take(self, size: int) -> int:
        """The offset of `size` more bytes of the arena."""
        at = self.offset
        self.offset += _room(size)
        return at

    def _view(self, offset: int, type: MemRefType[Attribute]) -> SSAValue:
        view = memref.ViewOp(self.arena, self._index(offset), [], type)
        self.block.add_op(view)
        return view.result

    def _index(self, number: int) -> SSAValue:
        constant = arith.ConstantOp(IntegerAttr(number, IndexType()))
        self.block.add_op(constant)
        return constant.result


def _room(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _stacked(callee: KernelInterface) -> list[tuple[int, int]]:
    """(argument, offset) of each scratch argument, one behind the other."""
    placed, at = [], 0
    for k in callee.scratch:
        placed.append((k, at))
        at += _room(bytes_of(callee.type_of(k)))
    return placed


def _slice(block: Block, value: SSAValue, i: SSAValue) -> SSAValue:
    """value[i], which is one piece of memory."""
    type = value.type
    assert isinstance(type, MemRefType)
    shape = type.get_shape()[1:]
    strides = [math.prod(shape[d + 1 :]) for d in range(len(shape))]
    size = arith.ConstantOp(IntegerAttr(math.prod(shape), IndexType()))
    offset = arith.MuliOp(i, size)
    piece: MemRefType[Attribute] = MemRefType(type.element_type, shape)
    cast = memref.ReinterpretCastOp(
        value, [offset.result], [], [], [DYNAMIC_INDEX], shape, strides, piece
    )
    ops: list[Operation] = [size, offset, cast]
    block.add_ops(ops)
    return cast.result
