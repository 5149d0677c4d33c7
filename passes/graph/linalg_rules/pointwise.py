"""Rules of graph.pointwise, graph.cast, graph.full and graph.iota: one parallel generic each."""

from __future__ import annotations

from xdsl.dialects import arith
from xdsl.dialects.builtin import AnyFloat, IntegerType
from xdsl.ir import Attribute, SSAValue

from ....dialects.errors import LoweringError
from ....dialects.graph import (
    CastOp,
    FullOp,
    IotaOp,
    PointwiseOp,
    SizeIndexOp,
    SizeOp,
    element_of,
    shape_of,
)
from .kernel_builder import KernelBuilder, uniform_number
from .rule import converts
from .scalar_builder import ScalarBuilder, computed_in, is_truth
from .scalar_functions import SCALAR_RULES


@converts(PointwiseOp)
def convert_pointwise(op: PointwiseOp, b: KernelBuilder) -> SSAValue:
    """out[i] = fn(operands[i], ...)."""
    rule = SCALAR_RULES[op.fn.data]
    return b.pointwise(op.operands_, shape_of(op.result), element_of(op.result), rule)


def cast_scalar(s: ScalarBuilder, x: SSAValue, target: Attribute) -> SSAValue:
    """`x` as `target`, as torch casts: floats truncate, anything but zero is true."""
    source = x.type
    if source == target:
        return x
    if is_truth(target):
        return s.compare("ne", x, s.like(0, x))
    if isinstance(source, AnyFloat) and isinstance(target, AnyFloat):
        widens = target.bitwidth > source.bitwidth
        return s.insert(arith.ExtFOp(x, target) if widens else arith.TruncFOp(x, target))
    if isinstance(source, AnyFloat) and isinstance(target, IntegerType):
        return s.insert(arith.FPToSIOp(x, target))
    if isinstance(source, IntegerType) and isinstance(target, AnyFloat):
        op_class = arith.UIToFPOp if is_truth(source) else arith.SIToFPOp
        return s.insert(op_class(x, target))
    if isinstance(source, IntegerType) and isinstance(target, IntegerType):
        if target.width.data < source.width.data:
            return s.insert(arith.TruncIOp(x, target))
        widen = arith.ExtUIOp if is_truth(source) else arith.ExtSIOp
        return s.insert(widen(x, target))
    raise LoweringError(f"graph.cast: no conversion from {source} to {target}")


@converts(CastOp)
def convert_cast(op: CastOp, b: KernelBuilder) -> SSAValue:
    """out[i] = (target type) source[i]."""
    target = element_of(op.result)

    def body(s: ScalarBuilder, x: SSAValue) -> SSAValue:
        return cast_scalar(s, x, computed_in(target))

    return b.pointwise([op.source], shape_of(op.result), target, body)


@converts(FullOp)
def convert_full(op: FullOp, b: KernelBuilder) -> SSAValue:
    """out[i] = value; disappears again where generics read the number itself."""
    element, number = element_of(op.result), uniform_number(op.result)
    assert number is not None
    return b.map([], shape_of(op.result), element, lambda s: s.constant(number, element))


@converts(SizeOp)
def convert_size(op: SizeOp, b: KernelBuilder) -> SSAValue:
    """out[] = the size."""
    element = element_of(op.result)
    return b.map([], (), element, lambda s: s.from_index(s.insert(SizeIndexOp(op.value)), element))


@converts(IotaOp)
def convert_iota(op: IotaOp, b: KernelBuilder) -> SSAValue:
    """out[i] = start + step * i."""
    element = element_of(op.result)

    def body(s: ScalarBuilder) -> SSAValue:
        number = s.from_index(s.iteration(0), computed_in(element))
        if op.step.data != 1:
            number = s.mul(number, s.like(op.step.data, number))
        return number if op.start.data == 0 else s.add(number, s.like(op.start.data, number))

    return b.map([], shape_of(op.result), element, body)
