"""Cut layers along their outputs, so that streamed weights are in memory piece by piece.

before: %1 = graph.linear %x, %w, %b
after:  %1a = graph.linear %x, %w0, %b0 ; %1b = graph.linear %x, %w1, %b1 ; %1 = graph.cat %1a, %1b
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.dialects.builtin import TensorType
from xdsl.dialects.func import FuncOp
from xdsl.ir import SSAValue
from xdsl.rewriter import Rewriter

from ...dialects.graph import CatOp, ConvOp, GraphOp, LinearOp, WeightOp, element_of, shape_of
from ...dialects.weights import WeightStore
from .canonicalize import drop_unused_ops
from .patches.steps import bytes_of
from .replacement import copy_location

MOST_PIECES = 16  # of one layer: each is a kernel that reads all of the layer's input
LEAST_PIECE = 1024  # bytes; a launch costs as much as reading them

Layer = LinearOp | ConvOp


@dataclass(frozen=True)
class CutWeights:
    """A layer whose weights of so many bytes are read in pieces."""

    op: Layer
    bytes: int
    pieces: int


def cut_weights(main: FuncOp, weights: WeightStore, most: int) -> list[CutWeights]:
    """Cut, in place, each layer that has more than `most` bytes of weights; pieces have no more
    unless that takes too many. The pieces of each such layer."""
    block, found = main.body.block, []
    for op in list(block.ops):
        if not isinstance(op, Layer) or not is_cuttable(op, weights):
            continue
        size, outputs = bytes_of(op.weight), shape_of(op.weight)[0]
        count = min(-(-size // max(most, LEAST_PIECE)), MOST_PIECES, outputs)
        if count > 1:
            step = -(-outputs // count)
            found.append(CutWeights(op, size, -(-outputs // step)))
            join_pieces(op, weights, step)
    drop_unused_ops(block)
    return found


def is_cuttable(op: Layer, weights: WeightStore) -> bool:
    """Whether all outputs read the same input, by weights that are stored."""
    is_grouped = isinstance(op, ConvOp) and op.groups.data > 1
    return not is_grouped and all(symbol_of(value) in weights for value in op.operands[1:])


def join_pieces(op: Layer, weights: WeightStore, step: int) -> None:
    """Put `op` for `step` outputs at a time, joined, in its place."""
    dim = 1 if isinstance(op, ConvOp) else len(shape_of(op.result)) - 1
    new: list[GraphOp] = []
    parts: list[SSAValue] = []
    outputs = shape_of(op.weight)[0]
    for low in range(0, outputs, step):
        high = min(low + step, outputs)
        rows: list[SSAValue] = []
        for value in op.operands[1:]:
            symbol = symbol_of(value)
            assert symbol is not None
            piece = weights.add(f"{symbol}_{low}", weights[symbol][low:high])
            type = TensorType(element_of(value), [high - low, *shape_of(value)[1:]])
            new.append(WeightOp(piece, type))
            rows.append(new[-1].result)
        shape = list(shape_of(op.result))
        shape[dim] = high - low
        part = op.__class__.create(
            operands=[op.source, *rows],
            result_types=[TensorType(element_of(op.result), shape)],
            properties=dict(op.properties),
        )
        copy_location(op, part)
        new.append(part)
        parts.append(part.result)
    new.append(CatOp(parts, dim, op.result.type))
    Rewriter.replace_op(op, new)


def symbol_of(value: SSAValue) -> str | None:
    """The symbol of a weight; None for anything else."""
    owner = value.owner
    return owner.symbol.root_reference.data if isinstance(owner, WeightOp) else None
