"""Evaluate one `linalg.generic` on whole arrays.

Contractions go through matrix products, reductions along axes at once, parallel bodies once over
broadcast arrays; any other accumulation runs point by point over its reduction loops.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
from xdsl.dialects import arith
from xdsl.dialects.linalg.attrs import IteratorType
from xdsl.dialects.linalg.ops import GenericOp, IndexOp, YieldOp
from xdsl.dialects.tensor import ExtractOp
from xdsl.ir import BlockArgument, Operation, SSAValue
from xdsl.ir.affine import AffineDimExpr

from ..errors import LoweringError
from ..graph import shape_of
from .affine_reads import read_through
from .number_types import FloatType, number_of, numpy_type
from .scalar_ops import (
    CONVERSIONS,
    REDUCTIONS,
    SAME_TYPE,
    compare_floats,
    compare_integers,
)

Array = npt.NDArray[Any]
Values = Mapping[SSAValue, Array]


def loop_extents(op: GenericOp) -> list[int]:
    """The extent of every loop, read off operand dims whose map result is a plain dim."""
    extents: list[int | None] = [None] * len(op.iterator_types)
    for value, map in zip(op.operands, op.indexing_maps, strict=True):
        for expr, extent in zip(map.data.results, shape_of(value), strict=True):
            if not isinstance(expr, AffineDimExpr):
                continue
            known = extents[expr.position]
            if known is not None and known != extent:
                raise LoweringError(f"loop d{expr.position} has extents {known} and {extent}")
            extents[expr.position] = extent
    if None in extents:
        raise LoweringError(f"loop d{extents.index(None)} has no extent in any operand")
    return [extent for extent in extents if extent is not None]


def evaluate_generic(op: GenericOp, values: Values, float_type: FloatType) -> Array:
    """The result of `op`, whose operands (and captured tensors) are in `values`."""
    if len(op.outputs) != 1:
        raise LoweringError(f"linalg.generic: expected one output, found {len(op.outputs)}")
    evaluation = _Evaluation(op, values, float_type)
    if not evaluation.reduced:
        return evaluation.parallel()
    ufunc_and_term = evaluation.associative_step()
    if ufunc_and_term is None:
        return evaluation.point_by_point()
    ufunc, term = ufunc_and_term
    if ufunc is np.add:
        contracted = evaluation.contraction(term)
        if contracted is not None:
            return evaluation.store(evaluation.start + contracted)
    return evaluation.along_axes(ufunc, term)


class _Evaluation:
    """One generic with its operands read over the loop grid (unused loops have extent 1)."""

    def __init__(self, op: GenericOp, values: Values, float_type: FloatType) -> None:
        self.op, self.values, self.float_type = op, values, float_type
        self.extents = loop_extents(op)
        self.block = op.body.block
        *self.arguments, self.accumulator = self.block.args
        maps = [attribute.data for attribute in op.indexing_maps]
        self.out_map = maps[-1]
        self.reduced = tuple(
            d
            for d, iterator in enumerate(op.iterator_types)
            if iterator.data == IteratorType.REDUCTION
        )
        self.reads: dict[SSAValue, Array] = {
            argument: read_through(values[value], map, self.extents)
            for argument, value, map in zip(self.arguments, op.inputs, maps, strict=False)
            if argument.uses
        }
        self.start = read_through(values[op.outputs[0]], self.out_map, self.extents)
        terminator = self.block.last_op
        assert isinstance(terminator, YieldOp)
        self.result = terminator.operands[0]

    def parallel(self) -> Array:
        """No reduction: the body once, over the whole grid."""
        return self.store(self.body(self.result, {**self.reads, self.accumulator: self.start}))

    def associative_step(self) -> tuple[np.ufunc, SSAValue] | None:
        """(ufunc, term) where the body yields ufunc(accumulator, term) and uses it only there."""
        step = self.result.owner
        if not isinstance(step, Operation) or len(list(self.accumulator.uses)) != 1:
            return None
        if type(step) not in REDUCTIONS or self.accumulator not in step.operands:
            return None
        a, b = step.operands
        return REDUCTIONS[type(step)], b if a is self.accumulator else a

    def along_axes(self, ufunc: np.ufunc, term: SSAValue) -> Array:
        """The term over the whole grid, then `ufunc` along the reduction loops."""
        grid = np.broadcast_to(self.body(term, self.reads), self.extents)
        # A ufunc without axes would not reduce; with all of them it would lose them.
        reduced = ufunc.reduce(grid, axis=self.reduced, keepdims=True)
        return self.store(ufunc(self.start, reduced).astype(self.start.dtype))

    def contraction(self, term: SSAValue) -> Array | None:
        """sum over the reduction loops of a * b as a batched matrix product, else None."""
        multiply = term.owner
        if not isinstance(multiply, arith.MulfOp):
            return None
        a, b = (self.factor(value) for value in multiply.operands)
        if a is None or b is None or multiply.operands[0] is multiply.operands[1]:
            return None
        return matrix_product(a, b, self.extents, self.reduced)

    def factor(self, value: SSAValue) -> Array | None:
        """What a body reads, widened where it says so; None for anything else."""
        if value in self.reads:
            return self.reads[value]
        owner = value.owner
        if not isinstance(owner, arith.ExtFOp) or owner.input not in self.reads:
            return None
        return self.reads[owner.input].astype(numpy_type(owner.result.type, self.float_type))

    def point_by_point(self) -> Array:
        """Any other body: one step per point of the reduction loops."""
        state = self.start
        for point in product(*(range(self.extents[d]) for d in self.reduced)):
            index: list[Any] = [slice(None)] * len(self.extents)
            for d, i in zip(self.reduced, point, strict=True):
                index[d] = slice(i, i + 1)
            at_point = {
                argument: read[
                    tuple(
                        s if n > 1 else slice(None) for s, n in zip(index, read.shape, strict=True)
                    )
                ]
                for argument, read in self.reads.items()
            }
            counters = dict(zip(self.reduced, point, strict=True))
            state = self.body(self.result, {**at_point, self.accumulator: state}, counters)
        return self.store(state)

    def store(self, grid: Array) -> Array:
        """The grid (extent 1 along reduction loops) as the output array."""
        shape = [1 if d in self.reduced else n for d, n in enumerate(self.extents)]
        grid = np.broadcast_to(grid, shape)
        dims = []
        for expr in self.out_map.results:
            if not isinstance(expr, AffineDimExpr):
                raise LoweringError(
                    f"output map {self.out_map} is no permutation of parallel loops"
                )
            dims.append(expr.position)
        rest = [d for d in range(len(shape)) if d not in dims]
        # A copy: the grid may be a read-only view of an operand.
        ordered = np.array(grid.transpose([*dims, *rest]), order="C")
        return ordered.reshape(shape_of(self.op.outputs[0]))

    def body(
        self,
        wanted: SSAValue,
        known: Mapping[SSAValue, Array],
        counters: Mapping[int, int] | None = None,
    ) -> Array:
        """The value of `wanted`, evaluating the ops of the body that it needs."""
        done: dict[SSAValue, Array] = dict(known)
        if wanted in done:
            return done[wanted]
        needed = _needed_ops(wanted, done)
        for op in self.block.ops:
            if op in needed:
                done[op.results[0]] = self.scalar_op(op, done, counters or {})
        return done[wanted]

    def scalar_op(
        self, op: Operation, done: Mapping[SSAValue, Array], counters: Mapping[int, int]
    ) -> Array:
        """One op of the body on arrays."""
        element = op.results[0].type
        if isinstance(op, arith.ConstantOp):
            return np.asarray(number_of(op.value, element, self.float_type))
        if isinstance(op, IndexOp):
            return self.iteration(op.dim.value.data, counters)
        if isinstance(op, ExtractOp):
            return np.asarray(self.values[op.tensor][tuple(done[i] for i in op.indices)])
        operands = [done[value] for value in op.operands]
        if isinstance(op, arith.CmpiOp):
            return np.asarray(compare_integers(op.predicate.value.data, *operands))
        if isinstance(op, arith.CmpfOp):
            return np.asarray(compare_floats(op.predicate.value.data, *operands))
        dtype = numpy_type(element, self.float_type)
        if type(op) in CONVERSIONS:
            return np.asarray(CONVERSIONS[type(op)](operands[0], dtype))
        if type(op) not in SAME_TYPE:
            raise LoweringError(f"{op.name} has no numpy meaning")
        return np.asarray(SAME_TYPE[type(op)](*operands)).astype(dtype, copy=False)

    def iteration(self, dim: int, counters: Mapping[int, int]) -> Array:
        """linalg.index: the counter of loop `dim`, along its axis."""
        if dim in counters:
            return np.asarray(counters[dim])
        shape = [self.extents[dim] if d == dim else 1 for d in range(len(self.extents))]
        return np.arange(self.extents[dim]).reshape(shape)


def _needed_ops(wanted: SSAValue, known: Mapping[SSAValue, Array]) -> set[Operation]:
    needed: set[Operation] = set()
    pending = [wanted]
    while pending:
        value = pending.pop()
        owner = value.owner
        if value in known or isinstance(value, BlockArgument) or not isinstance(owner, Operation):
            continue
        if owner not in needed:
            needed.add(owner)
            pending += [
                v
                for v in owner.operands
                if not isinstance(owner, ExtractOp) or v is not owner.tensor
            ]
    return needed


def matrix_product(
    a: Array, b: Array, extents: Sequence[int], reduced: Sequence[int]
) -> Array | None:
    """Sum over `reduced` of a * b, both given over the loop grid; None where a loop is in neither.

    Loops become batch (in both), rows (in a), columns (in b) and inner (reduced, in both).
    """
    batch, rows, columns, inner = [], [], [], []
    for d, extent in enumerate(extents):
        in_a, in_b = a.shape[d] == extent, b.shape[d] == extent
        if d in reduced:
            if not (in_a and in_b):
                return None
            inner.append(d)
        elif in_a and in_b:
            batch.append(d)
        elif in_a:
            rows.append(d)
        elif in_b:
            columns.append(d)
        else:
            return None

    def flat(array: Array, *groups: list[int]) -> Array:
        order = [d for group in groups for d in group]
        rest = [d for d in range(array.ndim) if d not in order]
        sizes = [int(np.prod([array.shape[d] for d in group])) for group in groups]
        return array.transpose([*order, *rest]).reshape(sizes)

    result = np.matmul(flat(a, batch, rows, inner), flat(b, batch, inner, columns))
    order = [*batch, *rows, *columns, *inner]
    shape = [1 if d in inner else extents[d] for d in order]
    product: Array = result.reshape(shape).transpose(np.argsort(order))
    return product
