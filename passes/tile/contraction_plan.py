"""Which tiles a contraction is computed in, by an analytic model of a GPU.

In: a `Contraction`. Out: a `Plan`; None where no tiles fit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod

from xdsl.ir import Attribute

from ...dialects.tile.atoms import BF16, F16, F32
from ...dialects.tile.register_layout import RegisterLayout
from ...dialects.tile.types import bits_of
from .contraction import Contraction
from .fma_threads import SLICE, FmaThreads
from .matmul import MOST_REGISTERS, SHARED_BYTES
from .pipeline import Warps
from .stripes import Stripes, block_counts

FMA_PER_CLOCK = 128  # of a multiprocessor
MMA_PER_CLOCK = 1024  # multiplications of f16 by tensor cores
BYTES_PER_CLOCK = 40  # a multiprocessor's share of the second-level cache's bandwidth
WARPS_TO_HIDE = 8  # warps of a multiprocessor that hide the latency of the others
MOST_BLOCKS = 65535  # along the second and third axis of a grid


@dataclass(frozen=True)
class Plan:
    """Threads, steps along K of `depth`, and stages of the ring of copies.

    Each tile has a block or, with `blocks`, that many at most have stripes of the steps of all.
    """

    unit: FmaThreads | Warps
    depth: int
    stages: int
    along_m: bool
    along_n: bool
    blocks: int = 0

    def tiles(self, contraction: Contraction) -> tuple[int, int, int]:
        """Along batch, M and N."""
        batch, rows, columns, _ = contraction.shape
        return batch, -(-rows // self.tile[0]), -(-columns // self.tile[1])

    def steps(self, contraction: Contraction) -> int:
        """Steps along K."""
        return -(-contraction.shape[3] // self.depth)

    def stripes(self, contraction: Contraction) -> Stripes | None:
        """How blocks share the steps; None where each has a tile."""
        if not self.blocks:
            return None
        return Stripes(prod(self.tiles(contraction)), self.steps(contraction), self.blocks)

    @property
    def threads(self) -> int:
        """Threads of a block."""
        return self.unit.threads

    @property
    def tile(self) -> tuple[int, int]:
        """(M, N) of a block."""
        return self.unit.tile[0], self.unit.tile[1]

    @property
    def slice(self) -> int:
        """Steps along K between loads from shared memory to registers."""
        return SLICE if isinstance(self.unit, FmaThreads) else self.depth

    @property
    def lhs(self) -> RegisterLayout:
        """How a slice of lhs is loaded: [M, K], or [K, M] where memory runs along M."""
        if isinstance(self.unit, FmaThreads) or not self.along_m:
            return self.unit.lhs
        return self.unit.lhs.permute((1, 0))

    @property
    def rhs(self) -> RegisterLayout:
        """How a slice of rhs is loaded: [N, K], or [K, N] where memory runs along N."""
        if isinstance(self.unit, FmaThreads) or not self.along_n:
            return self.unit.rhs
        return self.unit.rhs.permute((1, 0))


# Warps along M and N, rows and columns of each thread, depth.
FMA_TILES = (
    (4, 2, 8, 8, 16),
    (2, 2, 8, 8, 16),
    (2, 2, 8, 4, 16),
    (1, 4, 8, 4, 32),
    (2, 2, 4, 4, 32),
    (1, 4, 4, 4, 32),
    (1, 2, 4, 4, 32),
    (1, 4, 2, 4, 32),
    (1, 4, 1, 4, 32),
    (1, 2, 1, 4, 32),
    (1, 1, 1, 4, 32),
)
# Warps along M and N, instructions of each along M, N and K.
MMA_TILES = (
    (2, 4, (4, 4, 2)),
    (2, 2, (4, 4, 2)),
    (2, 2, (2, 4, 2)),
    (1, 4, (2, 4, 2)),
    (2, 2, (1, 4, 4)),
    (1, 4, (1, 4, 4)),
    (1, 4, (1, 2, 4)),
    (1, 2, (1, 2, 4)),
    (1, 1, (1, 2, 4)),
)
STAGES = 3


def operand(contraction: Contraction) -> Attribute:
    """The type of the products: 16 bits where both operands have the same 16-bit type, else f32."""
    lhs, rhs = contraction.lhs.element, contraction.rhs.element
    return lhs if lhs == rhs and lhs in (F16, BF16) else F32


def row_of(plan: Plan) -> tuple[int, ...]:
    """The row of the table of tiles that a plan was made of."""
    unit = plan.unit
    if isinstance(unit, Warps):
        return unit.rows, unit.columns, *unit.repeat
    return unit.rows, unit.columns, unit.rows_each, unit.columns_each, plan.depth


def plans(contraction: Contraction, stages: int = STAGES) -> Iterator[Plan]:
    """All plans with a ring of `stages`."""
    along_m = _runs_along(contraction, contraction.lhs.strides, contraction.rows)
    along_n = _runs_along(contraction, contraction.rhs.strides, contraction.columns)
    element = operand(contraction)
    if element == F32:
        for rows, columns, rows_each, columns_each, depth in FMA_TILES:
            threads = FmaThreads(rows, columns, rows_each, columns_each, along_m, along_n)
            yield Plan(threads, depth, stages, along_m, along_n)
    else:
        for rows, columns, repeat in MMA_TILES:
            warps = Warps(element, rows, columns, repeat)
            yield Plan(warps, warps.tile[2], stages, along_m, along_n)


def _runs_along(contraction: Contraction, strides: tuple[int, ...], dims: tuple[int, ...]) -> bool:
    """Whether neighbours in memory differ in `dims` and not along K."""
    if any(strides[d] == 1 for d in contraction.depth):
        return False
    return any(strides[d] == 1 for d in dims)


def fits(contraction: Contraction, plan: Plan) -> bool:
    """Whether registers, shared memory and the grid suffice."""
    m, n = plan.tile
    sizes = (m * bits_of(contraction.lhs.element), n * bits_of(contraction.rhs.element))
    shared = plan.stages * plan.depth * sum(sizes) // 8
    enough = not isinstance(plan.unit, Warps) or plan.unit.registers < MOST_REGISTERS
    batch, rows, _, _ = contraction.shape
    return enough and shared <= SHARED_BYTES and max(batch, -(-rows // m)) <= MOST_BLOCKS


def clocks(contraction: Contraction, plan: Plan, multiprocessors: int) -> float:
    """Clocks per number along K, times rounds of blocks, times the numbers of a block."""
    m, n = plan.tile
    stripes = plan.stripes(contraction)
    blocks, length = prod(plan.tiles(contraction)), float(contraction.shape[3])
    if stripes is not None:
        blocks, length = stripes.blocks, float(stripes.each * plan.depth)
    rate = FMA_PER_CLOCK if isinstance(plan.unit, FmaThreads) else MMA_PER_CLOCK
    warps = plan.threads // 32 * max(1.0, min(blocks / multiprocessors, 4))
    rate_reached = rate * min(1.0, warps / WARPS_TO_HIDE)
    lhs, rhs = (bits_of(a.element) / 8 for a in (contraction.lhs, contraction.rhs))
    traffic = (m * lhs + n * rhs) / BYTES_PER_CLOCK
    computing = max(1.0, blocks / multiprocessors) * (m * n / rate_reached + traffic) * length
    return computing + (0.0 if stripes is None else stripes.waiting)


def has_plan(contraction: Contraction) -> bool:
    """Whether tiles of any plan fit."""
    return any(fits(contraction, plan) for plan in plans(contraction))


def choose_plan(
    contraction: Contraction,
    multiprocessors: int,
    tile: tuple[int, ...] = (),
    stages: int = 0,
    blocks: int = 0,
) -> Plan | None:
    """The plan of least cost on so many multiprocessors; None where none fits.

    The one of row `tile` of the tables, where that is given and fits; with a ring of `stages`, and
    steps shared by `blocks` (1: by none).
    """
    possible = [p for p in plans(contraction, stages or STAGES) if fits(contraction, p)]
    possible = [p for p in possible if row_of(p) == tile] or possible
    shared = [
        replace(plan, blocks=count)
        for plan in possible
        for count in block_counts(
            prod(plan.tiles(contraction)), plan.steps(contraction), multiprocessors
        )
        if not blocks or count == 0
    ]
    if blocks > 1:
        shared = [replace(plan, blocks=blocks) for plan in possible]
    return min(shared, key=lambda plan: clocks(contraction, plan, multiprocessors), default=None)
