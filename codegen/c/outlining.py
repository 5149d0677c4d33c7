"""Which helper functions are called, where all others are inlined.

From so many calls in one block on, gcc 12 keeps the constants of inlined functions in registers
that the accumulators of a tile then lack: linear layers with gelu ran at half of their speed, those
that round what they store to bf16 at a third. It also looks which registers a called function
leaves alone (`-fipa-ra`), and keeps constants around the calls there: opaque functions hide it.

Sums that wait for such calls are stored first. gcc gives a sum one place for all of its life, and
where the loop that adds it up is short against the calls after it, that place is memory, in the
loop too: the 27 sums of a layer of 16 channels with silu were loaded and stored for every FMA.

before: for (k...) { sum = fmadd(..., sum); ... }    store(f(add(sum, bias))); ...
after:  for (k...) { sum = fmadd(..., sum); ... }
        const volatile __m512 v = sum; ...           store(f(add(v, bias))); ...
"""

from __future__ import annotations

from xdsl.dialects import arith
from xdsl.ir import Operation

from ...dialects.functions import is_function
from .prelude import Prelude

MANY = 8
CALLED, INLINED = "static __attribute__((noinline)) ", "static inline "
_OPAQUE = """\
#if defined(__GNUC__) && __GNUC__ >= 8 && !defined(__clang__)
#define TC_OPAQUE __attribute__((noipa))
#else
#define TC_OPAQUE __attribute__((noinline))
#endif
"""


def opaque(prelude: Prelude) -> str:
    """The head of a function that is called and of which callers know nothing."""
    return f"static {prelude.define('TC_OPAQUE', lambda: _OPAQUE)} "


def is_outlined(op: Operation) -> bool:
    """Whether the block of `op` has so many operations of its kind that they are calls."""
    block = op.parent
    return block is not None and sum(type(other) is type(op) for other in block.ops) >= MANY


def are_calls_after(op: Operation) -> bool:
    """Whether functions are called in the block of `op` after it."""
    after = op.next_op
    while after is not None:
        if (is_function(after) or isinstance(after, arith.TruncFOp)) and is_outlined(after):
            return True
        after = after.next_op
    return False
