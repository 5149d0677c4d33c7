"""Rules of graph.reduce, graph.softmax and graph.norm.

Row values (maximum, sum, mean, ...) are tensors without the reduced dims.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from xdsl.dialects.builtin import AnyFloat, IntegerType
from xdsl.ir import Attribute, SSAValue
from xdsl.ir.affine import AffineMap

from ....dialects.errors import LoweringError
from ....dialects.graph import NormOp, ReduceOp, SoftmaxOp, element_of, shape_of
from ....dialects.integers import largest_integer, smallest_integer
from .kernel_builder import Body, KernelBuilder, Read, dims_map
from .rule import converts
from .scalar_builder import Number, ScalarBuilder, computed_in, is_truth


def smallest(element: Attribute) -> Number:
    """The neutral element of max."""
    if isinstance(element, AnyFloat):
        return float("-inf")
    assert isinstance(element, IntegerType)
    return smallest_integer(element)


def largest(element: Attribute) -> Number:
    """The neutral element of min."""
    if isinstance(element, AnyFloat):
        return float("inf")
    assert isinstance(element, IntegerType)
    return largest_integer(element)


def accumulator(fn: str, element: Attribute) -> tuple[Number, Body]:
    """Neutral element and step (s, x, sum so far) of the reduction `fn`."""
    if fn == "sum":
        return 0, lambda s, x, acc: s.add(acc, x)
    if fn == "prod":
        return 1, lambda s, x, acc: s.mul(acc, x)
    if fn == "max":
        return smallest(element), lambda s, x, acc: s.maximum(acc, x)
    if fn == "maxnum":
        return smallest(element), lambda s, x, acc: s.plain_maximum(acc, x)
    if fn == "min":
        return largest(element), lambda s, x, acc: s.minimum(acc, x)
    if fn == "any" and is_truth(element):
        return 0, lambda s, x, acc: s.either(acc, x)
    if fn == "all" and is_truth(element):
        return 1, lambda s, x, acc: s.both(acc, x)
    raise LoweringError(f"no reduction {fn!r} over {element}")


class Rows:
    """The index space of a tensor with `dims` reduced: maps, shapes and iterator letters."""

    def __init__(self, shape: Sequence[int], dims: Sequence[int]) -> None:
        kept = [d for d in range(len(shape)) if d not in dims]
        self.identity = AffineMap.identity(len(shape))
        self.row_map = dims_map(len(shape), kept)
        self.row_shape = [shape[d] for d in kept]
        self.iterators = "".join("r" if d in dims else "p" for d in range(len(shape)))
        self.row_rank = len(kept)
        self.row_length = prod(shape[d] for d in dims)

    def reduce(self, b: KernelBuilder, fn: str, source: SSAValue) -> SSAValue:
        """One value per row."""
        init, step = accumulator(fn, element_of(source))
        return self.accumulate(b, [(source, self.identity)], init, step)

    def accumulate(
        self, b: KernelBuilder, reads: Sequence[Read], init: Number, step: Body
    ) -> SSAValue:
        """One value per row, accumulated by `step` over `reads`."""
        return b.reduce(reads, self.row_shape, self.row_map, self.iterators, init, step)

    def shift(self, b: KernelBuilder, source: SSAValue) -> SSAValue:
        """What exponentials of each row are shifted by before they are summed: the maximum.

        It need not hand on NaN: the exponential of NaN is NaN whatever it is shifted by, and so is
        the sum.
        """
        return self.reduce(b, "maxnum", source)

    def per_row(self, b: KernelBuilder, rows: SSAValue, body: Body) -> SSAValue:
        """body(s, row value) for each row."""
        return b.pointwise([rows], self.row_shape, element_of(rows), body)


@converts(ReduceOp)
def convert_reduce(op: ReduceOp, b: KernelBuilder) -> SSAValue:
    """fill(neutral), then one generic that accumulates."""
    rows = Rows(shape_of(op.source), [d.data for d in op.dims])
    return rows.reduce(b, op.fn.data, op.source)


@converts(SoftmaxOp)
def convert_softmax(op: SoftmaxOp, b: KernelBuilder) -> SSAValue:
    """Row maximum, exponentials, row sum, one division per row, product."""
    shape, element = shape_of(op.source), computed_in(element_of(op.source))
    rows = Rows(shape, [op.dim.data % len(shape)])
    largest_of_row = rows.shift(b, op.source)

    def shift(s: ScalarBuilder, x: SSAValue, largest: SSAValue) -> SSAValue:
        return s.sub(x, largest)

    def shifted_exp(s: ScalarBuilder, x: SSAValue, largest: SSAValue) -> SSAValue:
        return s.exp(s.sub(x, largest))

    reads = [(op.source, rows.identity), (largest_of_row, rows.row_map)]
    if op.log.value.data:
        shifted = b.map(reads, shape, element, shift)
        total = rows.accumulate(
            b, [(shifted, rows.identity)], 0, lambda s, x, acc: s.add(acc, s.exp(x))
        )
        log_total = rows.per_row(b, total, lambda s, x: s.log(x))
        reads = [(shifted, rows.identity), (log_total, rows.row_map)]
        return b.map(reads, shape, element, shift)
    exponentials = b.map(reads, shape, element, shifted_exp)
    total = rows.reduce(b, "sum", exponentials)
    inverse = rows.per_row(b, total, lambda s, x: s.div(s.like(1, x), x))
    reads = [(exponentials, rows.identity), (inverse, rows.row_map)]
    return b.map(reads, shape, element, lambda s, e, scale: s.mul(e, scale))


@converts(NormOp)
def convert_norm(op: NormOp, b: KernelBuilder) -> SSAValue:
    """Two passes: the mean, then the variance of what is left (exact for large means)."""
    shape, element = shape_of(op.source), computed_in(element_of(op.source))
    first = len(shape) - op.rank.data
    rows = Rows(shape, range(first, len(shape)))
    is_layer = op.kind.data == "layer"

    def mean_of(total: SSAValue, body: Body) -> SSAValue:
        def scaled(s: ScalarBuilder, x: SSAValue) -> SSAValue:
            # A division per row: 1 / length is not exact, which shows where the mean is large.
            return body(s, s.div(x, s.like(rows.row_length, x)))

        return rows.per_row(b, total, scaled)

    def inverse_root(s: ScalarBuilder, x: SSAValue) -> SSAValue:
        return s.div(s.like(1, x), s.sqrt(s.add(x, s.like(op.eps.value.data, x))))

    reads: list[Read] = [(op.source, rows.identity)]
    if is_layer:
        mean = mean_of(rows.reduce(b, "sum", op.source), lambda s, x: x)
        reads.append((mean, rows.row_map))

    def centered(s: ScalarBuilder, x: SSAValue, mean: Sequence[SSAValue]) -> SSAValue:
        return s.sub(x, mean[0]) if mean else x

    def add_square(s: ScalarBuilder, x: SSAValue, *rest: SSAValue) -> SSAValue:
        *mean, acc = rest
        d = centered(s, x, mean)
        return s.add(acc, s.mul(d, d))

    inverse = mean_of(rows.accumulate(b, reads, 0, add_square), inverse_root)
    trailing = dims_map(len(shape), range(first, len(shape)))
    affine = [value for value in (op.weight, op.bias) if value is not None]
    has_weight = op.weight is not None

    def normalized(s: ScalarBuilder, x: SSAValue, *rest: SSAValue) -> SSAValue:
        values = list(rest)
        mean = [values.pop(0)] if is_layer else []
        result = s.mul(centered(s, x, mean), values.pop(0))
        if has_weight:
            result = s.mul(result, values.pop(0))
        return s.add(result, values.pop(0)) if values else result

    reads = [*reads, (inverse, rows.row_map), *((value, trailing) for value in affine)]
    return b.map(reads, shape, element, normalized)
