"""result[M, N] = lhs[M, K] weight[N, K]^T with a weight of 1 to 8 bits, as a tile program.

Each thread reads the bytes of its own fragment, `tile.view`s them as codes and converts them in
registers: nothing goes back to shared memory. Scales of groups that fill a step are applied to the
step's sums in f32, those of smaller groups to the numbers; zero points are subtracted before.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

from xdsl.dialects.builtin import IndexType
from xdsl.ir import Attribute, SSAValue

from ...dialects.errors import OptionError
from ...dialects.tile import ops
from ...dialects.tile.atoms import F32, I8, I32
from ...dialects.tile.bank_conflicts import choose_swizzle
from ...dialects.tile.register_layout import RegisterLayout, local, spatial
from ...dialects.tile.types import CodeType, PointerType, RegisterType, bits_of
from .builder import ProgramBuilder
from .matmul import MatmulConfig, grid_map
from .pipeline import Warps, add_in_order, pipelined, split_range


@dataclass(frozen=True)
class LowbitLinear:
    """What the program is made for: the weight's shape and format, activations, configuration.

    `element` names a row of the element table, `group` counts elements along K that share a scale
    (None: a whole row does), `has_zeros` whether groups have zero points.
    """

    rows: int
    columns: int
    element: str
    group: int | None
    has_zeros: bool
    activation: Attribute
    config: MatmulConfig
    levels: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        step = self.warps.tile[2]
        if self.group is not None and self.group % step and step % self.group:
            raise OptionError(
                f"groups of {self.group} neither fill nor divide steps of {step} along K: "
                "choose another repeat along K"
            )

    @property
    def warps(self) -> Warps:
        """How the warps lie."""
        c = self.config
        return Warps(self.activation, c.rows, c.columns, c.repeat)

    @property
    def code(self) -> CodeType:
        """The type of the weight's codes."""
        return CodeType.of(self.element)

    @property
    def steps(self) -> int:
        """Tiles along K."""
        return -(-self.columns // self.warps.tile[2])

    @property
    def tiles(self) -> int:
        """Tiles along N."""
        return -(-self.rows // self.warps.tile[1])

    @property
    def fragments(self) -> RegisterLayout:
        """The weight's tile [N, K] without copies: one column of warps holds it."""
        c = self.config
        return spatial(c.columns, 1) * local(*c.repeat[1:]) * self.warps.atom.rhs

    @property
    def thread_bytes(self) -> int:
        """Bytes of a thread's fragment."""
        return self.fragments.locals * bits_of(self.code) // 8

    @property
    def tile_bytes(self) -> int:
        """Bytes of a tile."""
        return self.thread_bytes * self.fragments.threads

    @property
    def byte_layout(self) -> RegisterLayout:
        """The tile's bytes: each thread up to 16 at a time, neighbours next to each other."""
        at_once = gcd(self.thread_bytes, 16)
        times = self.thread_bytes // at_once
        return local(times) * spatial(self.fragments.threads) * local(at_once)

    @property
    def has_small_groups(self) -> bool:
        """Whether several groups lie in a step."""
        return self.group is not None and self.group < self.warps.tile[2]

    @property
    def groups_per_step(self) -> int:
        """Rows of scales that a step reads."""
        return self.warps.tile[2] // self.group if self.has_small_groups and self.group else 1

    @property
    def scale_rows(self) -> int:
        """Rows of scales and zero points per tile along N."""
        if self.group is None:
            return 1
        if self.has_small_groups:
            return self.steps * self.groups_per_step
        return -(-self.columns // self.group)


def default_config(group: int | None, rows: int = 4096) -> MatmulConfig:
    """128 codes per thread and step, so that any width is read 16 bytes at a time."""
    if group is not None and group % 64 and group > 16:
        return MatmulConfig(1, 4, (1, 8, 2), 4)
    return MatmulConfig(1, 4, (1, 8, 4), 4)


def lowbit_program(name: str, linear: LowbitLinear) -> ops.ProgramOp:
    """Arguments lhs, weight, scales, zeros, channel_scales, result, workspace, semaphores, m.

    `weight`, `scales`, `zeros` and `channel_scales` are as `lowbit_packing` makes them.
    """
    warps, config, activation = linear.warps, linear.config, linear.activation
    bm, bn, bk = warps.tile
    if config.rows != 1:
        raise OptionError(f"weights of few bits are read by one row of warps, not {config.rows}")
    is_grouped = linear.group is not None
    per_step = linear.groups_per_step
    scale_element = activation if linear.has_small_groups else F32
    b = ProgramBuilder(
        name,
        warps.threads,
        grid_map(bm, linear.tiles, config.parts),
        [
            ("lhs", PointerType(activation)),
            ("weight", PointerType(I8)),
            ("scales", PointerType(scale_element)),
            ("zeros", PointerType(activation)),
            ("channel_scales", PointerType(F32)),
            ("result", PointerType(activation)),
            ("workspace", PointerType(F32)),
            ("semaphores", PointerType(I32)),
            ("m", IndexType()),
        ],
    )
    m = b.argument("m")
    column, row = b.block_index(0, "column"), b.block_index(1, "row")
    part = b.block_index(2, "part")
    n, k = linear.rows, linear.columns
    lhs = b.view_global("lhs", (-1, k), [m])
    weight = b.view_global("weight", (linear.tiles * linear.steps, linear.tile_bytes), [])
    table = (linear.tiles * linear.scale_rows, bn)
    scales, zeros = b.view_global("scales", table, []), b.view_global("zeros", table, [])
    channel_scales = b.view_global("channel_scales", (linear.tiles, bn), [])
    result = b.view_global("result", (-1, n), [m])
    swizzle = choose_swizzle((bm, bk), bits_of(activation) // 8)
    lhs_ring = b.alloc_shared("lhs_ring", (config.stages, bm, bk), activation, swizzle)
    weight_ring = b.alloc_shared("weight_ring", (config.stages, linear.tile_bytes), I8)
    small = (config.stages, per_step, bn)
    scale_ring = b.alloc_shared("scale_ring", small, scale_element) if is_grouped else None
    zero_ring = b.alloc_shared("zero_ring", small, activation) if linear.has_zeros else None
    i, j = b.times(row, bm), b.times(column, bn)
    first_tile, first_scale = b.times(column, linear.steps), b.times(column, linear.scale_rows)

    def scale_row(step: SSAValue) -> SSAValue:
        if linear.group is None:
            return first_scale
        if linear.has_small_groups:
            return b.plus(first_scale, b.times(step, per_step))
        return b.plus(first_scale, b.quotient(step, linear.group // bk))

    def copy(step: SSAValue, stage: SSAValue) -> None:
        b.copy_async(lhs, (i, b.times(step, bk)), lhs_ring, stage)
        b.copy_async(weight, (b.plus(first_tile, step), 0), weight_ring, stage, True)
        if scale_ring is not None:
            b.copy_async(scales, (scale_row(step), 0), scale_ring, stage, True)
        if zero_ring is not None:
            b.copy_async(zeros, (scale_row(step), 0), zero_ring, stage, True)

    group_size = linear.group if linear.has_small_groups and linear.group else bk

    def spread(ring: SSAValue, stage: SSAValue, layout: RegisterLayout, what: str) -> SSAValue:
        """Numbers of groups [groups, N] in the place of every number of the tile [N, K]."""
        reduced = layout.reduce(1, group_size)
        loaded = b.load(ring, (stage, 0, 0), reduced.permute((1, 0)), f"{what}s")
        turned = b.add(ops.TransposeOp(loaded), f"{what}s")
        return b.broadcast(turned, layout, 1, group_size, f"every_{what}")

    def compute(step: SSAValue, stage: SSAValue, carried: SSAValue) -> SSAValue:
        left = b.load(lhs_ring, (stage, 0, 0), warps.lhs, "left")
        held = b.load(weight_ring, (stage, 0), linear.byte_layout, "bytes")
        codes = b.add(ops.ViewOp(held, RegisterType.of(linear.fragments, linear.code)), "codes")
        right = b.cast(codes, activation, "right", linear.levels)
        if zero_ring is not None:
            zero = spread(zero_ring, stage, linear.fragments, "zero")
            right = b.binary("sub", right, zero, "right")
        if scale_ring is None or linear.has_small_groups:
            if scale_ring is not None:
                scale = spread(scale_ring, stage, linear.fragments, "scale")
                right = b.binary("mul", right, scale, "right")
            return b.add(ops.DotOp(left, right, carried), "sums")
        nothing = b.fill(0.0, warps.accumulator, F32, "part_sums")
        sums = b.add(ops.DotOp(left, right, nothing), "part_sums")
        scaled = scale_columns(scale_ring, (stage, b.index(0), b.index(0)), sums)
        return b.binary("add", carried, scaled, "sums")

    def scale_columns(source: SSAValue, offsets: tuple[SSAValue, ...], sums: SSAValue) -> SSAValue:
        layout = warps.accumulator
        scale = b.load(source, offsets, layout.reduce(0), "scale")
        every = b.broadcast(scale, layout, 0, bm, "every_scale")
        return b.binary("mul", sums, every, "scaled")

    def finish(sums: SSAValue) -> None:
        b.store(b.cast(sums, activation, "rounded"), result, (i, j))

    zero = b.fill(0.0, warps.accumulator, F32, "sums")
    steps = split_range(b, part, config.parts, linear.steps)
    sums = pipelined(b, steps, config.stages, copy, compute, zero)
    if not is_grouped or linear.has_small_groups:
        sums = scale_columns(channel_scales, (column, b.index(0)), sums)
    if config.parts == 1:
        finish(sums)
        return b.program
    workspace = b.view_global("workspace", (-1, n), [m])
    place = b.plus(b.times(row, linear.tiles), column)
    semaphores = b.view_global("semaphores", (-1,), [b.plus(place, 1)])
    add_in_order(b, sums, part, config.parts, (i, j), place, workspace, semaphores, finish)
    return b.program
