"""Which loops are sums whose step is so short that counting costs a visible part of it.

before: for (k = 0; k < 768; ++k) { twelve FMAs }
after:  #pragma GCC unroll 4
        for (k = 0; k < 768; ++k) { twelve FMAs }
"""

from __future__ import annotations

from xdsl.dialects import scf, vector
from xdsl.dialects.builtin import VectorType

from ...costmodel.hardware import Machine

STEPS = 4  # per iteration after unrolling
FEW_REGISTERS = 16  # tiles that fill more are so large that three instructions more do not count
PRAGMA = (
    "#if defined(__GNUC__) && !defined(__clang__)",
    f"#pragma GCC unroll {STEPS}",
    "#endif",
)


def has_short_steps(loop: scf.ForOp, machine: Machine) -> bool:
    """Whether `loop` does nothing but multiply vectors and add them to several sums in registers.

    With 16 registers, 12 FMAs of a step take 6 cycles, 23 instructions 4 cycles of a core that is
    alone and 8 of one that two threads share: the three that count are 13% of these.
    """
    if machine.isa == "scalar" or machine.vector_registers > FEW_REGISTERS:
        return False
    sums = loop.body.block.args[1:]
    if len(sums) < 2 or not all(isinstance(s.type, VectorType) for s in sums):
        return False
    updates = [op for op in loop.body.block.ops if isinstance(op, vector.FMAOp)]
    return len(updates) == len(sums) and not any(op.regions for op in loop.body.block.ops)
