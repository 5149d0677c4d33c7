"""Ops after a norm of groups of channels work on the groups, so that they can share its kernel.

before: %1 = graph.norm (graph.reshape %x : NxCxHxW -> NxGxL); %2 = graph.reshape %1 -> NxCxHxW;
        %3 = graph.pointwise "mul" %2, %weight (Cx1x1)
after:  %1 = graph.norm {rank 2} (graph.reshape %x -> NxGxCxL);
        %2 = graph.pointwise "mul" %1, (graph.reshape %weight -> GxCx1); %3 = graph.reshape %2

Here C on the right is the channels of one group. Groups that are too few for a kernel of rows
(`fusion_rules.py`) stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Block, Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from ...dialects.graph import (
    CastOp,
    GraphOp,
    NormOp,
    PointwiseOp,
    ReshapeOp,
    element_of,
    shape_of,
    tensor_of,
)
from .canonicalize import drop_unused_ops
from .fusion_rules import worth_sharing
from .replacement import copy_location

Shape = tuple[int, ...]


@dataclass(frozen=True)
class SplitNormGroupsPass(ModulePass):
    """Let group norms, their scales and activations run over the same rows."""

    name = "split-norm-groups"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for function in op.body.block.ops:
            for region in function.regions:
                for block in region.blocks:
                    _Groups(block).run()


@dataclass(frozen=True)
class _Split:
    """`value` holds a tensor of `shape` (N, channels, ...) as N x G x channels x rest."""

    value: SSAValue
    shape: Shape


@dataclass
class _Groups:
    block: Block
    known: dict[SSAValue, _Split] = field(default_factory=dict)

    def run(self) -> None:
        """Split what can be, producers first."""
        for op in list(self.block.ops):
            if isinstance(op, NormOp):
                self.split_norm(op)
            elif isinstance(op, PointwiseOp | CastOp):
                self.split_elementwise(op)
        if self.known:
            drop_unused_ops(self.block)

    def split_norm(self, op: NormOp) -> None:
        """A norm of the rows of a reshaped tensor that is reshaped back."""
        source, backs = op.source.owner, [use.operation for use in op.result.uses]
        if not isinstance(source, ReshapeOp) or op.weight is not None or op.bias is not None:
            return
        shape = shape_of(source.source)
        split = groups_of(shape, shape_of(op.source)) if op.rank.data == 1 else None
        is_back = all(isinstance(b, ReshapeOp) and shape_of(b.result) == shape for b in backs)
        if split is None or not is_back or not worth_sharing(split, split[:2]):
            return
        parts = self.reshaped(source.source, split, op)
        norm = NormOp(op.kind.data, parts, None, None, 2, op.eps.value.data)
        self.put(norm, op)
        for back in backs:
            self.replace(back, norm.result, shape)

    def split_elementwise(self, op: PointwiseOp | CastOp) -> None:
        """An op over a tensor of which a part is split already."""
        shape = shape_of(op.result)
        found = [self.known[v] for v in op.operands if v in self.known]
        if not found or found[0].shape != shape:
            return
        split = shape_of(found[0].value)
        shapes = [operand_shape(shape_of(v), shape, split) for v in op.operands]
        operands = []
        for value, small in zip(op.operands, shapes, strict=True):
            if small is None:
                return
            parts = self.known[value].value if value in self.known else value
            operands.append(self.reshaped(parts, small, op))
        type = tensor_of(element_of(op.result), split)
        if isinstance(op, CastOp):
            new: GraphOp = CastOp(operands[0], type)
        else:
            new = PointwiseOp(op.fn.data, operands, type)
        self.put(new, op)
        self.replace(op, new.result, shape)

    def reshaped(self, value: SSAValue, shape: Shape, before: Operation) -> SSAValue:
        """`value` in another shape."""
        if shape_of(value) == shape:
            return value
        return self.put(ReshapeOp(value, tensor_of(element_of(value), shape)), before)

    def put(self, op: GraphOp, before: Operation) -> SSAValue:
        """Insert `op`, which comes from the same source line."""
        copy_location(before, op)
        Rewriter.insert_op(op, InsertPoint.before(before))
        return op.result

    def replace(self, op: Operation, value: SSAValue, shape: Shape) -> None:
        """`op` has computed what `value` holds split."""
        back = self.put(ReshapeOp(value, tensor_of(element_of(value), shape)), op)
        op.results[0].replace_all_uses_with(back)
        self.known[back] = _Split(value, shape)


def groups_of(shape: Shape, rows: Sequence[int]) -> Shape | None:
    """N x G x (channels of a group) x rest where `rows` is N x G x L of N x channels x ...; None
    where it is something else."""
    if len(shape) < 3 or len(rows) != 3 or shape[0] != rows[0] or shape[1] % rows[1]:
        return None
    channels, rest = shape[1] // rows[1], prod(shape[2:])
    return (rows[0], rows[1], channels, rest) if channels * rest == rows[2] else None


def operand_shape(operand: Shape, result: Shape, split: Shape) -> Shape | None:
    """The shape in which `operand`, which broadcasts to `result`, broadcasts to `split`; None
    where it differs within the rest, but not everywhere."""
    wide = (1,) * (len(result) - len(operand)) + operand
    rest = wide[2:]
    if any(n != 1 for n in rest) and rest != result[2:]:
        return None
    if wide == (1,) * len(wide):
        return ()
    channels = split[1:3] if wide[1] != 1 else (1, 1)
    return (wide[0], *channels, prod(rest))
