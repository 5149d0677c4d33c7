"""Evaluate what depends on weights and constants only, and store it as a weight.

before: %s = graph.pointwise "rsqrt" (graph.weight @var)
after:  %s = graph.weight @var_folded

Data must not grow: a result stays an op where it is larger than 64 KiB and than twice its weights,
and a view that repeats elements stays a view of its folded source. Attention masks that turn out
to keep everything, or a triangle, are dropped for the attribute `causal`. Weights nobody reads any
more stay in the store, for whoever still holds the IR before this pass.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, TensorType, i1
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass

from ...dialects.graph import (
    AttentionOp,
    FullOp,
    GraphOp,
    IotaOp,
    ReshapeOp,
    SizeOp,
    ViewOp,
    WeightOp,
    element_of,
    is_dynamic,
    shape_of,
    tensor_of,
)
from ...dialects.reference.graph import Evaluator
from ..context import CompileContext
from .canonicalize import drop_unused_ops
from .replacement import copy_location, type_of

ALWAYS_SMALL = 64 * 1024
LARGEST_MASK = 1 << 26
SOURCES = (WeightOp, FullOp, IotaOp)


@dataclass(frozen=True)
class FoldConstantsPass(ModulePass):
    """Fold the constant ops that other ops read, largest groups first."""

    name = "fold-constants"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        assert isinstance(ctx, CompileContext)
        for function in op.body.block.ops:
            if isinstance(function, FuncOp) and function.body.blocks:
                _Folder(ctx).fold(function)


class _Folder:
    """Finds the constant ops of one function and evaluates each at most once."""

    def __init__(self, ctx: CompileContext) -> None:
        self.weights = ctx.weights
        self.evaluator = Evaluator(ctx.weights, None)
        self.results: dict[Operation, npt.NDArray[Any]] = {}

    def fold(self, function: FuncOp) -> None:
        block = function.body.block
        constants: set[Operation] = set()
        for op in block.ops:
            if isinstance(op, WeightOp) and op.symbol.root_reference.data not in self.weights:
                continue  # IR read from text has no data
            if isinstance(op, SizeOp) or (isinstance(op, GraphOp) and is_dynamic(op.result.type)):
                continue  # there is no one value
            if isinstance(op, GraphOp) and all(v.owner in constants for v in op.operands):
                constants.add(op)
        for op in list(block.ops):
            if isinstance(op, AttentionOp) and op.mask is not None and op.mask.owner in constants:
                self._fold_mask(op, op.mask)
        for op in list(block.ops):
            read = any(use.operation not in constants for r in op.results for use in r.uses)
            if op in constants and read:
                self._materialize(op)
        drop_unused_ops(block)

    def _fold_mask(self, op: AttentionOp, mask: SSAValue) -> None:
        """A mask that keeps everything goes away; one that keeps a triangle becomes `causal`."""
        if element_of(mask) != i1 or math.prod(shape_of(mask)) > LARGEST_MASK:
            return
        assert isinstance(mask.owner, Operation)
        kept = self._value(mask.owner)
        triangle = bool((kept == (np.tri(*kept.shape[-2:]) != 0)).all())
        if not kept.all() and not triangle:
            return
        causal = triangle or bool(op.causal.value.data)
        type, scale = type_of(op), op.scale.value.data
        new = AttentionOp(op.query, op.key, op.value, None, scale, causal, type)  # hides no row
        new.attributes.update(op.attributes)
        block = op.parent_block()
        assert block is not None
        block.insert_op_before(new, op)
        op.result.replace_all_uses_with(new.result)

    def _materialize(self, op: Operation) -> None:
        """Replace `op` by its value, or where that would be too large, its operands by theirs."""
        if isinstance(op, SOURCES):
            return
        assert isinstance(op, GraphOp)
        if self._grows(op):
            for operand in op.operands:
                assert isinstance(operand.owner, Operation)
                self._materialize(operand.owner)
            return
        stored = self._stored(op)
        block = op.parent_block()
        assert block is not None
        for new in stored:
            copy_location(op, new)
        block.insert_ops_before(stored, op)
        op.result.replace_all_uses_with(stored[-1].result)

    def _grows(self, op: GraphOp) -> bool:
        size = _bytes(op)
        if isinstance(op, ViewOp) and size > sum(_bytes(v.owner) for v in op.operands):
            return True
        behind = {source for source in _cone(op) if isinstance(source, WeightOp)}
        return size > max(ALWAYS_SMALL, 2 * sum(_bytes(source) for source in behind))

    def _stored(self, op: GraphOp) -> list[GraphOp]:
        """The ops that give the value of `op`: one number, numbers in equal steps, or a weight."""
        assert isinstance(op.result.type, TensorType)
        with np.errstate(all="ignore"):
            array = np.ascontiguousarray(self._value(op)).reshape(shape_of(op.result))
        flat = array.reshape(-1)
        if (
            flat.size
            and (flat.view(f"V{flat.itemsize}") == flat.view(f"V{flat.itemsize}")[0]).all()
        ):
            return [FullOp(flat[0].item(), op.result.type)]
        if is_progression(flat) and max(array.shape) == flat.size:
            row = tensor_of(op.result.type.element_type, flat.shape)
            iota = IotaOp(int(flat[0]), int(flat[1]) - int(flat[0]), row)
            return [iota, ReshapeOp(iota.result, op.result.type)] if array.ndim > 1 else [iota]
        names = [s.symbol.root_reference.data for s in _cone(op) if isinstance(s, WeightOp)]
        symbol = f"{names[0]}_folded" if names else "constant"
        return [WeightOp(self.weights.add(symbol, array), op.result.type)]

    def _value(self, op: Operation) -> npt.NDArray[Any]:
        if op not in self.results:
            operands = []
            for operand in op.operands:
                assert isinstance(operand.owner, Operation)
                operands.append(self._value(operand.owner))
            (self.results[op],) = self.evaluator.run(op, operands)
        return self.results[op]


def is_progression(numbers: npt.NDArray[Any]) -> bool:
    """Whether these are signed integers in equal steps."""
    if numbers.dtype.kind != "i" or numbers.size < 2:
        return False
    count, step = numbers.size, int(numbers[1]) - int(numbers[0])
    last = int(numbers[0]) + (count - 1) * step
    steps = np.diff(numbers)  # wraps around where the last number does not agree
    return int(numbers[-1]) == last and bool((steps == step).all())


def _cone(op: Operation) -> list[Operation]:
    """`op` and everything it is computed from, each once, in a fixed order."""
    found: dict[Operation, None] = {}
    pending = [op]
    while pending:
        current = pending.pop()
        if current in found:
            continue
        found[current] = None
        pending += [v.owner for v in current.operands if isinstance(v.owner, Operation)]
    return list(found)


def _bytes(op: Any) -> int:
    """Size of the result; a constant counts as its one number."""
    if isinstance(op, FullOp):
        return 8
    assert isinstance(op, GraphOp)
    dtype = Evaluator({}, None).dtype_of(op.result.type)
    return int(np.prod(shape_of(op.result), dtype=np.int64)) * dtype.itemsize
