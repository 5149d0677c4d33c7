"""The sizes of a kernel whose scop is extracted: which there are, and arguments of such shapes.

before: func.func @k(%x: tensor<8x4xf32, #graph.sizes<["batch[1..8]", "4"]>>)
after:  poly.scop with params = ["batch"], %x: memref<?x4xf32> of extents ()[s0] -> (s0, 4)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from xdsl.dialects import arith
from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    AffineMapAttr,
    ArrayAttr,
    IndexType,
    MemRefType,
    StringAttr,
    TensorType,
    UnitAttr,
)
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, Block, Operation, SSAValue
from xdsl.ir.affine import (
    AffineBinaryOpExpr,
    AffineBinaryOpKind,
    AffineConstantExpr,
    AffineExpr,
    AffineSymExpr,
)

from ....dialects.graph import SizeIndexOp, extents_of_type
from ....dialects.poly import ParamOp, ScopOp
from ....dialects.sizes import Size
from ..size_parameters import SizeParameters


def argument_type(type: Attribute) -> MemRefType[Attribute]:
    """The memref of a tensor that an argument holds: densely, whatever its sizes are."""
    assert isinstance(type, TensorType)
    extents = [DYNAMIC_INDEX if isinstance(n, Size) else n for n in extents_of_type(type)]
    return MemRefType(type.element_type, extents)


def sizes_in(func: FuncOp) -> Iterator[int]:
    """The extents of all tensors of a function, and the sizes that it computes with."""
    for argument in func.body.block.args:
        yield from extents_of_type(argument.type)
    for op in func.walk():
        if isinstance(op, SizeIndexOp):
            yield op.value
        for result in op.results:
            if isinstance(result.type, TensorType):
                yield from extents_of_type(result.type)


def size_value(expr: AffineExpr, block: Block) -> SSAValue:
    """Append the computation of a size from the parameters."""
    match expr:
        case AffineSymExpr():
            op: Operation = ParamOp(expr.position)
        case AffineConstantExpr():
            op = arith.ConstantOp.from_int_and_width(expr.value, IndexType())
        case AffineBinaryOpExpr():
            lhs, rhs = size_value(expr.lhs, block), size_value(expr.rhs, block)
            is_sum = expr.kind is AffineBinaryOpKind.Add
            op = arith.AddiOp(lhs, rhs) if is_sum else arith.MuliOp(lhs, rhs)
        case _:
            raise AssertionError(expr)
    block.add_op(op)
    return op.results[0]


def declare_parameters(
    scop: ScopOp, parameters: SizeParameters, shapes: Sequence[tuple[int, ...]]
) -> None:
    """Name the parameters, and say what they are and how the shapes of arguments follow."""
    maps = [parameters.map(shape) for shape in shapes]
    extents = [UnitAttr() if map is None else AffineMapAttr(map) for map in maps]
    scop.properties |= {
        "params": ArrayAttr([StringAttr(name) for name in parameters.names]),
        "sizes": ArrayAttr([StringAttr(str(size)) for size in parameters.sizes]),
        "context": StringAttr(str(parameters.context())),
        "extents": ArrayAttr(extents),
    }
