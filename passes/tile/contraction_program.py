"""A contraction as a tile program: a ring of copies, products in registers, then the epilogue.

In: a `Contraction` and a `Plan`. Out: a `tile.program` whose arguments are the arrays.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import SSAValue

from ...dialects.tile import ops
from ...dialects.tile.atoms import F32, I32
from ...dialects.tile.bank_conflicts import choose_swizzle
from ...dialects.tile.types import PointerType, bits_of
from .access import Access
from .builder import Index, named
from .contraction import Contraction
from .contraction_plan import Plan, operand
from .pipeline import pipelined
from .stripes import Offsets, Range, striped
from .views import KernelBuilder

SHARED = (("workspace", PointerType(F32)), ("semaphores", PointerType(I32)))


class ContractionBuilder(KernelBuilder):
    """Writes the program of one contraction."""

    def __init__(self, name: str, contraction: Contraction, plan: Plan) -> None:
        self.c, self.plan = contraction, plan
        batch, rows, columns = plan.tiles(contraction)
        self.stripes = plan.stripes(contraction)
        blocks = (columns, rows, batch) if self.stripes is None else (self.stripes.blocks, 1, 1)
        others = () if self.stripes is None else SHARED
        arrays, extents = contraction.arrays, contraction.extents
        super().__init__(name, plan.threads, blocks, arrays, extents, others)

    def move_to(self, batch: SSAValue, row: SSAValue, column: SSAValue) -> None:
        """What follows is about this tile."""
        bm, bn = self.plan.tile
        self.lead: list[tuple[Sequence[int], Index]] = []
        if self.c.shape[0] > 1:
            self.lead.append((self.c.batch, batch))
        self.i = named(self.b.times(row, bm), "first_row")
        self.j = named(self.b.times(column, bn), "first_column")

    def whole(self, access: Access, *groups: Sequence[int]) -> SSAValue:
        """The view of an array with the batch in front."""
        lead = [self.c.batch] if self.c.shape[0] > 1 else []
        return self.view(access, *lead, *groups)

    @property
    def batch(self) -> list[Index]:
        """The place in the batch, if there is one."""
        return [place for _, place in self.lead]

    def build(self) -> ops.ProgramOp:
        """The program."""
        b, c, plan = self.b, self.c, self.plan
        bm, bn = plan.tile
        depth, stages = plan.depth, plan.stages
        _, rows, columns, k = c.shape
        lhs = self.whole(c.lhs, *self.order(c.rows, plan.along_m))
        rhs = self.whole(c.rhs, *self.order(c.columns, plan.along_n))
        lhs_ring, rhs_ring = self.ring("lhs", c.lhs, bm), self.ring("rhs", c.rhs, bn)
        whole = k % depth == 0

        def copy(step: SSAValue, stage: SSAValue) -> None:
            at = b.times(step, depth)
            for view, ring, place, along, inside in (
                (lhs, lhs_ring, self.i, plan.along_m, rows % bm == 0 and whole),
                (rhs, rhs_ring, self.j, plan.along_n, columns % bn == 0 and whole),
            ):
                where = (at, place) if along else (place, at)
                b.copy_async(view, (*self.batch, *where), ring, stage, inside)

        def multiply(stage: SSAValue, at: Index, carried: SSAValue) -> SSAValue:
            left, right = (
                self.slice(ring, stage, at, side)
                for ring, side in ((lhs_ring, "left"), (rhs_ring, "right"))
            )
            return b.add(ops.DotOp(left, right, carried), "sums")

        def compute(step: SSAValue, stage: SSAValue, carried: SSAValue) -> SSAValue:
            if plan.slice == depth:
                return multiply(stage, 0, carried)
            # Written out in full, addresses of all parts live across tiles, and registers spill.
            parts = b.loop(0, depth // plan.slice, [carried], "part", unroll=2)
            with parts as (part, (inner,), results):
                results.append(multiply(stage, b.times(part, plan.slice), inner))
            return results[0]

        def sums(steps: Range) -> SSAValue:
            zero = b.fill(0.0, plan.unit.accumulator, F32, "sums")
            return pipelined(b, steps, stages, copy, compute, zero)

        if self.stripes is None:
            counts, axes = plan.tiles(c), ((2, "batch"), (1, "row"), (0, "column"))
            places = [
                b.block_index(*axis) if count > 1 else b.index(0)
                for count, axis in zip(counts, axes, strict=True)
            ]
            self.move_to(*places)
            self.finish(sums((b.index(0), b.index(plan.steps(c)))))
            return b.program

        def part(tile: SSAValue, steps: Range) -> tuple[SSAValue, Offsets]:
            self.move_to(*self.place(tile))
            return sums(steps), (*map(b.index, self.batch), self.i, self.j)

        shape = (c.shape[0], rows, columns)[0 if c.shape[0] > 1 else 1 :]
        workspace = b.view_global("workspace", shape, [])
        semaphores = b.view_global("semaphores", (self.stripes.tiles,), [])
        striped(b, self.stripes, part, lambda total, _: self.finish(total), workspace, semaphores)
        return b.program

    def place(self, tile: SSAValue) -> tuple[SSAValue, SSAValue, SSAValue]:
        """(batch, row, column) of a tile; rows are neighbours, since they read the same of rhs."""
        b, (batch, rows, columns) = self.b, self.plan.tiles(self.c)
        row = b.remainder(tile, rows) if rows > 1 else b.index(0)
        rest = b.quotient(tile, rows)
        column = b.remainder(rest, columns) if batch > 1 else rest
        return b.quotient(rest, columns) if batch > 1 else b.index(0), row, column

    def order(self, dims: Sequence[int], along: bool) -> tuple[Sequence[int], Sequence[int]]:
        """The groups of an operand's dims, that of neighbours in memory last."""
        return (self.c.depth, dims) if along else (dims, self.c.depth)

    def ring(self, name: str, access: Access, size: int) -> SSAValue:
        """Shared memory for `stages` tiles of an operand."""
        plan = self.plan
        along = plan.along_m if name == "lhs" else plan.along_n
        shape = (plan.depth, size) if along else (size, plan.depth)
        # Threads of a product in f32 read neighbours where memory runs along M or N.
        plain = along and operand(self.c) == F32
        chunk = bits_of(access.element) // 8
        return self.b.alloc_shared(
            f"{name}_ring",
            (plan.stages, *shape),
            access.element,
            *([] if plain else [choose_swizzle(shape, chunk)]),
        )

    def slice(self, ring: SSAValue, stage: SSAValue, at: Index, side: str) -> SSAValue:
        """[M or N, K] of a slice in registers, in the type of the products."""
        b, plan = self.b, self.plan
        left = side == "left"
        along = plan.along_m if left else plan.along_n
        layout = plan.lhs if left else plan.rhs
        place = (stage, at, 0) if along else (stage, 0, at)
        held = b.cast(b.load(ring, place, layout, side), operand(self.c), side)
        return b.add(ops.TransposeOp(held), side) if along else held

    def finish(self, sums: SSAValue) -> None:
        """The epilogue, rounding, and the store."""
        b, c, layout = self.b, self.c, self.plan.unit.accumulator
        if c.epilogue is not None:
            groups, places = (c.rows, c.columns), (self.i, self.j)
            loaded = [
                self.load(access, self.lead, groups, places, layout)
                for access in c.epilogue.sources
            ]
            tiles = [sums, *(self.spread(tile, layout) for tile in loaded)]
            sums = b.add(ops.MapOp(tiles, c.epilogue.body.clone(), F32), "finished")
        rounded = b.cast(sums, c.result.element, "rounded")
        view = self.whole(c.result, c.rows, c.columns)
        b.store(rounded, view, (*self.batch, self.i, self.j))


def contraction_program(name: str, contraction: Contraction, plan: Plan) -> ops.ProgramOp:
    """The program of `contraction`; its arguments are `contraction.arrays`, in order.

    Where blocks share steps, a workspace of f32, like the result, and semaphores follow.
    """
    return ContractionBuilder(name, contraction, plan).build()
