"""Write the linalg ops of one kernel: empty and filled tensors, and generics over them.

Bodies see f16 and bf16 as f32; what a body returns is rounded where the result is stored so narrow.
Reductions accumulate in f32 and give f32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from xdsl.builder import Builder
from xdsl.dialects.arith import ConstantOp
from xdsl.dialects.builtin import AffineMapAttr, FloatAttr, IntegerAttr
from xdsl.dialects.linalg.attrs import IteratorType, IteratorTypeAttr
from xdsl.dialects.linalg.ops import FillOp, GenericOp, YieldOp
from xdsl.dialects.tensor import EmptyOp
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.ir.affine import AffineConstantExpr, AffineDimExpr, AffineExpr, AffineMap
from xdsl.rewriter import InsertPoint

from ....dialects.graph import (
    FullOp,
    ReshapeOp,
    Tensor,
    ViewOp,
    element_of,
    shape_of,
    tensor_of,
)
from .scalar_builder import Number, ScalarBuilder, computed_in, number_attribute

Body = Callable[..., SSAValue]
Read = tuple[SSAValue, AffineMap]

ITERATORS = {
    "p": IteratorTypeAttr(IteratorType.PARALLEL),
    "r": IteratorTypeAttr(IteratorType.REDUCTION),
}


def uniform_number(value: SSAValue) -> Number | None:
    """The number that every element of `value` is known to have (a `graph.full`), else None."""
    owner = value.owner
    while isinstance(owner, ViewOp | ReshapeOp):
        owner = owner.source.owner
    if not isinstance(owner, FullOp):
        return None
    number = owner.value
    assert isinstance(number, FloatAttr | IntegerAttr)
    return number.value.data


def dims_map(rank: int, dims: Sequence[int]) -> AffineMap:
    """(d0 .. d[rank-1]) -> (d[dims[0]], d[dims[1]], ...)."""
    return AffineMap(rank, 0, tuple(AffineDimExpr(d) for d in dims))


def broadcast_map(source: Sequence[int], target: Sequence[int]) -> AffineMap:
    """How a tensor of shape `source` is read while iterating over `target`, NumPy rules."""
    shift = len(target) - len(source)
    return AffineMap(
        len(target),
        0,
        tuple(
            AffineConstantExpr(0)
            if extent == 1 and target[shift + d] != 1
            # A plain dim wherever it is right, also where the target's extent is 1 too.
            else AffineDimExpr(shift + d)
            for d, extent in enumerate(source)
        ),
    )


class KernelBuilder:
    """Inserts before one graph op; generics inherit its `loc`."""

    def __init__(self, op: Operation) -> None:
        self._builder = Builder(InsertPoint.before(op))
        self._loc = op.attributes.get("loc")

    def insert(self, op: Operation) -> SSAValue:
        """Insert `op`, which has one result."""
        return self._builder.insert(op).results[0]

    def empty(self, shape: Sequence[int], element: Attribute) -> SSAValue:
        """A tensor with unspecified elements."""
        return self.insert(EmptyOp([], tensor_of(element, shape)))

    def filled(self, number: Number, shape: Sequence[int], element: Attribute) -> SSAValue:
        """A tensor with every element equal to `number`."""
        scalar = self.insert(ConstantOp(number_attribute(number, element)))
        return self.insert(FillOp([scalar], [self.empty(shape, element)]))

    def view(self, source: SSAValue, shape: Sequence[int], exprs: Sequence[AffineExpr]) -> SSAValue:
        """graph.view of `source` with the source index `exprs` per result index."""
        map = AffineMapAttr(AffineMap(len(shape), 0, tuple(exprs)))
        return self.insert(ViewOp(source, map, tensor_of(element_of(source), shape)))

    def reshape(self, source: SSAValue, shape: Sequence[int]) -> SSAValue:
        """graph.reshape of `source`; `source` itself where the shape is the same."""
        if tuple(shape) == shape_of(source):
            return source
        type: Tensor = tensor_of(element_of(source), shape)
        return self.insert(ReshapeOp(source, type))

    def generic(
        self,
        reads: Sequence[Read],
        init: SSAValue,
        out_map: AffineMap,
        iterators: str,
        body: Body,
    ) -> SSAValue:
        """One `linalg.generic`. `iterators` has a letter per loop: p(arallel) or r(eduction).

        `body(s, *elements, accumulator)` gets a ScalarBuilder, one scalar per read and the current
        element of `init`, and returns the new element.
        """
        element = element_of(init)
        block = Block(arg_types=[*(element_of(value) for value, _ in reads), element])
        scalars = ScalarBuilder(Builder(InsertPoint.at_end(block)))
        result = body(scalars, *(scalars.widen(argument) for argument in block.args))
        scalars.finish(YieldOp(scalars.narrow(result, element)))
        op = GenericOp(
            [value for value, _ in reads],
            [init],
            Region(block),
            [AffineMapAttr(map) for _, map in reads] + [AffineMapAttr(out_map)],
            [ITERATORS[letter] for letter in iterators],
            [init.type],
        )
        if self._loc is not None:
            op.attributes["loc"] = self._loc
        return self.insert(op)

    def map(
        self, reads: Sequence[Read], shape: Sequence[int], element: Attribute, body: Body
    ) -> SSAValue:
        """A new tensor with element body(s, *reads) at each index of `shape`.

        Reads of uniform tensors become constants of the body, so that no memory is touched.
        """
        numbers = [uniform_number(value) for value, _ in reads]
        kept = [read for read, number in zip(reads, numbers, strict=True) if number is None]

        def whole(s: ScalarBuilder, *elements: SSAValue) -> SSAValue:
            rest = iter(elements[:-1])
            arguments = [
                next(rest) if number is None else s.constant(number, computed_in(element_of(value)))
                for (value, _), number in zip(reads, numbers, strict=True)
            ]
            return body(s, *arguments)

        rank = len(shape)
        identity = AffineMap.identity(rank)
        return self.generic(kept, self.empty(shape, element), identity, "p" * rank, whole)

    def pointwise(
        self, operands: Sequence[SSAValue], shape: Sequence[int], element: Attribute, body: Body
    ) -> SSAValue:
        """`map` over operands that broadcast to `shape` as in NumPy."""
        reads = [(value, broadcast_map(shape_of(value), shape)) for value in operands]
        return self.map(reads, shape, element, body)

    def stored_as(self, value: SSAValue, element: Attribute) -> SSAValue:
        """`value` rounded to `element`, where it was computed in a wider type than that."""
        if element_of(value) == element:
            return value
        return self.pointwise([value], shape_of(value), element, lambda s, x: x)

    def reduce(
        self,
        reads: Sequence[Read],
        shape: Sequence[int],
        out_map: AffineMap,
        iterators: str,
        init: Number,
        body: Body,
        element: Attribute | None = None,
    ) -> SSAValue:
        """A tensor of `shape`, first filled with the neutral `init`, then accumulated by `body`."""
        start = self.filled(init, shape, computed_in(element or element_of(reads[0][0])))
        return self.generic(reads, start, out_map, iterators, body)
