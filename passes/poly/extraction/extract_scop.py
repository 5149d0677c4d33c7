"""Turn every linalg kernel into a `poly.scop`.

before: func.func private @k(%x: tensor<..>) -> tensor<..> { linalg.generic ... }
after:  poly.scop @k with arrays and statements; views have become access maps
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects import arith, tensor
from xdsl.dialects.builtin import ArrayAttr, ModuleOp, UnitAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.dialects.linalg import ops as linalg
from xdsl.ir import Block, Operation, Region, SSAValue
from xdsl.ir.affine import AffineMap
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from ....dialects.errors import LoweringError
from ....dialects.graph import CatOp, PadOp, ReshapeOp, ScanOp, ViewOp, shape_of
from ....dialects.graph.control import is_program
from ....dialects.graph.opaque import OpaqueOp
from ....dialects.poly import ArrayOp, ScopOp, StatementOp
from ..affine_maps import compose, reshape_map
from ..size_parameters import SizeParameters
from .array_rules import extract_cat, extract_pad, extract_scan
from .generic_rule import extract_generic, is_identity
from .scop_builder import ScopBuilder, Source
from .scop_sizes import argument_type, declare_parameters, sizes_in


def _extract_op(builder: ScopBuilder, op: Operation) -> None:
    match op:
        case linalg.GenericOp():
            extract_generic(builder, op)
        case linalg.FillOp():
            builder.fills[op.results[0]] = op.inputs[0]
        case ViewOp():
            source = builder.read(op.source)
            builder.sources[op.result] = Source(source.array, compose(source.map, op.map.data))
        case ReshapeOp():
            source = builder.read(op.source)
            map = reshape_map(shape_of(op.source), shape_of(op.result))
            builder.sources[op.result] = Source(source.array, compose(source.map, map))
        case CatOp():
            extract_cat(builder, op)
        case PadOp():
            extract_pad(builder, op)
        case ScanOp():
            extract_scan(builder, op)
        case tensor.EmptyOp() | arith.ConstantOp() | ReturnOp():
            pass
        case _:
            raise LoweringError(f"extract-scop: no rule for {op.name}")


def _writers(block: Block, array: SSAValue) -> list[StatementOp]:
    return [s for s in block.ops if isinstance(s, StatementOp) and s.target is array]


def _store_results(
    builder: ScopBuilder, results: Sequence[SSAValue], outs: Sequence[SSAValue]
) -> None:
    """Make each result land in its output array: in place, or copied from an accumulator."""
    for result, out in zip(results, outs, strict=True):
        source = builder.read(result)
        writers = _writers(builder.block, source.array)
        in_place = (
            isinstance(source.array.owner, ArrayOp)
            and builder.shapes.get(source.array) == shape_of(result)
            and is_identity(source.map)
            and all(s.reduction is None for s in writers)
        )
        if in_place:
            array = source.array.owner
            source.array.replace_all_uses_with(out)
            assert isinstance(array, ArrayOp)
            Rewriter.erase_op(array)
            for other in builder.sources.values():
                if other.array is array.result:
                    other.array = out
        else:
            extents = shape_of(result)
            builder.copy(out, extents, AffineMap.identity(len(extents)), source)


def extract_scop(func: FuncOp) -> ScopOp:
    """The scop of a linalg kernel; raises LoweringError where an op has no rule."""
    terminator = func.body.block.last_op
    assert isinstance(terminator, ReturnOp)
    inputs = [argument_type(a.type) for a in func.body.block.args]
    outputs = [argument_type(v.type) for v in terminator.operands]
    block = Block(arg_types=[*inputs, *outputs])
    builder = ScopBuilder(block, SizeParameters(sizes_in(func)))
    roles = []
    attributes = func.arg_attrs.data if func.arg_attrs is not None else [None] * len(inputs)
    for k, arg in enumerate(func.body.block.args):
        block.args[k].name_hint = arg.name_hint or f"a{k}"
        rank = len(shape_of(arg))
        builder.sources[arg] = Source(block.args[k], AffineMap.identity(rank))
        entry = attributes[k]
        is_weight = entry is not None and "tilecast.weight" in entry.data
        roles.append("weight" if is_weight else "in")
    for k in range(len(outputs)):
        block.args[len(inputs) + k].name_hint = "out" if len(outputs) == 1 else f"out{k}"
        roles.append("out")
    for op in func.body.block.ops:
        _extract_op(builder, op)
    _store_results(builder, terminator.operands, block.args[len(inputs) :])
    scop = ScopOp(func.sym_name.data, roles, Region(block))
    scop.properties["packs"] = ArrayAttr([UnitAttr()] * len(roles))
    if builder.parameters.numbers:
        values = [*func.body.block.args, *terminator.operands]
        declare_parameters(scop, builder.parameters, [shape_of(value) for value in values])
    return scop


@dataclass(frozen=True)
class ExtractScopPass(ModulePass):
    """Replace kernel functions (every function that is no program) by scops."""

    name = "extract-scop"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for func in [f for f in op.ops if isinstance(f, FuncOp)]:
            if is_program(func):
                continue
            if any(isinstance(inner, OpaqueOp) for inner in func.body.block.ops):
                continue  # lower-opaque makes its loops
            scop = extract_scop(func)
            op.body.block.insert_op_before(scop, func)
            Rewriter.erase_op(func)
