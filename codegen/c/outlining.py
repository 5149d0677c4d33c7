"""Which helper functions are called, where all others are inlined.

From so many calls in one block on, gcc 12 keeps the constants of inlined functions in registers
that the accumulators of a tile then lack: linear layers with gelu ran at half of their speed, those
that round what they store to bf16 at a third.
"""

from __future__ import annotations

from xdsl.ir import Operation

MANY = 8
CALLED, INLINED = "static __attribute__((noinline)) ", "static inline "


def is_outlined(op: Operation) -> bool:
    """Whether the block of `op` has so many operations of its kind that they are calls."""
    block = op.parent
    return block is not None and sum(type(other) is type(op) for other in block.ops) >= MANY
