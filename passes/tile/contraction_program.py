"""A contraction as a tile program: a ring of copies, products in registers, then the epilogue.

In: a `Contraction` and a `Plan`. Out: a `tile.program` whose arguments are the arrays.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import SSAValue
from xdsl.ir.affine import AffineConstantExpr, AffineMap

from ...dialects.tile import ops
from ...dialects.tile.atoms import F32
from ...dialects.tile.bank_conflicts import choose_swizzle
from ...dialects.tile.types import GlobalType, PointerType, bits_of
from .access import Access, memref_element
from .builder import Index, ProgramBuilder
from .contraction import Contraction
from .contraction_plan import Plan, operand
from .epilogue import NARROW
from .pipeline import pipelined


class ContractionBuilder:
    """Writes the program of one contraction."""

    def __init__(self, name: str, contraction: Contraction, plan: Plan) -> None:
        self.c, self.plan = contraction, plan
        self.names = argument_names(contraction.arrays)
        batch, rows, columns, _ = contraction.shape
        bm, bn = plan.tile
        blocks = (-(-columns // bn), -(-rows // bm), batch)
        self.b = ProgramBuilder(
            name,
            plan.threads,
            AffineMap(0, 0, tuple(AffineConstantExpr(n) for n in blocks)),
            [(self.names[a], PointerType(memref_element(a))) for a in contraction.arrays],
        )
        b = self.b
        column, row = b.block_index(0, "column"), b.block_index(1, "row")
        self.batch: list[Index] = [b.block_index(2, "batch")] if batch > 1 else []
        self.i = b.times(row, bm) if rows > bm else b.index(0)
        self.j = b.times(column, bn) if columns > bn else b.index(0)
        for start, hint in ((self.i, "first_row"), (self.j, "first_column")):
            start.name_hint = hint

    def view(self, access: Access, *groups: Sequence[int]) -> SSAValue:
        """The array of `access` with a dim per group of loops, behind one for the batch."""
        c = self.c
        every = [c.batch, *groups] if self.batch else groups
        dims = [access.digits(group, c.extents) for group in every]
        type = GlobalType.strided(dims, access.element, access.start)
        pointer = self.b.argument(self.names[access.array])
        hint = f"{self.names[access.array]}_view"
        return self.b.add(ops.ViewGlobalOp(pointer, [], type), hint)

    def build(self) -> ops.ProgramOp:
        """The program."""
        b, c, plan = self.b, self.c, self.plan
        bm, bn = plan.tile
        depth, stages = plan.depth, plan.stages
        _, rows, columns, k = c.shape
        lhs = self.view(c.lhs, *self.order(c.rows, plan.along_m))
        rhs = self.view(c.rhs, *self.order(c.columns, plan.along_n))
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
        b, c = self.b, self.c
        if c.epilogue is not None:
            tiles = [sums, *(self.source(access) for access in c.epilogue.sources)]
            body = c.epilogue.body.clone()
            sums = b.add(ops.MapOp(tiles, body, F32), "finished")
        rounded = b.cast(sums, c.result.element, "rounded")
        view = self.view(c.result, c.rows, c.columns)
        b.store(rounded, view, (*self.batch, self.i, self.j))

    def source(self, access: Access) -> SSAValue:
        """What the epilogue reads of an array, beside each sum; what is the same is loaded once."""
        b, c = self.b, self.c
        whole = self.plan.unit.accumulator
        layout, places = whole, [self.i, self.j]
        repeated = [d for d, dims in enumerate((c.rows, c.columns)) if not access.varies(dims)]
        for dim in repeated:
            layout, places[dim] = layout.reduce(dim), b.index(0)
        view = self.view(access, c.rows, c.columns)
        name = self.names[access.array]
        tile = b.load(view, (*self.batch, *places), layout, name)
        tile = b.cast(tile, F32, name) if access.element in NARROW else tile
        for dim in repeated[::-1]:
            others = [d for d in repeated if d < dim]
            target = whole
            for other in others:
                target = target.reduce(other)
            tile = b.broadcast(tile, target, dim, whole.shape[dim], name)
        return tile


def argument_names(arrays: Sequence[SSAValue]) -> dict[SSAValue, str]:
    """A name for each array, none twice."""
    names: dict[SSAValue, str] = {}
    for array in arrays:
        base = array.name_hint or "array"
        name, k = base, 1
        while name in names.values():
            k += 1
            name = f"{base}_{k}"
        names[array] = name
    return names


def contraction_program(name: str, contraction: Contraction, plan: Plan) -> ops.ProgramOp:
    """The program of `contraction`; its arguments are `contraction.arrays`, in order."""
    return ContractionBuilder(name, contraction, plan).build()
