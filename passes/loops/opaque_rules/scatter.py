"""Loops of `graph.scatter` and `graph.index_put`: copy the source, then update in order.

Updates that may meet are made one after the other; what runs in parallel are slices of the result
that no index leads out of. Hence results do not depend on the number of threads. On GPUs, sums and
extremes of integers are updated in any order, by atomic operations: a thread per update.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

from xdsl.dialects.builtin import i32, i64
from xdsl.ir import SSAValue

from ....dialects.graph import ViewOp, bounds_of, element_of, shape_of
from ....dialects.graph.opaque import IndexPutOp, ScatterOp, UpdateOp
from ....dialects.memory import ApartOp
from ....dialects.sizes import has_symbols, upper_bound
from .kernel import OpaqueKernel, unravel
from .loop_builder import ATOMIC_KINDS, PARALLEL_ELEMENTS, LoopBuilder
from .rule import lowers

SLICES = 8  # an inner dimension is cut into so many parallel slices ...
SLICE_MULTIPLE = 16  # ... of whole cache lines
Position = list[SSAValue]
Combine = Callable[[LoopBuilder, SSAValue, SSAValue], SSAValue]

COMBINERS: dict[str, Combine] = {
    "set": lambda b, old, new: new,
    "add": lambda b, old, new: b.add(old, new),
    "mul": lambda b, old, new: b.mul(old, new),
    "max": lambda b, old, new: b.maximum(old, new),
    "min": lambda b, old, new: b.minimum(old, new),
}


def copy_source(op: UpdateOp, kernel: OpaqueKernel, b: LoopBuilder) -> None:
    """out = source; nothing to do where they are the same memory."""

    def body(b: LoopBuilder, position: Position) -> None:
        b.store(kernel.read(b, op.source, position), kernel.out, position)

    def copy(b: LoopBuilder) -> None:
        b.nest(shape_of(op.source), body)

    source = kernel.updates(op.source)
    if source is None or source.type != kernel.out.type:
        copy(b)
    else:
        b.when(b.insert(ApartOp(source, kernel.out)), copy, shares=True)


def for_updates(op: UpdateOp, kernel: OpaqueKernel, b: LoopBuilder) -> LoopBuilder:
    """The builder of the updates' loops: few of them are no work for several threads."""
    few = prod(bounds_of(op.updates)) < PARALLEL_ELEMENTS
    return b if kernel.machine.is_gpu or not few else LoopBuilder(kernel.block, False, kernel.sizes)


def update(
    op: UpdateOp, kernel: OpaqueKernel, b: LoopBuilder, at: Position, target: Position
) -> None:
    """out[target] is combined with updates[at]."""
    new = kernel.read(b, op.updates, at)
    if is_atomic(op, kernel):
        b.update(op.fn.data, new, kernel.out, target)
        return
    old = new if op.fn.data == "set" else b.load(kernel.out, target)
    b.store(COMBINERS[op.fn.data](b, old, new), kernel.out, target)


def is_atomic(op: UpdateOp, kernel: OpaqueKernel) -> bool:
    """Whether updates are exact in any order, and a GPU makes them at once."""
    is_exact = element_of(op.source) in (i32, i64) and op.fn.data in ATOMIC_KINDS
    return kernel.machine.is_gpu and is_exact


@dataclass(frozen=True)
class Slice:
    """Indices first .. first + size of the first inner dimension; a known size makes vectors."""

    first: SSAValue
    size: SSAValue | int


def in_slices(
    b: LoopBuilder, extents: Sequence[int], body: Callable[[LoopBuilder, Slice], None]
) -> None:
    """`body` for slices of the first of `extents`, in parallel; of equal size where that goes."""
    extent = extents[0] if extents else 1
    size = slice_size(upper_bound(extent))
    if not b.is_parallel or size >= upper_bound(extent):
        body(b, Slice(b.index(0), extent))
        return

    def one(b: LoopBuilder, first: SSAValue) -> None:
        rest = b.sub(b.index(extent), first)
        body(b, Slice(first, size if divides(size, extent) else b.minimum(rest, b.index(size))))

    b.parallel(0, extent, one, step=size)


def divides(size: int, extent: int) -> bool:
    """Whether slices of `size` have no rest, as far as is known."""
    return not has_symbols([extent]) and extent % size == 0


