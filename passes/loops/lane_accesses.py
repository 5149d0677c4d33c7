"""What gathers and scatters say about their lanes, for passes that make whole vectors of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from xdsl.dialects import arith, vector
from xdsl.dialects.builtin import IndexType, IntegerAttr, VectorType
from xdsl.ir import Block, Operation, SSAValue

from ...dialects.constants import integer_of
from ...dialects.vector import StepOp
from ...dialects.vector_arith import lanes_of
from .dead_lanes import live_lanes

ISAS = ("avx2", "avx512")  # that shuffle lanes of two vectors
BITS = 32  # of a lane: shuffles of others take more instructions
_FUNCTIONS = {
    arith.AddiOp: np.add,
    arith.SubiOp: np.subtract,
    arith.MuliOp: np.multiply,
    arith.DivSIOp: np.floor_divide,
    arith.RemSIOp: np.remainder,
}


def constant_of(value: SSAValue) -> int | None:
    """The integer that `value` or every lane of it is, where it is a constant."""
    if isinstance(value.owner, vector.BroadcastOp):
        return constant_of(value.owner.source)
    return integer_of(value)


def lane_stride(offsets: SSAValue) -> int | None:
    """s where `offsets` is s * (0, 1, 2, ...)."""
    if isinstance(offsets.owner, StepOp):
        return 1
    if not isinstance(offsets.owner, arith.MuliOp):
        return None
    lhs, rhs = offsets.owner.lhs, offsets.owner.rhs
    return constant_of(rhs) if isinstance(lhs.owner, StepOp) else None


def lane_numbers(value: SSAValue, lanes: int) -> tuple[int, ...] | None:
    """The integers of a vector of `lanes` lanes, where they are constants."""
    op = value.owner
    constant = constant_of(value)
    if constant is not None:
        return (constant,) * lanes
    if isinstance(op, StepOp):
        return tuple(range(lanes))
    function = _FUNCTIONS.get(type(op))
    if function is None:
        return None
    assert isinstance(op, Operation)
    lhs, rhs = (lane_numbers(operand, lanes) for operand in op.operands)
    if lhs is None or rhs is None:
        return None
    if isinstance(op, (arith.DivSIOp, arith.RemSIOp)) and (min(lhs) < 0 or min(rhs) <= 0):
        return None  # these round towards zero
    return tuple(int(n) for n in function(lhs, rhs))


def known_lanes(mask: SSAValue) -> int | None:
    """How many of the first lanes `mask` sets, where that is known."""
    return lanes_of(mask.type) if is_full(mask) else live_lanes(mask)


def is_full(mask: SSAValue) -> bool:
    """Whether `mask` is a constant that sets all lanes."""
    return constant_of(mask) in (1, -1)


def lane_bits(value: SSAValue) -> int:
    """The width of a lane of `value`."""
    assert isinstance(value.type, VectorType)
    return getattr(value.type.element_type, "bitwidth", 0)


def place_of(index: SSAValue) -> tuple[SSAValue | None, int]:
    """`index` as (value, constant) whose sum it is."""
    constant = constant_of(index)
    if constant is not None:
        return None, constant
    if isinstance(index.owner, arith.AddiOp):
        constant = constant_of(index.owner.rhs)
        if constant is not None:
            return index.owner.lhs, constant
    return index, 0


def moved(index: SSAValue, distance: int, made: list[Operation]) -> SSAValue:
    """`index` + `distance`; the ops that compute it go to the end of `made`."""
    if not distance:
        return index
    constant = arith.ConstantOp(IntegerAttr(distance, IndexType()))
    place = arith.AddiOp(index, constant.result)
    made += [constant, place]
    return place.result


def blocks_in(block: Block) -> Iterator[Block]:
    """The blocks of all regions in `block`, inner ones first, and itself."""
    for op in list(block.ops):
        for region in op.regions:
            for inner in region.blocks:
                yield from blocks_in(inner)
    yield block
