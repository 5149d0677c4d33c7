"""How a GPU computes `quant.linear`: tiles, parts of K, or the weight expanded first.

In: the op. Out: a `LinearPlan` by an analytic model; None where no tile program computes the op.

f32 activations are written as sums of three bf16, which are exact to 24 bits: tensor cores multiply
each by the codes' numbers, which bf16 has, and add up in f32. Where it does not have them (most
codebooks, zero points that are floats) the numbers are computed in f32 and become three bf16 too;
16-bit activations get them rounded once. Activations rounded to int8 meet the codes of integers as
they are, those rounded to fp8 numbers that fp8 has; other formats have no tiles for them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

import ml_dtypes
import numpy as np
from xdsl.ir import Attribute

from ...costmodel.gpu_roofline import multiprocessors_of
from ...costmodel.hardware import Machine
from ...dialects.graph import element_of, shape_of
from ...dialects.quant import IntegerElement, WeightFormat
from ...dialects.quant.ops import QuantizedLinearOp
from ...dialects.tile.atoms import BF16, E4M3, F16, F32, I8, atom_for
from ...dialects.tile.types import bits_of
from ..poly.rules_gpu.choice import GpuChoice
from .contraction_plan import BYTES_PER_CLOCK, MMA_PER_CLOCK
from .lowbit_linear import LowbitLinear, fp8_numbers, linear_of
from .matmul import SHARED_BYTES, MatmulConfig
from .pipeline import Warps
from .stripes import Stripes, block_counts
from .weight_ring import SPLITS

WARPS, STAGES = 4, 3
RULES = GpuChoice()
MOST_REGISTERS = 176  # of tiles; addresses, and numbers on their way, need others
DECODES_PER_CLOCK = 64  # codes that a multiprocessor turns into numbers
LOOKUPS_PER_CLOCK = 32  # the same by loads from a table
MEMORY_PER_CLOCK = 10  # a multiprocessor's share of the bytes from memory, all of them asking
LAUNCH_CLOCKS = 3000  # until the next kernel runs
WAITING_CLOCKS = 100  # of a step: barriers and latency


@dataclass(frozen=True)
class LinearPlan:
    """The product's tiles, one to a block; or, with `blocks`, their steps in stripes for that many
    at most; or, with `dense`, the weight expanded to memory and multiplied by these warps."""

    linear: LowbitLinear
    blocks: int = 0
    dense: Warps | None = None

    def row_tiles(self, rows: int) -> int:
        """Tiles along M."""
        return -(-rows // self.linear.warps.tile[0])

    def stripes(self, rows: int) -> Stripes | None:
        """How blocks share the steps; None where each has a tile."""
        if not self.blocks:
            return None
        return Stripes(self.linear.tiles * self.row_tiles(rows), self.linear.steps, self.blocks)


def operand_of(activation: Attribute) -> Attribute:
    """The type that tensor cores multiply."""
    return BF16 if activation == F32 else activation


def memory_of(op: QuantizedLinearOp) -> Attribute:
    """The type of the activations that the product's program reads."""
    rounded = {"int8": I8, "fp8": E4M3}
    return rounded.get(op.activations.data, element_of(op.source))


def is_exact(format: WeightFormat, operand: Attribute) -> bool:
    """Whether `operand` has all numbers that codes and zero points stand for."""
    element = format.element
    if isinstance(element, IntegerElement):
        return format.zero in ("none", "int")
    levels = element.levels
    return format.zero == "none" and levels.size > 0 and _fits(levels, operand, rounded=False)


def _fits(levels: np.typing.NDArray[np.float32], operand: Attribute, rounded: bool) -> bool:
    """Whether `operand` has the numbers, or at least some near them."""
    with np.errstate(over="ignore"):
        narrow = levels.astype(np.float16 if operand == F16 else ml_dtypes.bfloat16)
    wide = narrow.astype(np.float32)
    return bool(np.isfinite(wide).all() and (rounded or (wide == levels).all()))


def forms(format: WeightFormat, activation: Attribute) -> tuple[bool, bool] | None:
    """(numbers are computed in f32, codes are looked up in the stored table); None: no tiles."""
    element, operand = format.element, operand_of(activation)
    if activation == I8:
        return (False, False) if isinstance(element, IntegerElement) else None
    if activation == E4M3:
        fits = format.group is None or format.group % atom_for(E4M3).k == 0
        return (False, False) if fits and fp8_numbers(element) is not None else None
    if isinstance(element, IntegerElement):
        is_plain = format.zero in ("none", "int") and format.group != 8
        return not is_plain, False
    levels = element.levels
    if levels.size and not _fits(levels, operand, rounded=True):
        return None
    exact = is_exact(format, operand)
    if not levels.size or (activation == F32 and not exact):
        return True, True
    return format.zero != "none" or format.group == 8, False


def candidates(
    format: WeightFormat, rows: int, activation: Attribute, is_wide: bool, stages: int = STAGES
) -> Iterator[MatmulConfig]:
    """Configurations whose steps are filled by groups, and whose threads have whole words."""
    splits = SPLITS if activation == F32 else 1
    atom, is_rounded = atom_for(operand_of(activation)), activation in (I8, E4M3)
    for m, n, k in product((1, 2, 4), (1, 2, 4, 8), (8, 4, 2, 1)):
        if m > 1 and rows <= 8 * m:
            continue
        is_eight = format.group == 8 and not is_rounded
        fills = format.group is None or format.group % (atom.k * k) == 0 or is_eight
        if not fills or n * k * atom.rhs.locals * format.element.width % 32:
            continue
        scales_sums = is_rounded or (format.group is not None and format.group != 8)
        sums = 4 * m * n * (2 if scales_sums else 1)
        left = 4 * m * k * (2 if splits > 1 else 1)
        right = (4 + 2 * splits if is_wide else 2) * n * k
        if sums + left + right <= MOST_REGISTERS:
            yield MatmulConfig(1, WARPS, (m, n, k), stages)