def slice_size(extent: int) -> int:
    """Whole cache lines, in at most `SLICES` slices."""
    lines = -(-extent // SLICE_MULTIPLE)
    if extent % SLICE_MULTIPLE == 0:
        even = max(n for n in range(1, SLICES + 1) if lines % n == 0)
        if even > 1:
            return extent // even
    return -(-lines // SLICES) * SLICE_MULTIPLE


def over_inner(
    b: LoopBuilder,
    extents: Sequence[int],
    part: Slice,
    body: Callable[[LoopBuilder, Position], None],
) -> None:
    """`body` at each position of the box `extents` whose first index is in `part`."""
    if not extents:
        body(b, [])
        return

    def outer(b: LoopBuilder, i: SSAValue) -> None:
        first = b.add(part.first, i)
        b.nest(extents[1:], lambda b, rest: body(b, [first, *rest]))

    b.loop(0, part.size, outer)


@lowers(ScatterOp)
def lower_scatter(op: ScatterOp, kernel: OpaqueKernel, b: LoopBuilder) -> None:
    """Slices before `dim` in parallel, or of the dim after it; along `dim` in order."""
    copy_source(op, kernel, b)
    b = for_updates(op, kernel, b)
    shape, dim = shape_of(op.indices[0]), op.dim.data
    extent, inner = shape_of(op.source)[dim], shape[dim + 1 :]
    is_uniform = _ignores(op.indices[0], range(dim + 1, len(shape)))

    def index_at(b: LoopBuilder, at: Position) -> SSAValue:
        return b.to_index(kernel.read(b, op.indices[0], at))

    def alone(b: LoopBuilder, number: SSAValue) -> None:
        at = unravel(b, number, shape)
        element(b, at[: dim + 1], at[dim + 1 :])

    def rows(b: LoopBuilder, outer: Position) -> None:
        def one_slice(b: LoopBuilder, part: Slice) -> None:
            def along(b: LoopBuilder, i: SSAValue) -> None:
                at = [*outer, i]
                if not is_uniform:
                    over_inner(b, inner, part, lambda b, rest: element(b, at, rest))
                    return
                index = index_at(b, [*at, *(b.index(0) for _ in inner)])
                b.when(b.is_inside(index, extent), lambda b: elements(b, at, index))

            def elements(b: LoopBuilder, at: Position, index: SSAValue) -> None:
                over_inner(b, inner, part, lambda b, rest: put(b, at, index, rest))

            b.loop(0, shape[dim], along)

        in_slices(b, inner, one_slice)

    def element(b: LoopBuilder, at: Position, rest: Position) -> None:
        index = index_at(b, [*at, *rest])
        b.when(b.is_inside(index, extent), lambda b: put(b, at, index, rest))

    def put(b: LoopBuilder, at: Position, index: SSAValue, rest: Position) -> None:
        update(op, kernel, b, [*at, *rest], [*at[:-1], index, *rest])

    if is_atomic(op, kernel):
        b.parallel(0, prod(shape), alone)
    else:
        b.nest(shape[:dim], rows)


def _ignores(value: SSAValue, dims: Sequence[int]) -> bool:
    """Whether `value` is the same along `dims`, as an index that was expanded over them is."""
    owner = value.owner
    if not dims:
        return True
    return isinstance(owner, ViewOp) and owner.map.data.used_dims().isdisjoint(dims)


@lowers(IndexPutOp)
def lower_index_put(op: IndexPutOp, kernel: OpaqueKernel, b: LoopBuilder) -> None:
    """In order over all indices, in parallel over slices of what an index picks."""
    copy_source(op, kernel, b)
    b = for_updates(op, kernel, b)
    target_shape, indexed = shape_of(op.source), len(op.indices)
    shape, inner = shape_of(op.indices[0]), target_shape[indexed:]

    def one_slice(b: LoopBuilder, part: Slice) -> None:
        def level(b: LoopBuilder, at: Position) -> None:
            if len(at) < len(shape):
                b.loop(0, shape[len(at)], lambda b, i: level(b, [*at, i]))
                return
            pick(b, at, part)

        level(b, [])

    def pick(b: LoopBuilder, at: Position, part: Slice) -> None:
        """The updates of one index, as far as they are in a slice."""
        picked = [
            _from_the_front(b, b.to_index(kernel.read(b, index, at)), extent)
            for index, extent in zip(op.indices, target_shape, strict=False)
        ]
        inside = b.is_inside(picked[0], target_shape[0])
        for index, extent in zip(picked[1:], target_shape[1:], strict=False):
            inside = b.both(inside, b.is_inside(index, extent))

        def put(b: LoopBuilder, rest: Position) -> None:
            update(op, kernel, b, [*at, *rest], [*picked, *rest])

        b.when(inside, lambda b: over_inner(b, inner, part, put))

    def alone(b: LoopBuilder, number: SSAValue) -> None:
        at = unravel(b, number, (*shape, inner[0] if inner else 1))
        pick(b, at[:-1], Slice(at[-1], 1))

    if is_atomic(op, kernel):
        b.parallel(0, prod(shape) * (inner[0] if inner else 1), alone)
    else:
        in_slices(b, inner, one_slice)


def _from_the_front(b: LoopBuilder, index: SSAValue, extent: int) -> SSAValue:
    is_negative = b.compare("lt", index, b.index(0))
    return b.select(is_negative, b.add(index, b.index(extent)), index)
