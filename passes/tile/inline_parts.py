"""Put the loops of a kernel's parts where it calls them.

before: func.func @k(%x, %t) { tile.launch .. ; tile.part @k_1_part(%t, %y) }   func.func @k_1_part
after:  func.func @k(%x, %t, %s) { tile.launch .. ; loops }

Scratch arrays of the parts become those of the kernel.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects import memref
from xdsl.dialects.builtin import ArrayAttr, FunctionType, MemRefType, ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from ...dialects.tile.launch import PartOp
from ..poly.affine_maps import row_major_strides
from .tile_programs import PART_OF


def reshaped(array: SSAValue, type: Attribute, place: Operation) -> SSAValue:
    """`array` as one of `type`, which has as many elements: schedules of parts collapse dims."""
    if array.type == type:
        return array
    assert isinstance(type, MemRefType)
    shape = type.get_shape()
    op = memref.ReinterpretCastOp(array, [], [], [], [0], shape, row_major_strides(shape), type)
    Rewriter.insert_op(op, InsertPoint.before(place))
    op.result.name_hint = array.name_hint
    return op.result


def inline(func: FuncOp, call: PartOp, part: FuncOp) -> None:
    """Replace `call` in the kernel `func` by the body of `part`."""
    block = func.body.block
    mapping: dict[SSAValue, SSAValue] = {}
    given = list(call.arrays)
    for number, argument in enumerate(part.body.block.args):
        if number == len(given):
            scratch = block.insert_arg(argument.type, len(block.args))
            scratch.name_hint = argument.name_hint
            given.append(scratch)
        mapping[argument] = reshaped(given[number], argument.type, call)
    for op in part.body.block.ops:
        if not isinstance(op, ReturnOp):
            block.insert_op_before(op.clone(mapping), call)
    Rewriter.erase_op(call)
    roles = func.attributes["tilecast.roles"]
    assert isinstance(roles, ArrayAttr)
    added = len(block.args) - len(roles)
    func.attributes["tilecast.roles"] = ArrayAttr([*roles, *[StringAttr("scratch")] * added])
    func.properties["function_type"] = FunctionType.from_lists([a.type for a in block.args], [])


@dataclass(frozen=True)
class InlinePartsPass(ModulePass):
    """Inline all parts of kernels."""

    name = "inline-parts"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        functions = {f.sym_name.data: f for f in op.ops if isinstance(f, FuncOp)}
        parts = {name: f for name, f in functions.items() if PART_OF in f.attributes}
        for func in functions.values():
            for call in [c for c in func.body.walk() if isinstance(c, PartOp)]:
                inline(func, call, parts[call.part.data])
        for part in parts.values():
            Rewriter.erase_op(part)