def shared_bytes(linear: LowbitLinear, activation: Attribute) -> int:
    """Shared memory of the stages, but for a few scales."""
    bm, _, bk = linear.warps.tile
    return linear.config.stages * (bm * bk * bits_of(activation) // 8 + linear.tile_bytes + 1024)


def clocks(plan: LinearPlan, rows: int, activation: Attribute, machine: Machine) -> float:
    """Estimated clocks of a program: rounds of blocks, no faster than memory."""
    multiprocessors = multiprocessors_of(machine)
    linear, stripes = plan.linear, plan.stripes(rows)
    bm, bn, bk = linear.warps.tile
    splits = SPLITS if activation == F32 else 1
    products = splits * (splits + 1) // 2 if linear.is_wide else splits
    code, operand = bits_of(linear.code) / 8, bits_of(activation) / 8
    decoding = LOOKUPS_PER_CLOCK if linear.has_table else DECODES_PER_CLOCK
    step = (bn * code + bm * operand) * bk / BYTES_PER_CLOCK
    # for sm_90, mma.sync of fp8 is widened to f16
    is_double = linear.is_integer or (linear.is_rounded and machine.name == "sm_89")
    rate = MMA_PER_CLOCK * (2 if is_double else 1)
    step += products * bm * bn * bk / rate + bn * bk / decoding + WAITING_CLOCKS
    blocks, each, waiting = linear.tiles * plan.row_tiles(rows), linear.steps, 0.0
    moved = linear.rows * linear.columns * code + rows * linear.columns * operand
    if stripes is not None:
        parts = stripes.parts
        blocks, each = stripes.blocks, stripes.each
        waiting = stripes.waiting
        moved += 8 * min(rows, bm) * bn * (sum(parts) - len(parts))  # sums are written and read
    compute = max(1.0, blocks / multiprocessors) * each * step
    return max(compute, moved / MEMORY_PER_CLOCK / multiprocessors) + waiting


DENSE = ((2, 4, (4, 4, 2)), (2, 2, (4, 4, 2)), (2, 2, (2, 4, 2)))


def dense_clocks(linear: LowbitLinear, rows: int, warps: Warps, multiprocessors: int) -> float:
    """Estimated clocks of expanding the weight and multiplying it."""
    bm, bn, _ = warps.tile
    size = linear.rows * linear.columns
    blocks = -(-linear.rows // bn) * -(-rows // bm)
    decoding = LOOKUPS_PER_CLOCK if linear.has_table else DECODES_PER_CLOCK
    moved = size * (bits_of(linear.code) / 8 + 2) / MEMORY_PER_CLOCK
    expanding = max(moved, size / decoding) / multiprocessors
    per_k = (bm + bn) * 2 / BYTES_PER_CLOCK + bm * bn / MMA_PER_CLOCK
    rounds = max(1.0, blocks / multiprocessors)
    waiting = WAITING_CLOCKS / warps.tile[2]
    return expanding + LAUNCH_CLOCKS + rounds * linear.columns * (per_k + waiting)


def row_of(plan: LinearPlan) -> tuple[int, ...]:
    """The tile of a plan as `GpuChoice` has it; several warps along M are those of `dense`."""
    tile = plan.dense or plan.linear.config
    return tile.rows, tile.columns, *tile.repeat


def plans(op: QuantizedLinearOp, stages: int = STAGES) -> Iterator[LinearPlan]:
    """All that fit, a tile to each block; none where no tile program computes `op` as written."""
    if element_of(op.source) not in (F32, F16, BF16) or op.activations.data == "int16":
        return
    activation, format = memory_of(op), op.weight_format
    found = forms(format, activation)
    if found is None:
        return
    shape, operand = shape_of(op.codes), operand_of(activation)
    first: LowbitLinear | None = None
    for config in candidates(format, op.rows, activation, found[0], stages):
        linear = linear_of(format, (shape[0], shape[1]), operand, config, *found)
        if shared_bytes(linear, activation) <= SHARED_BYTES:
            first = first or linear
            yield LinearPlan(linear)
    if first is not None and activation in (F16, BF16):
        for rows, columns, repeat in DENSE:
            yield LinearPlan(first, 0, Warps(operand, rows, columns, repeat))


def cost(op: QuantizedLinearOp, plan: LinearPlan, machine: Machine) -> float:
    """Estimated clocks of all its launches."""
    if plan.dense is not None:
        return dense_clocks(plan.linear, op.rows, plan.dense, multiprocessors_of(machine))
    return clocks(plan, op.rows, memory_of(op), machine)


def choose_plan(
    op: QuantizedLinearOp, machine: Machine, choice: GpuChoice = RULES
) -> LinearPlan | None:
    """The plan of least cost; None where no tile program computes `op` as it is written.

    The one of tile `choice.tile`, where that is given and fits, with a ring of `stages`, and steps
    shared by `blocks` (1: by none).
    """
    possible = list(plans(op, choice.stages or STAGES)) or list(plans(op))
    possible = [plan for plan in possible if row_of(plan) == choice.tile] or possible
    shared: list[LinearPlan] = []
    for plan in possible:
        tiles = plan.linear.tiles * plan.row_tiles(op.rows)
        counts = block_counts(tiles, plan.linear.steps, multiprocessors_of(machine))
        if plan.dense is not None or choice.blocks == 1:
            counts = iter([0])
        elif choice.blocks:
            counts = iter([choice.blocks])
        shared += [replace(plan, blocks=count) for count in counts]
    return min(shared, key=lambda plan: cost(op, plan, machine), default=None)
