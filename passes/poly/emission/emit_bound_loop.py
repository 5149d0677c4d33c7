"""A loop bound to blocks or threads of a GPU: an `scf.parallel` that names its unit.

    scf.parallel (%i) = (%c0) to (%n) step (%c1) {tilecast.unit = "thread.x", tilecast.extent = 128}

`tilecast.extent` is the greatest trip count: what a launch must provide. Iterations from the upper
bound on do nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xdsl.dialects import scf
from xdsl.dialects.builtin import IntAttr, StringAttr
from xdsl.ir import Region

from ....dialects.errors import LoweringError
from ....dialects.schedule import Band
from .emit_sequential_loop import loop_block
from .linear import Atom, Linear
from .loop_ast import Loop

if TYPE_CHECKING:
    from .emit_loops import LoopEmitter

UNITS = ("block.x", "block.y", "thread.x", "thread.y")
UNIT = "tilecast.unit"
EXTENT = "tilecast.extent"


def emit_bound_loop(
    emitter: LoopEmitter, node: Loop, band: Band, first: Linear, last: Linear
) -> None:
    """Append the iterations `first` to `last` of `node`, one per block or thread."""
    if node.step != 1:
        raise LoweringError(f"loop {band.axis!r} is bound to {band.kind}: expected a step of 1")
    bounds = emitter.loop_operands(first, last, 1)
    block = loop_block(band, node)
    op = scf.ParallelOp([bounds[0]], [bounds[1]], [bounds[2]], Region(block))
    op.attributes[UNIT] = StringAttr(band.kind)
    op.attributes[EXTENT] = IntAttr((last - first).high + 1)
    emitter.block.add_op(op)
    atom = Atom(node.iterator, first.low, last.high, block.args[0])

    def body() -> None:
        # Partial tiles are threads without work: no second copy of the body for them.
        emitter.knowing(None, lambda: emitter.at(node, Linear(0, ((atom, 1),)), band))

    emitter.inside(block, body)
    block.add_op(scf.ReduceOp())
