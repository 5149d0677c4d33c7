"""Which helper functions are called, where all others are inlined.

From so many calls in one block on, gcc 12 keeps the constants of inlined functions in registers
that the accumulators of a tile then lack: linear layers with gelu ran at half of their speed, those
that round what they store to bf16 at a third. It also looks which registers a called function
leaves alone (`-fipa-ra`), and keeps constants around the calls there: opaque functions hide it.
"""

from __future__ import annotations

from xdsl.ir import Operation

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
