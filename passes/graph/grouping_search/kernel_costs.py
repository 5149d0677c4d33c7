"""What the kernel of a group would cost: it is lowered and scheduled by the rules, and a cost model
predicts its time. Equal kernels are lowered once; how many are is bounded."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from xdsl.ir import SSAValue

from ....costmodel.features.hardware import Hardware
from ....costmodel.features.nests import Array
from ....costmodel.models.interface import Candidates, Uncertain
from ....dialects.errors import IllegalScheduleError, LoweringError
from ....dialects.graph.opaque import OpaqueOp
from ....dialects.poly import ScopOp
from ...context import CompileContext
from ...poly.extraction.extract_scop import extract_scop
from ...poly.rules.choice import RULES
from ...poly.rules.decide import described, is_small, recorded
from ...poly.rules.schedule import apply_recorded
from ..convert_graph_to_linalg import convert_kernel
from ..groups import Group
from ..outline import KernelBody
from .partition import Program, kernel_key

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Price:
    """Seconds by each member of a model, and how many loop nests and statements these are for."""

    seconds: Array
    nests: int
    statements: int


class KernelCosts:
    """Predictions for kernels of one program, by all members of a model; `left` is how many more
    may be lowered."""

    def __init__(
        self, ctx: CompileContext, model: Uncertain, hardware: Hardware, program: Program
    ) -> None:
        self.ctx, self.model, self.hardware, self.program = ctx, model, hardware, program
        self.known: dict[Hashable, Price | None] = {}
        self.left = 0

    def key(self, group: Group, results: Sequence[SSAValue]) -> Hashable:
        """The name of the kernel of `group` that writes `results`."""
        return kernel_key(group, results, self.program)

    def missing(self, keys: Iterable[Hashable]) -> int:
        """How many of the kernels would have to be lowered."""
        return len(set(keys) - self.known.keys())

    def of(self, key: Hashable, group: Group, results: Sequence[SSAValue]) -> Price | None:
        """The price of a kernel; None where nothing can be said."""
        if key not in self.known:
            self.left -= 1
            self.known[key] = self.predicted(group, results)
        return self.known[key]

    def predicted(self, group: Group, results: Sequence[SSAValue]) -> Price | None:
        """Lower the kernel and ask the model."""
        try:
            scop = self.scop(group, results)
            if scop is None or not is_small(scop):
                return None
            variant = recorded(scop, self.ctx)
            if variant is None:
                variant = scop
                apply_recorded(variant, self.ctx.machine, self.ctx.threads, str(RULES))
            program = described(variant, self.ctx.threads)
            candidates = Candidates.of([program], self.hardware)
        except (LoweringError, IllegalScheduleError) as error:
            logger.info("a kernel of %d ops cannot be had: %s", len(group.ops), error)
            return None
        outermost = {int(nest.axes[0]) for nest in program.nests if len(nest.axes)}
        seconds = np.exp(self.model.log_seconds(candidates)[:, 0])
        return Price(seconds, len(outermost), len(program.nests))

    def scop(self, group: Group, results: Sequence[SSAValue]) -> ScopOp | None:
        """The statements of the kernel; None where it has opaque ops."""
        stored: set[SSAValue] = {op.result for op in self.program.computed}
        kernel = KernelBody(group, stored).function("kernel", results)
        convert_kernel(kernel)
        if any(isinstance(op, OpaqueOp) for op in kernel.body.block.ops):
            return None
        return extract_scop(kernel)
