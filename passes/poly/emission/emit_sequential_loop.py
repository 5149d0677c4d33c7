"""A sequential loop: one `scf.for`, or several where some iterations need no bounds and guards.

before: for j = a .. b: { if full(j): the tile as a box, else: the tile with bounds }
after:  for j = a .. s - 1: the tile with bounds
        for j = s .. e:     the tile as a box
        for j = e + 1 .. b: the tile with bounds
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xdsl.dialects import scf
from xdsl.dialects.builtin import IndexType
from xdsl.ir import Block, Region

from ....dialects.schedule import Band
from .full_tiles import plan_full_tiles
from .index_expr import IndexBuilder
from .linear import Atom, Linear
from .loop_ast import AstNode, Loop, Mark, Sequence, User
from .peeling import last_is_peeled
from .tile_planner import FullTile

if TYPE_CHECKING:
    from .emit_loops import LoopEmitter


def emit_sequential_loop(
    emitter: LoopEmitter, node: Loop, band: Band | None, first: Linear, last: Linear
) -> None:
    """Append the iterations `first` to `last` of `node`, in order."""
    tile = _full_iterations(emitter, node, first, last)
    if tile is not None:
        _emit_in_three(emitter, node, band, first, last, tile)
        return
    if first.is_constant and last.is_constant:
        final = first.constant + (last.constant - first.constant) // node.step * node.step
        if last_is_peeled(emitter, node, first.constant, last.constant):
            _emit_for(emitter, node, band, first, Linear(final - node.step))
            emitter.at(node, Linear(final), band)
            return
    elif first.is_constant and node.step == 1 and band is not None:
        greatest = emitter.greatest(band)
        final = last.high if greatest is None else min(last.high, greatest)
        if greatest is not None and last_is_peeled(emitter, node, first.constant, final):
            _emit_for_and_last(emitter, node, band, first, last, final)
            return
    _emit_for(emitter, node, band, first, last)


def _emit_for(
    emitter: LoopEmitter, node: Loop, band: Band | None, first: Linear, last: Linear
) -> None:
    step = node.step
    if first.is_constant and last.is_constant and last.constant - first.constant < step:
        if first.constant <= last.constant:
            emitter.at(node, first, band)
        return
    bounds = emitter.loop_operands(first, last, step)
    block = loop_block(band, node)
    emitter.block.add_op(scf.ForOp(*bounds, [], Region(block)))
    atom = Atom(node.iterator, first.low, last.high, block.args[0])
    emitter.inside(block, lambda: emitter.at(node, Linear(0, ((atom, 1),)), band))
    block.add_op(scf.YieldOp())


def _emit_for_and_last(
    emitter: LoopEmitter, node: Loop, band: Band, first: Linear, last: Linear, final: int
) -> None:
    """The iterations before `final`, and that one where it is reached."""
    end = emitter.index().extremum([last, Linear(final - 1)], largest=False)
    _emit_for(emitter, node, band, first, end)
    emitter.branch_if_positive(
        last - Linear(final - 1), lambda: emitter.at(node, Linear(final), band)
    )


def _full_iterations(
    emitter: LoopEmitter, node: Loop, first: Linear, last: Linear
) -> FullTile | None:
    """What is known in iterations whose unrolled loops are boxes, where only a range of them is
    full; None where there is no such range, or a condition in each iteration is cheap enough."""
    if emitter.in_tile or emitter.lanes or node.step != 1 or not _only_unrolls(emitter, node.body):
        return None
    atom = Atom(node.iterator, first.low, last.high)
    env = {**emitter.env, node.iterator: Linear(0, ((atom, 1),))}
    ways = plan_full_tiles(node.body, IndexBuilder(None, env), divisions=True)
    if len(ways) != 1 or not any(a is atom for c in ways[0].conditions for a, _ in c.terms):
        return None
    return ways[0]


def _only_unrolls(emitter: LoopEmitter, node: AstNode) -> bool:
    """Whether every loop in `node` is unrolled."""
    match node:
        case Mark(axis, Loop() as loop):
            return emitter.bands[axis].kind == "unroll" and _only_unrolls(emitter, loop.body)
        case Sequence(children):
            return all(_only_unrolls(emitter, child) for child in children)
        case User():
            return True
        case _:
            return False


def _emit_in_three(
    emitter: LoopEmitter,
    node: Loop,
    band: Band | None,
    first: Linear,
    last: Linear,
    tile: FullTile,
) -> None:
    """The iterations before the full ones, these, and the ones after them."""
    index = emitter.index()
    starts, ends, outside = [first], [last], []
    for condition in tile.conditions:
        factor = sum(c for a, c in condition.terms if a.name == node.iterator)
        rest = Linear(
            condition.constant, tuple(t for t in condition.terms if t[0].name != node.iterator)
        )
        if factor > 0:
            starts.append(index.divide(rest.times(-1) + Linear(factor - 1), factor))
        elif factor < 0:
            ends.append(index.divide(rest, -factor))
        else:
            outside.append(rest)
    start = index.extremum(starts, largest=True)
    if outside:  # no iteration is full where one of these is negative
        start = index.choose(index.all_non_negative(outside), start, last + Linear(1))
    end = index.extremum(ends, largest=False)
    before = index.extremum([start - Linear(1), last], largest=False)
    after = index.extremum([start, end + Linear(1)], largest=True)
    emitter.knowing(None, lambda: _emit_for(emitter, node, band, first, before))
    emitter.knowing(tile, lambda: _emit_for(emitter, node, band, start, end))
    emitter.knowing(None, lambda: _emit_for(emitter, node, band, after, last))


def loop_block(band: Band | None, node: Loop) -> Block:
    """The body of a loop, its variable named after the band."""
    block = Block(arg_types=[IndexType()])
    name = band.axis.replace(".", "_") if band is not None else node.iterator
    block.args[0].name_hint = name
    return block
