"""Which loops are sums whose step is so short that counting costs a visible part of it.

before: for (k = 0; k < 768; ++k) { twelve FMAs }
after:  #pragma GCC unroll 4
        for (k = 0; k < 768; ++k) { twelve FMAs }

A few iterations become straight-line code, unless the loop around them reads an element again in a
later iteration, as a window does that moves on by a column: gcc would keep such elements in
registers that the sums need (a stem of 3 channels and 7 x 7 windows took 2.4 times as long).
"""

from __future__ import annotations

from xdsl.dialects import memref, scf, vector
from xdsl.dialects.builtin import VectorType
from xdsl.ir import OpResult, SSAValue

from ...costmodel.hardware import Machine
from ...dialects.constants import integer_of

STEPS = 4  # per iteration after unrolling
FEW_STEPS = 8  # of a whole loop


def unroll_pragma(loop: scf.ForOp, machine: Machine) -> tuple[str, ...]:
    """The lines before `loop` that say how often gcc unrolls it; none where it decides itself."""
    if not has_short_steps(loop, machine):
        return ()
    first, end = integer_of(loop.lb), integer_of(loop.ub)
    steps = STEPS
    if first is not None and end is not None and end - first <= FEW_STEPS:
        trips = end - first
        steps = trips if not reads_again(loop) else STEPS if trips >= 2 * STEPS else 1
    return (
        "#if defined(__GNUC__) && __GNUC__ >= 8 && !defined(__clang__)",
        f"#pragma GCC unroll {steps}",
        "#endif",
    )


def has_short_steps(loop: scf.ForOp, machine: Machine) -> bool:
    """Whether `loop` does nothing but multiply vectors and add them to several sums in registers.

    With 16 registers, 12 FMAs of a step take 6 cycles, 23 instructions 4 cycles of a core that is
    alone and 8 of one that two threads share: the three that count are 13% of these.
    """
    if machine.isa == "scalar" or not machine.has_few_registers:
        return False
    sums = loop.body.block.args[1:]
    if len(sums) < 2 or not all(isinstance(s.type, VectorType) for s in sums):
        return False
    updates = [op for op in loop.body.block.ops if isinstance(op, vector.FMAOp)]
    return len(updates) == len(sums) and not any(op.regions for op in loop.body.block.ops)


def reads_again(loop: scf.ForOp) -> bool:
    """Whether the loop around `loop` may read an element in several iterations: along an array dim
    that it moves, elements at different indices are read in one."""
    around = loop.parent_op()
    if not isinstance(around, scf.ForOp):
        return False
    counter = around.body.block.args[0]
    moving: dict[tuple[SSAValue, int], SSAValue] = {}
    for op in loop.body.block.ops:
        if isinstance(op, memref.LoadOp):
            for dim, index in enumerate(op.indices):
                if depends_on(index, counter):
                    before = moving.setdefault((op.memref, dim), index)
                    if before is not index:
                        return True
    return False


def depends_on(value: SSAValue, counter: SSAValue) -> bool:
    """Whether `value` is computed from `counter`."""
    if not isinstance(value, OpResult):
        return value is counter
    return any(depends_on(operand, counter) for operand in value.op.operands)
