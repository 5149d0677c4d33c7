"""What import rules build with: typed graph ops at the end of `main`, each carrying its `loc`."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from xdsl.dialects.builtin import AffineMapAttr, StringAttr, i1, i64
from xdsl.ir import Attribute, Block, SSAValue
from xdsl.ir.affine import AffineBinaryOpExpr, AffineConstantExpr, AffineExpr, AffineMap

from ...dialects.errors import SymbolicSizeError
from ...dialects.graph import (
    CastOp,
    FullOp,
    GatherOp,
    GraphOp,
    IndexOp,
    IotaOp,
    LinearOp,
    PointwiseOp,
    ReduceOp,
    ReshapeOp,
    SizeOp,
    Tensor,
    ViewOp,
    WeightOp,
    broadcast_shapes,
    element_of,
    extents_of_type,
    shape_of,
    tensor_of,
)
from ...dialects.scalar import FUNCTIONS
from ...dialects.sizes import Size, has_symbols
from ...dialects.weights import WeightStore
from .tensor_types import DTYPES, FLOATS, array_element, element_type

Scalar = float | int | bool
Operand = SSAValue | Scalar


class Builder:
    """Appends ops to a block; `outs` are the result types torch gives the current node."""

    def __init__(self, block: Block, weights: WeightStore) -> None:
        self.block = block
        self.weights = weights
        self.loc = ""
        self.outs: tuple[Tensor, ...] = ()

    @property
    def out(self) -> Tensor:
        """The type of the first result of the current node."""
        return self.outs[0]

    @property
    def shape(self) -> tuple[int, ...]:
        """The extents of the first result of the current node."""
        return extents_of_type(self.out)

    @property
    def out_element(self) -> Attribute:
        """The element type of the first result of the current node."""
        element: Attribute = self.out.element_type
        return element

    def emit(self, op: GraphOp) -> SSAValue:
        """Append `op` and return its result."""
        if self.loc:
            op.attributes["loc"] = StringAttr(self.loc)
        self.block.add_op(op)
        return op.result

    def weight(self, symbol: str) -> SSAValue:
        """The array stored under `symbol`."""
        array = self.weights[symbol]
        element = array_element(array)
        return self.emit(WeightOp(symbol, tensor_of(element, array.shape)))

    def constant(self, name: str, array: npt.NDArray[np.generic]) -> SSAValue:
        """A new entry of the weight store."""
        return self.weight(self.weights.add(name, array))

    def full(self, value: Scalar, element: Attribute, shape: Sequence[int] = ()) -> SSAValue:
        """`value` everywhere; a scalar by default."""
        if has_symbols([value]):
            return self.expand(self.cast(self.emit(SizeOp(value)), element), shape)
        return self.emit(FullOp(value, tensor_of(element, shape)))

    def iota(self, extent: int, element: Attribute, start: int = 0, step: int = 1) -> SSAValue:
        """start, start + step, ... of rank 1."""
        if has_symbols([start]):
            return self.pointwise("add", self.iota(extent, element, 0, step), start)
        return self.emit(IotaOp(start, step, tensor_of(element, [extent])))

    def cast(self, value: SSAValue, element: Attribute) -> SSAValue:
        """`value` with another element type; itself where it has that type already."""
        if element_of(value) == element:
            return value
        return self.emit(CastOp(value, tensor_of(element, shape_of(value))))

    def operand(self, value: Operand, element: Attribute) -> SSAValue:
        """A tensor or Python number as a tensor of `element`."""
        if isinstance(value, SSAValue):
            return self.cast(value, element)
        return self.full(value, element)

    def common_element(self, *values: Operand) -> Attribute:
        """The element type torch promotes `values` to: tensors over rank 0 over numbers."""
        samples = [
            torch.empty((1,) * len(shape_of(v)), dtype=DTYPES[element_of(v)], device="meta")
            if isinstance(v, SSAValue)
            else v
            for v in values
        ]
        result = samples[0]
        for sample in samples[1:]:
            dtype = torch.result_type(result, sample)
            rank = max(getattr(s, "ndim", 0) for s in (result, sample))
            result = torch.empty((1,) * rank, dtype=dtype, device="meta")
        assert isinstance(result, torch.Tensor)
        return element_type(result.dtype)

    def pointwise(self, fn: str, *operands: Operand) -> SSAValue:
        """`fn` elementwise; numbers take the element type of the first tensor of the data."""
        data = operands[1:] if fn == "where" else operands
        element = next(element_of(v) for v in data if isinstance(v, SSAValue))
        values = [
            v
            if isinstance(v, SSAValue)
            else self.full(v, i1 if i < len(operands) - len(data) else element)
            for i, v in enumerate(operands)
        ]
        shape = broadcast_shapes([shape_of(v) for v in values])
        result = i1 if FUNCTIONS[fn].result == "bool" else element
        return self.emit(PointwiseOp(fn, values, tensor_of(result, shape)))

    def reduce(self, fn: str, source: SSAValue, dims: Sequence[int], keep: bool) -> SSAValue:
        """`fn` over `dims`; with `keep` they stay with extent 1."""
        shape = shape_of(source)
        short = [n for d, n in enumerate(shape) if d not in dims]
        value = source
        if dims:
            value = self.emit(ReduceOp(fn, source, dims, tensor_of(element_of(source), short)))
        if keep and dims:
            kept = [1 if d in dims else n for d, n in enumerate(shape)]
            value = self.reshape(value, kept)
        return value

    def linear(self, source: SSAValue, weight: SSAValue, bias: SSAValue | None) -> SSAValue:
        """source @ weight^T + bias along the last dim; weight is [N, K]."""
        shape = (*shape_of(source)[:-1], shape_of(weight)[0])
        return self.emit(LinearOp(source, weight, bias, tensor_of(element_of(source), shape)))

    def reshape(self, source: SSAValue, shape: Sequence[int]) -> SSAValue:
        """The same elements in row-major order under `shape`."""
        if tuple(shape) == shape_of(source):
            return source
        return self.emit(ReshapeOp(source, tensor_of(element_of(source), shape)))

    def view(
        self, source: SSAValue, exprs: Sequence[AffineExpr | int], shape: Sequence[int]
    ) -> SSAValue:
        """result[d0, d1, ...] = source[exprs], of `shape`; itself where that changes nothing."""
        results = tuple(AffineExpr.constant(e) if isinstance(e, int) else e for e in exprs)
        check_is_affine(results)
        map = AffineMap(len(shape), 0, results)
        if map == AffineMap.identity(len(shape)) and tuple(shape) == shape_of(source):
            return source
        type = tensor_of(element_of(source), shape)
        return self.emit(ViewOp(source, AffineMapAttr(map), type))

    def permute(self, source: SSAValue, order: Sequence[int]) -> SSAValue:
        """Result dim i is source dim order[i]."""
        shape = shape_of(source)
        exprs = [AffineExpr.dimension(list(order).index(d)) for d in range(len(shape))]
        return self.view(source, exprs, [shape[d] for d in order])

    def swap(self, source: SSAValue, a: int, b: int) -> SSAValue:
        """Dims `a` and `b` exchanged."""
        order = list(range(len(shape_of(source))))
        order[a], order[b] = order[b], order[a]
        return self.permute(source, order)

    def expand(self, source: SSAValue, shape: Sequence[int]) -> SSAValue:
        """NumPy broadcasting of `source` to `shape`, which may have more leading dims."""
        extents = shape_of(source)
        lead = len(shape) - len(extents)
        exprs = [
            AffineExpr.constant(0)
            if n == 1 and shape[lead + d] != 1
            else AffineExpr.dimension(lead + d)
            for d, n in enumerate(extents)
        ]
        return self.view(source, exprs, shape)

    def slice(self, source: SSAValue, dim: int, start: int, length: int, step: int = 1) -> SSAValue:
        """Elements start, start + step, ... along `dim`."""
        if has_symbols([start, step]):
            return self.pick(source, dim, self.iota(length, i64, start, step))
        shape = list(shape_of(source))
        exprs = [AffineExpr.dimension(d) for d in range(len(shape))]
        exprs[dim] = exprs[dim] * step + start
        shape[dim] = length
        return self.view(source, exprs, shape)

    def select(self, source: SSAValue, dim: int, index: int) -> SSAValue:
        """The slice at `index`, without `dim`."""
        if has_symbols([index]):
            return self.pick(source, dim, self.full(index, i64))
        shape = shape_of(source)
        exprs: list[AffineExpr | int] = []
        for d in range(len(shape)):
            exprs.append(index if d == dim else AffineExpr.dimension(d - (d > dim)))
        return self.view(source, exprs, [n for d, n in enumerate(shape) if d != dim])

    def pick(self, source: SSAValue, dim: int, positions: SSAValue) -> SSAValue:
        """Slices at `positions` (not negative) along `dim`, which becomes the dims of positions. A
        row of them along an inner dim is a `graph.gather`, whose result lies as the source does."""
        extents, places = shape_of(source), shape_of(positions)
        rank, taken = len(extents), len(places)
        if taken == 1 and dim > 0:
            shape = (*extents[:dim], *places, *extents[dim + 1 :])
            along = self.expand(self.reshape(positions, [*places, *[1] * (rank - 1 - dim)]), shape)
            return self.emit(GatherOp(source, along, dim, tensor_of(element_of(source), shape)))
        front = self.permute(source, [dim, *(d for d in range(rank) if d != dim)])
        shape = (*places, *shape_of(front)[1:])
        found = self.emit(IndexOp(front, [positions], tensor_of(element_of(source), shape)))
        before = range(taken, taken + dim)
        return self.permute(found, [*before, *range(taken), *range(taken + dim, len(shape))])

    def per_channel(self, source: SSAValue, rank: int, dim: int = 1) -> SSAValue:
        """A rank-1 tensor laid along `dim` of a tensor of `rank` (extent 1 elsewhere)."""
        shape = [1] * rank
        shape[dim] = shape_of(source)[0]
        return self.reshape(source, shape[dim:])


def check_is_affine(exprs: Sequence[AffineExpr]) -> None:
    """SymbolicSizeError where an index depends on a size that is known at run time only."""
    for expr in exprs:
        for part in expr.dfs():
            sides = [part.lhs, part.rhs] if isinstance(part, AffineBinaryOpExpr) else []
            values = [part.value] if isinstance(part, AffineConstantExpr) else sides
            if any(isinstance(value, Size) for value in values):
                raise SymbolicSizeError("an index depends on a size")


def normalize_dim(dim: int, rank: int) -> int:
    """`dim` counted from the front; rank 0 counts as rank 1, as in torch."""
    return dim % max(rank, 1)


def normalize_dims(dims: int | Sequence[int] | None, rank: int) -> list[int]:
    """Sorted dims counted from the front; None or empty is all of them."""
    if dims is None or (not isinstance(dims, int) and len(dims) == 0):
        return list(range(rank))
    listed = [dims] if isinstance(dims, int) else list(dims)
    return sorted({normalize_dim(d, rank) for d in listed}) if rank else []


def elements_in(shape: Sequence[int]) -> int:
    """The number of elements of a tensor of `shape`."""
    return math.prod(shape)


def is_float(value: SSAValue) -> bool:
    """Whether `value` holds floating-point numbers."""
    return element_of(value) in FLOATS
