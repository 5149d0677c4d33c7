"""Constants and vectors that are used after the sums of every tile: read from memory there.

before: for (...) {
            v = ...; twelve sums
            for (k...) { twelve FMAs }
            store(min(set1(6.0f), add(v, loadu(&bias[j])))); ...
        }
after:      ...
            const __m256 c = set1(tc_f32_40c00000);
            const __m256 b = *(const volatile tc_late_f32x8 *)&bias[j];
            store(min(c, add(v, b))); ...

gcc and clang move what is the same for all tiles out of the loop around the sums, into registers
that the sums then lack: with 16 registers, 12 sums, two weights and an activation leave one. A
linear layer with hardswish ran at 62% of the speed that it has with relu, one with gelu at 60%,
some with a bias at 73%. No compiler moves a read of what is volatile. Of 32 registers, 28 sums, two
weights and an activation leave one, too: MobileNetV2's clamped layers kept up to ten sums on the
stack.
"""

from __future__ import annotations

import numpy as np
from xdsl.dialects import scf, vector
from xdsl.dialects.builtin import VectorType
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation

from ...costmodel.hardware import Machine
from .c_types import BYTES, C_TYPES, float_literal
from .expression import Expr, cast
from .prelude import Prelude
from .short_steps import depends_on, has_short_steps
from .vector_types import VectorShape

BESIDE = 5  # registers beside the sums of a tile: three weights, an activation, and one more
_BITS = {"f32": (np.float32, np.uint32, 8), "f64": (np.float64, np.uint64, 16)}


def late_constant(
    prelude: Prelude, op: Operation, number: float, shape: VectorShape
) -> Expr | None:
    """The name of `number` in memory, where `op` makes a vector of it after sums; else None."""
    element = shape.element
    if not shape.is_native or element not in _BITS or not follows_sums(op, prelude.machine):
        return None
    floating, unsigned, digits = _BITS[element]
    bits = int(np.array(number, floating).view(unsigned))
    name = f"tc_{element}_{bits:0{digits}x}"
    text = f"{C_TYPES[element]} {name} = {float_literal(number, element).text};\n"
    return Expr(prelude.define(name, lambda: f"static const volatile {text}"))


def late_load(prelude: Prelude, op: vector.LoadOp, shape: VectorShape, at: Expr) -> Expr | None:
    """The vector at the address `at` where `op` loads it after sums, the same in every iteration
    of the loop around them; else None."""
    around = op.parent_op()
    if not shape.is_native or shape.element not in _BITS or not isinstance(around, scf.ForOp):
        return None
    counter = around.body.block.args[0]
    if not follows_sums(op, prelude.machine) or any(depends_on(i, counter) for i in op.indices):
        return None
    name, lane_bytes = f"tc_late_{shape.name}", BYTES[shape.element]
    text = f"typedef {shape.c_type} {name} __attribute__((aligned({lane_bytes})));\n"
    pointer = cast(f"const volatile {prelude.define(name, lambda: text)} *", at)
    return Expr(f"*{pointer.text}", 8, reads=True)


def follows_sums(op: Operation, machine: Machine) -> bool:
    """Whether the last loop before `op` in its block, the body of another one, holds sums."""
    if isinstance(op.parent_op(), FuncOp):
        return False
    before = op.prev_op
    while before is not None and not isinstance(before, scf.ForOp):
        before = before.prev_op
    return before is not None and holds_sums(before, machine)


def holds_sums(loop: scf.ForOp, machine: Machine) -> bool:
    """Whether `loop`, or one that continues its carried values, adds up sums in registers."""
    if not loop.iter_args:
        return False
    inner = (op for op in loop.body.block.ops if isinstance(op, scf.ForOp))
    fills = has_short_steps(loop, machine) or fills_registers(loop, machine)
    return fills or any(holds_sums(op, machine) for op in inner)


def fills_registers(loop: scf.ForOp, machine: Machine) -> bool:
    """Whether the vectors that `loop` carries leave few registers of many: those that its weights
    and activations need."""
    carried = sum(isinstance(v.type, VectorType) for v in loop.iter_args)
    return not machine.has_few_registers and carried >= machine.vector_registers - BESIDE
