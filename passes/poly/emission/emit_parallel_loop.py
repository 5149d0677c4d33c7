"""A parallel loop: one `scf.parallel`, the last iteration told apart where that saves bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xdsl.dialects import scf
from xdsl.dialects.builtin import StringAttr
from xdsl.ir import Region

from ....dialects.schedule import Band
from .emit_sequential_loop import loop_block
from .iteration_lengths import length_changes
from .linear import Atom, Linear
from .loop_ast import Loop
from .peeling import last_is_peeled

if TYPE_CHECKING:
    from .emit_loops import LoopEmitter


def emit_parallel_loop(
    emitter: LoopEmitter, node: Loop, band: Band, first: Linear, last: Linear
) -> None:
    """Append the iterations `first` to `last` of `node`, shared by threads."""
    step = node.step
    bounds = emitter.loop_operands(first, last, step)
    block = loop_block(band, node)
    op = scf.ParallelOp([bounds[0]], [bounds[1]], [bounds[2]], Region(block))
    emitter.block.add_op(op)
    iv = block.args[0]
    here = Linear(0, ((Atom(node.iterator, first.low, last.high, iv), 1),))
    changes = set(length_changes(node.body, node.iterator, {**emitter.env, node.iterator: here}))
    if changes:
        longest_last = 1 in changes and -1 not in changes
        op.attributes["tilecast.schedule"] = StringAttr("descending" if longest_last else "dynamic")
    constant = first.is_constant and last.is_constant
    peeled = constant and last_is_peeled(emitter, node, first.constant, last.constant)

    def at(low: int, high: int) -> None:
        atom = Atom(node.iterator, low, high, iv)
        emitter.at(node, Linear(0, ((atom, 1),)), band)

    def body() -> None:
        if not peeled:
            at(first.low, last.high)
            return
        final = first.constant + (last.constant - first.constant) // step * step
        emitter.branch(
            emitter.index().less_than(here, Linear(final)),
            lambda: at(first.constant, final - step),
            lambda: emitter.at(node, Linear(final), band),
        )

    emitter.inside(block, body)
    block.add_op(scf.ReduceOp())
