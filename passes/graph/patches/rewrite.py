"""Compute the result of a stage patch by patch.

before: %1 = graph.conv %x ; %2 = graph.conv %1
after:  for each patch p: %xp = graph.view %x ; %1p = graph.conv %xp ; %2p = graph.conv %1p
        %2 = graph.cat %2a, %2b, ...

A stage that ends in a reduction reduces each patch, and then what comes out.
"""

from __future__ import annotations

from itertools import product

from xdsl.dialects.builtin import AffineMapAttr, TensorType
from xdsl.ir import Block, SSAValue
from xdsl.ir.affine import AffineDimExpr, AffineMap

from ....dialects.graph import (
    CatOp,
    GraphOp,
    PadOp,
    ReduceOp,
    ReshapeOp,
    Tensor,
    ViewOp,
    element_of,
    shape_of,
)
from ..canonicalize import drop_unused_ops
from .regions import FIRST_AXIS, cut, dim_of, needed
from .stage import Grid, Stage

Part = tuple[int, int]


def rewrite_stage(stage: Stage, grid: Grid) -> None:
    """Replace the ops of `stage` by patches and join, or reduce, their results."""
    writer = PatchWriter(stage, grid)
    replaced = stage.result if stage.reduce is None else stage.reduce
    readers = list(replaced.result.uses)
    joined = writer.part(()) if stage.reduce is None else writer.reduced(stage.reduce)
    for use in readers:
        use.operation.operands[use.index] = joined
    block = stage.result.parent_block()
    assert block is not None
    drop_unused_ops(block)


class PatchWriter:
    """Inserts patches behind the last op of a stage."""

    def __init__(self, stage: Stage, grid: Grid) -> None:
        self.stage, self.grid = stage, grid
        self.starts = [where.start for where in stage.slices(grid)]
        block = stage.result.parent_block()
        assert block is not None
        self.block: Block = block
        self.end = stage.result.next_op
        assert self.end is not None

    def insert(self, op: GraphOp) -> SSAValue:
        """Add an op behind the stage."""
        assert self.end is not None
        self.block.insert_op_before(op, self.end)
        op.result.name_hint = self.stage.result.result.name_hint
        return op.result

    def part(self, index: tuple[int, ...]) -> SSAValue:
        """The result for all patches whose position starts with `index`.

        A row of patches is joined before the next one starts.
        """
        axis = len(index)
        if axis == len(self.grid.counts):
            return self.patch([s + p for s, p in zip(self.starts, index, strict=True)])
        count = self.grid.counts[axis]
        return self.join([self.part((*index, p)) for p in range(count)], axis)

    def reduced(self, reduce: ReduceOp) -> SSAValue:
        """The reduction of the result: of each patch, and then of what these give.

        Results of patches are combined at the end only: as a chain they and their reductions would
        become one kernel, until which all patches live.
        """
        shape, element = shape_of(reduce.result), element_of(reduce.result)
        type: Tensor = TensorType(element, shape)
        dims = [d.data for d in reduce.dims]
        parts = [
            self.insert(ReduceOp(reduce.fn.data, self.part(index), dims, type))
            for index in product(*(range(count) for count in self.grid.counts))
        ]
        joined = TensorType(element, (len(parts) * shape[0], *shape[1:]))
        stacked = TensorType(element, (len(parts), *shape))
        whole = self.insert(ReshapeOp(self.insert(CatOp(parts, 0, joined)), stacked))
        return self.insert(ReduceOp(reduce.fn.data, whole, [0], type))

    def patch(self, position: list[int]) -> SSAValue:
        """The part of the stage's result at `position` in the parts of each axis."""
        known: dict[SSAValue, tuple[SSAValue, list[Part]]] = {}
        for member in self.stage.members:
            op = member.op
            parts = [part.at(p) for part, p in zip(member.parts, position, strict=True)]
            operands = []
            for k, value in enumerate(op.operands):
                held, origin = known.get(value, (value, None))
                wanted: dict[int, Part] = {}
                for axis, p in enumerate(position):
                    read = needed(op, k, axis, member.parts[axis])
                    dim = dim_of(op, value, axis)
                    if read is None or dim is None:
                        continue
                    low, high = read.clipped(shape_of(value)[dim]).at(p)
                    shift = origin[axis][0] if origin is not None else 0
                    wanted[dim] = low - shift, high - shift
                operands.append(self.slice(held, wanted))
            new = cut(op, operands, parts)
            if isinstance(new, PadOp) and shape_of(new.source) == shape_of(new.result):
                known[op.result] = new.source, parts
                new.erase()
            else:
                known[op.result] = self.insert(new), parts
        return known[self.stage.result.result][0]

    def slice(self, value: SSAValue, parts: dict[int, Part]) -> SSAValue:
        """Elements low..high - 1 of the given dimensions."""
        shape = list(shape_of(value))
        exprs = [AffineDimExpr(d) + parts.get(d, (0, 0))[0] for d in range(len(shape))]
        for dim, (low, high) in parts.items():
            shape[dim] = high - low
        if tuple(shape) == shape_of(value):
            return value
        map = AffineMapAttr(AffineMap(len(shape), 0, tuple(exprs)))
        return self.insert(ViewOp(value, map, TensorType(element_of(value), shape)))

    def join(self, parts: list[SSAValue], axis: int) -> SSAValue:
        """Parts that are neighbours along `axis` as one value."""
        if len(parts) == 1:
            return parts[0]
        shape = list(shape_of(parts[0]))
        dim = FIRST_AXIS + axis
        shape[dim] = sum(shape_of(part)[dim] for part in parts)
        return self.insert(CatOp(parts, dim, TensorType(element_of(parts[0]), shape)))
