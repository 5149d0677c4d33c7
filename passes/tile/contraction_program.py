"""A contraction as a tile program: a ring of copies, products in registers, then the epilogue.

In: a `Contraction` and a `Plan`. Out: a `tile.program` whose arguments are the arrays.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import SSAValue

from ...dialects.tile import ops
from ...dialects.tile.atoms import F32
from ...dialects.tile.bank_conflicts import choose_swizzle
from ...dialects.tile.types import bits_of
from .access import Access
from .builder import Index
from .contraction import Contraction
from .contraction_plan import Plan, operand
from .pipeline import pipelined
from .views import KernelBuilder


class ContractionBuilder(KernelBuilder):
    """Writes the program of one contraction."""

    def __init__(self, name: str, contraction: Contraction, plan: Plan) -> None:
        self.c, self.plan = contraction, plan
        batch, rows, columns, _ = contraction.shape
        bm, bn = plan.tile
        blocks = (-(-columns // bn), -(-rows // bm), batch)
        super().__init__(name, plan.threads, blocks, contraction.arrays, contraction.extents)
        b = self.b
        column, row = b.block_index(0, "column"), b.block_index(1, "row")
        self.lead: list[tuple[Sequence[int], Index]] = []
        if batch > 1:
            self.lead.append((contraction.batch, b.block_index(2, "batch")))
        self.i = b.times(row, bm) if rows > bm else b.index(0)
        self.j = b.times(column, bn) if columns > bn else b.index(0)
        for start, hint in ((self.i, "first_row"), (self.j, "first_column")):
            start.name_hint = hint

    def whole(self, access: Access, *groups: Sequence[int]) -> SSAValue:
        """The view of an array with the batch in front."""
        return self.view(access, *(dims for dims, _ in self.lead), *groups)

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
            with b.loop(0, depth // plan.slice, [carried], "part") as (part, (inner,), results):
                results.append(multiply(stage, b.times(part, plan.slice), inner))
            return results[0]

        zero = b.fill(0.0, plan.unit.accumulator, F32, "sums")
        steps = (b.index(0), b.index(-(-k // depth)))
        self.finish(pipelined(b, steps, stages, copy, compute, zero))
        return b.program

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
    """The program of `contraction`; its arguments are `contraction.arrays`, in order."""
    return ContractionBuilder(name, contraction, plan).build()
