"""The choices of GPU schedules as a space: tiles, stages, threads, as far as a kernel has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from random import Random
from typing import Any

from xdsl.dialects.func import FuncOp

from ...costmodel.gpu_roofline import multiprocessors_of
from ...costmodel.hardware import Machine
from ...dialects.poly import ScopOp
from ...dialects.quant.ops import QuantizedLinearOp
from ..poly.rules_gpu.choice import KEYS, STAGES, THREADS, WARPS, GpuChoice
from ..poly.sets import box_extents
from ..poly.simplification.collapse_dims import collapse_dims
from ..poly.simplification.inline_statements import inline_statements
from .attention import Attention
from .contraction import Contraction
from .contraction_plan import clocks, fits, plans, row_of
from .quantized_plan import cost
from .quantized_plan import plans as plans_of_product
from .quantized_plan import row_of as row_of_product
from .rows import Rows
from .stripes import SHARES
from .tile_programs import pieces_of


def blocks_of(multiprocessors: int) -> tuple[int, ...]:
    """Numbers of blocks that may share the steps of few tiles; 1: none do."""
    return 1, multiprocessors // 2, *(multiprocessors * share for share in SHARES)


@dataclass(frozen=True)
class GpuSpace:
    """`values` has what each field may be; those that a kernel does not depend on are missing."""

    values: dict[str, tuple[Any, ...]]

    @staticmethod
    def of(kernel: ScopOp | FuncOp, machine: Machine) -> GpuSpace:
        """The space of a kernel in its original order, or of a product with a quantized weight."""
        if isinstance(kernel, FuncOp):
            return GpuSpace.of_products(kernel, machine)
        return GpuSpace.of_scop(kernel, multiprocessors_of(machine))

    @staticmethod
    def of_products(func: FuncOp, machine: Machine) -> GpuSpace:
        """Tiles that fit, the best ones by the estimate first, or the weight expanded."""
        values: dict[str, tuple[Any, ...]] = {}
        for op in func.body.walk():
            if isinstance(op, QuantizedLinearOp):
                found = sorted(plans_of_product(op), key=lambda p, op=op: cost(op, p, machine))  # type: ignore[misc]
                values["tile"] = tuple(dict.fromkeys(map(row_of_product, found)))
                values |= {"stages": STAGES, "blocks": blocks_of(multiprocessors_of(machine))}
        return GpuSpace(values if values.get("tile") else {})

    @staticmethod
    def of_scop(scop: ScopOp, multiprocessors: int) -> GpuSpace:
        """Whatever the pieces of a scop depend on."""
        is_box = all(box_extents(s.domain.data) is not None for s in scop.statements)
        if not is_box or not scop.is_sequence_of_nests:
            return GpuSpace({})
        copy = scop.clone()
        collapse_dims(copy)
        inline_statements(copy)
        values: dict[str, tuple[Any, ...]] = {}
        for piece in pieces_of(copy):
            match piece:
                case Contraction():
                    found = [p for p in plans(piece) if fits(piece, p)]
                    found.sort(key=lambda p, piece=piece: clocks(piece, p, multiprocessors))  # type: ignore[misc]
                    rows = dict.fromkeys((*values.get("tile", ()), *map(row_of, found)))
                    values |= {"tile": tuple(rows), "stages": STAGES}
                    values["blocks"] = blocks_of(multiprocessors)
                case Attention():
                    values |= {"warps": WARPS, "stages": STAGES, "keys": KEYS}
                case Rows():
                    values["warps"] = WARPS
                case list():
                    values["threads"] = THREADS
        return GpuSpace(values)

    @property
    def usual(self) -> GpuChoice:
        """What the rules do."""
        return GpuChoice()

    def parse(self, text: str) -> GpuChoice:
        """The choice of a record; IllegalScheduleError for another text."""
        return GpuChoice.parse(text)

    def defaults(self) -> Sequence[GpuChoice]:
        """The rules, then one field changed, the tiles that the analytic model likes first."""
        return [
            self.usual,
            *(
                replace(self.usual, **{name: value})
                for name, values in self.values.items()
                for value in values
            ),
        ]

    def sample(self, rng: Random) -> GpuChoice:
        """Any choice."""
        return GpuChoice(**{name: rng.choice(values) for name, values in self.values.items()})

    def mutate(self, point: GpuChoice, rng: Random) -> GpuChoice:
        """One field changed."""
        if not self.values:
            return point
        name = rng.choice(list(self.values))
        return replace(point, **{name: rng.choice(self.values[name])})

    def crossover(self, one: GpuChoice, other: GpuChoice, rng: Random) -> GpuChoice:
        """Each field from either."""
        return GpuChoice(
            **{f.name: getattr(rng.choice((one, other)), f.name) for f in fields(GpuChoice)}
        )
