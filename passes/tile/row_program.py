"""Steps on rows as a tile program: lanes share a row, shuffles combine it, registers hold it.

In: a `Rows`. Out: a `tile.program` whose arguments are the arrays. Numbers of a row are combined in
an order that its length alone fixes.
"""

from __future__ import annotations

from xdsl.ir import SSAValue

from ...dialects.tile import ops
from ...dialects.tile.atoms import F32
from ...dialects.tile.register_layout import RegisterLayout, local, spatial
from .access import Access
from .rows import NEUTRAL, Rows, RowStep
from .scalar_body import NARROW, below
from .views import KernelBuilder

WARPS, LANES = 4, 32


def row_layout(columns: int, vector: int, warps: int = WARPS) -> RegisterLayout:
    """[rows, columns]: `vector` neighbours to a lane, as many lanes to a row as it has use for."""
    lanes = LANES
    while lanes > 1 and lanes * vector >= 2 * columns:
        lanes //= 2
    times = -(-columns // (lanes * vector))
    rows = warps * (LANES // lanes)
    return spatial(rows, 1) * local(1, times) * spatial(1, lanes) * local(1, vector)


class RowBuilder(KernelBuilder):
    """Writes the program of a chain of steps."""

    def __init__(self, name: str, rows: Rows, warps: int) -> None:
        self.rows = rows
        self.layout = row_layout(rows.extents[-1], rows.vector, warps)
        blocks = -(-rows.count // self.layout.shape[0])
        super().__init__(name, warps * LANES, (blocks, 1, 1), rows.arrays, rows.extents)
        at_once = self.layout.shape[0]
        self.first = self.b.times(self.b.block_index(0, "block"), at_once)
        self.first.name_hint = "first_row"
        self.tiles: dict[SSAValue, SSAValue] = {}
        self.loaded: dict[Access, SSAValue] = {}

    def build(self) -> ops.ProgramOp:
        """The program."""
        for step in self.rows.steps:
            self.tiles[step.target.array] = self.step(step)
        return self.b.program

    def step(self, step: RowStep) -> SSAValue:
        """The result of a step, stored where others need it."""
        b, rows = self.b, self.rows
        wide = step.reduction is not None or step.target.varies(rows.columns)
        layout = self.layout if wide else self.layout.reduce(1)
        sources = [self.spread(self.source(access), layout) for access in step.sources]
        name = step.target.array.name_hint or "step"
        result = b.add(ops.MapOp(sources, step.body.clone(), F32), name)
        if step.reduction is not None:
            inside = self.only_inside(result, NEUTRAL[step.reduction])
            result = b.add(ops.ReduceOp(step.reduction, inside, 1), name)
        element = step.target.element
        rounded = b.cast(result, element, name)
        if step.target.array in rows.stored:
            view = self.view(step.target, rows.rows, rows.columns)
            b.store(rounded, view, (self.first, b.index(0)))
        return b.cast(rounded, F32, name) if element in NARROW else result

    def source(self, access: Access) -> SSAValue:
        """What a step reads: a tile at hand, or from memory, once."""
        if access.array in self.tiles:
            return self.tiles[access.array]
        if access not in self.loaded:
            groups, places = (self.rows.rows, self.rows.columns), (self.first, 0)
            self.loaded[access] = self.load(access, [], groups, places, self.layout)
        return self.loaded[access]

    def only_inside(self, tile: SSAValue, neutral: float) -> SSAValue:
        """`tile` with `neutral` behind the end of the row."""
        columns, b = self.rows.extents[-1], self.b
        if self.layout.shape[1] == columns:
            return tile
        number = b.add(ops.IndicesOp(1, b.index(0), self.layout), "number")
        return b.add(ops.MapOp([tile, number], below(columns, neutral), F32), "inside")


def row_program(name: str, rows: Rows, warps: int = WARPS) -> ops.ProgramOp:
    """The program of `rows`, a block of `warps`; its arguments are `rows.arrays`, in order."""
    return RowBuilder(name, rows, warps).build()
