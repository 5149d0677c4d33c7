"""A weight of few bits on its way into a product: copies to shared memory, codes, numbers, scales.

In: a `LowbitLinear` whose packed arrays are arguments of a program. Out: the fragments of a step.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from xdsl.ir import Attribute, SSAValue

from ...dialects.tile import ops
from ...dialects.tile.atoms import BF16, F32, FP8, I8, I32
from ...dialects.tile.register_layout import RegisterLayout
from ...dialects.tile.types import RegisterType
from .builder import Index, ProgramBuilder
from .lowbit_linear import LowbitLinear

SPLITS = 3  # bf16 that an f32 is the sum of


class WeightRing:
    """Stages of the weight's bytes, scales and zero points, of the tile along N of `move_to`."""

    def __init__(self, b: ProgramBuilder, linear: LowbitLinear) -> None:
        self.b, self.linear = b, linear
        _, bn, _ = linear.warps.tile
        stages, per_step = linear.config.stages, linear.groups_per_step
        tiles = (linear.tiles * linear.steps, linear.tile_bytes)
        self.weight = b.view_global("weight", tiles, [])
        self.weight_ring = b.alloc_shared("weight_ring", (stages, linear.tile_bytes), I8)
        table, small = (linear.tiles * linear.scale_rows, bn), (stages, per_step, bn)
        self.tables: dict[str, tuple[SSAValue, SSAValue]] = {}  # in global and in shared memory
        if linear.group is not None:
            ring = b.alloc_shared("scale_ring", small, linear.scale_element)
            self.tables["scale"] = b.view_global("scales", table, []), ring
        if linear.has_zeros:
            ring = b.alloc_shared("zero_ring", small, linear.zero_element)
            self.tables["zero"] = b.view_global("zeros", table, []), ring
        if linear.has_table:
            entries = (1 << linear.code.element.width,)
            self.levels = b.view_global("levels", entries, [])

    def move_to(self, column: SSAValue) -> None:
        """The steps to come are those of tile `column` along N."""
        self.first_tile = self.b.times(column, self.linear.steps)
        self.first_scale = self.b.times(column, self.linear.scale_rows)

    def copy(self, step: SSAValue, stage: SSAValue) -> None:
        """Start the copies of a step."""
        b, linear = self.b, self.linear
        tile = b.plus(self.first_tile, step)
        b.copy_async(self.weight, (tile, 0), self.weight_ring, stage, True)
        for source, ring in self.tables.values():
            if linear.group is None or linear.has_small_groups:
                row = b.plus(self.first_scale, b.times(step, linear.groups_per_step))
            else:
                bk = linear.warps.tile[2]
                row = b.plus(self.first_scale, b.quotient(step, linear.group // bk))
            b.copy_async(source, (row, 0), ring, stage, True)

    def numbers(self, stage: SSAValue) -> SSAValue:
        """[N, K] of a step, less zero points; times the scales of groups that do not fill it."""
        b, linear = self.b, self.linear
        held = b.load(self.weight_ring, (stage, 0), linear.byte_layout, "bytes")
        codes = b.add(ops.ViewOp(held, RegisterType.of(linear.fragments, linear.code)), "codes")
        if linear.has_table:
            right = b.lookup(codes, self.levels, "right")
        else:
            right = b.cast(codes, linear.number, "right", linear.levels)
        if linear.is_wide:
            right = b.cast(right, F32, "right")
        if "zero" in self.tables and not linear.is_rounded:
            right = b.binary("sub", right, self._spread("zero", stage), "right")
        if linear.has_small_groups:
            right = b.binary("mul", right, self._spread("scale", stage), "right")
        return right

    def _spread(self, what: str, stage: SSAValue) -> SSAValue:
        """Numbers of groups [groups, N] in the place of every number of the tile [N, K]."""
        b, linear = self.b, self.linear
        layout = linear.fragments
        size = linear.warps.tile[2]
        if linear.has_small_groups and linear.group:
            size = linear.group
        reduced = layout.reduce(1, size).permute((1, 0))
        loaded = b.load(self.tables[what][1], (stage, 0, 0), reduced, f"{what}s")
        turned = b.add(ops.TransposeOp(loaded), f"{what}s")
        return b.broadcast(turned, layout, 1, size, f"every_{what}")

    def multiplied(
        self, left: SSAValue, stage: SSAValue, carried: SSAValue, rows: SSAValue | None = None
    ) -> SSAValue:
        """`carried` + `left` @ the weight of a step, whose scale comes once for the step's sums.

        `rows` are the sums of rounded activations in the step, [1, M]. Tensor cores may keep fewer
        bits of sums of fp8 than f32 has, so that those of a step are added by themselves.
        """
        b, linear, right = self.b, self.linear, self.numbers(stage)
        is_fp8 = linear.is_rounded and not linear.is_integer
        if not self.scales_sums and not is_fp8:
            return dot(b, left, right, carried)
        total = I32 if linear.is_integer else F32
        zeros = b.fill(0.0, linear.warps.accumulator, total, "part_sums")
        part = dot(b, left, right, zeros)
        if self.scales_sums:
            if linear.is_rounded:
                part = self.floats(part)
                part = part if rows is None else self.corrected(part, rows, stage)
            part = self.scaled(part, stage)
        return b.binary("add", carried, part, "sums")

    @property
    def carried(self) -> Attribute:
        """The type of the sums that steps hand on."""
        return I32 if self.linear.is_integer and not self.scales_sums else F32

    def floats(self, sums: SSAValue) -> SSAValue:
        """Sums of products with rounded activations in f32, times the step of the numbers."""
        b, step = self.b, float(self.linear.step)
        found = b.cast(sums, F32, "part")
        if step == 1:
            return found
        factor = b.fill(step, ops.register_of(sums).layout, F32, "number_step")
        return b.binary("mul", found, factor, "part")

    def corrected(self, part: SSAValue, rows: SSAValue, stage: SSAValue) -> SSAValue:
        """`part` less zero points times the sums of the rows."""
        b, layout = self.b, ops.register_of(part).layout
        turned = b.add(ops.TransposeOp(rows), "row_sum")
        sums = b.broadcast(turned, layout, 1, layout.shape[1], "every_row_sum")
        if "zero" in self.tables:
            zeros = of_columns(b, self.tables["zero"][1], (stage, 0, 0), layout, "zero")
        else:
            zeros = b.fill(self.linear.zero, layout, F32, "every_zero")
        return b.binary("sub", part, b.binary("mul", sums, zeros, "off"), "part")

    @property
    def scales_sums(self) -> bool:
        """Whether the sums of a step are to be scaled."""
        return self.linear.group is not None and not self.linear.has_small_groups

    def scaled(self, sums: SSAValue, stage: SSAValue) -> SSAValue:
        """A step's sums, where groups fill it."""
        return scale_columns(self.b, self.tables["scale"][1], (stage, self.b.index(0)), sums)


def dot(b: ProgramBuilder, left: SSAValue, right: SSAValue, sums: SSAValue) -> SSAValue:
    """sums + left @ right^T; f32 operands go in as three bf16, products below f32 left out.

    Where only `right` is of f32, it is rounded to the type of `left`.
    """
    element = ops.register_of(left).element
    if element in FP8:
        return b.add(ops.DotOp(left, right, sums), "sums")
    if element != F32:
        return b.add(ops.DotOp(left, b.cast(right, element, "right"), sums), "sums")
    rights = list(split(b, right, "right"))
    for k, part in enumerate(split(b, left, "left")):
        for other in rights[: SPLITS - k]:
            sums = b.add(ops.DotOp(part, other, sums), "sums")
    return sums


def split(b: ProgramBuilder, value: SSAValue, name: str) -> Iterator[SSAValue]:
    """An f32 tile as three of bf16 that add up to it, the largest first; a bf16 tile as it is."""
    if ops.register_of(value).element != F32:
        yield value
        return
    for k in range(SPLITS):
        part = b.cast(value, BF16, f"{name}_part")
        yield part
        if k < SPLITS - 1:
            value = b.binary("sub", value, b.cast(part, F32, "taken"), f"{name}_rest")


def scale_rows(b: ProgramBuilder, source: SSAValue, row: SSAValue, sums: SSAValue) -> SSAValue:
    """`sums` [M, N] times the scales of M rows from `row` on, an array [rows, 1]."""
    layout: RegisterLayout = ops.register_of(sums).layout
    scale = b.load(source, (row, 0), layout.reduce(1), "row_scale")
    every = b.broadcast(scale, layout, 1, layout.shape[1], "every_row_scale")
    return b.binary("mul", sums, every, "sums")


def scale_columns(
    b: ProgramBuilder, source: SSAValue, lead: tuple[SSAValue, ...], sums: SSAValue
) -> SSAValue:
    """`sums` [M, N] times the row of N scales at `lead` of an array."""
    every = of_columns(b, source, (*lead, 0), ops.register_of(sums).layout, "scale")
    return b.binary("mul", sums, every, "scaled")


def of_columns(
    b: ProgramBuilder, source: SSAValue, place: Sequence[Index], layout: RegisterLayout, name: str
) -> SSAValue:
    """[M, N] of `layout` in f32: the row of N numbers at `place` of an array, in every row."""
    row = b.cast(b.load(source, place, layout.reduce(0), name), F32, name)
    return b.broadcast(row, layout, 0, layout.shape[0], f"every_{name}")
