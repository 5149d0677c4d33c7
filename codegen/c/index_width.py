"""The C type of indices in a kernel: 64 bits wide, or 32 for microcontrollers.

A 32-bit CPU multiplies and adds 64-bit numbers in several instructions. Plain C for one (c99) has
32-bit indices in kernels whose arrays are small and whose indices are not read from memory.
"""

from __future__ import annotations

from math import prod

from xdsl.dialects import arith
from xdsl.dialects.builtin import IndexType, MemRefType
from xdsl.dialects.func import FuncOp
from xdsl.ir import SSAValue

from ...costmodel.hardware import Machine

# Index arithmetic may leave the array by a few strides before it is divided or subtracted from.
MOST_ELEMENTS = 1 << 28


def index_type(func: FuncOp, machine: Machine) -> str:
    """int32_t where every index of `func` is known to fit, else int64_t."""
    if machine.name != "c99":
        return "int64_t"
    values = [*func.body.block.args, *(result for op in func.walk() for result in op.results)]
    is_small = all(_is_small(value) for value in values)
    reads_indices = any(isinstance(op, arith.IndexCastOp) for op in func.walk())
    takes_sizes = any(isinstance(argument.type, IndexType) for argument in func.body.block.args)
    return "int64_t" if reads_indices or takes_sizes or not is_small else "int32_t"


def _is_small(value: SSAValue) -> bool:
    """Whether `value` is no array, or one of few enough elements."""
    if not isinstance(value.type, MemRefType):
        return True
    shape = value.type.get_shape()
    return min(shape, default=0) >= 0 and prod(shape) <= MOST_ELEMENTS
