"""The context every pass receives: dialects, the weight store, and the target machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from xdsl.context import Context
from xdsl.dialects.arith import Arith
from xdsl.dialects.builtin import Builtin
from xdsl.dialects.func import Func
from xdsl.dialects.linalg import Linalg
from xdsl.dialects.math import Math
from xdsl.dialects.memref import MemRef
from xdsl.dialects.scf import Scf
from xdsl.dialects.tensor import Tensor
from xdsl.dialects.vector import Vector

from ..costmodel.hardware import Machine
from ..dialects.affine import Affine
from ..dialects.graph import Graph
from ..dialects.logistic import Logistic
from ..dialects.matrix import Matrix
from ..dialects.memory import Memory
from ..dialects.pairs import Pair
from ..dialects.poly import Poly
from ..dialects.quant import QuantizedTensor
from ..dialects.quant.ops import Quant
from ..dialects.tile.dialect import Tile
from ..dialects.vector import VectorExtension
from ..dialects.weights import WeightStore

if TYPE_CHECKING:
    from xdsl.dialects.builtin import ModuleOp

    from ..costmodel.decision import Decision
    from ..costmodel.features.hardware import Hardware
    from ..costmodel.models.interface import CostModel
    from .graph.patches.choice import MemoryChoice
    from .loops.program_plan import ProgramPlan

DIALECTS = (
    Builtin,
    Func,
    Affine,
    Arith,
    Math,
    Linalg,
    Tensor,
    MemRef,
    Scf,
    Vector,
    VectorExtension,
    Logistic,
    Graph,
    Poly,
    Quant,
    Pair,
    Matrix,
    Memory,
    Tile,
)


@dataclass
class CompileContext(Context):
    """An xDSL context with all dialects loaded, plus what passes may read besides the IR.

    `weights` may grow while passes run (folded constants); `machine` and `threads` are the target.
    `quantized` has the quantized form of weights by symbol; products with them take `activations`
    as f32 or int8; other contractions round their operands to `precision`.
    `convolutions` is auto or direct. `recorded_schedule` gives the schedule that tuning found for a
    task key, None where it found none. `cost_model` chooses between candidates on `hardware`, where
    both are given, and `grouping_model` which ops share a kernel; `decisions` is what was chosen
    between, by them or by another estimate.
    The arena is at most `max_memory` bytes where that is given; `memory` says how, and `plan_arena`
    what a module will take once its kernels are loops, where there is a pipeline to ask. With
    `stream_weights` it holds the weights of a kernel, too, while the kernel runs.
    """

    weights: WeightStore = field(default_factory=WeightStore)
    machine: Machine = field(default_factory=lambda: Machine("scalar", "scalar"))
    threads: int = 1
    quantized: dict[str, QuantizedTensor] = field(default_factory=dict)
    activations: str = "f32"
    precision: str = "f32"
    convolutions: str = "auto"
    recorded_schedule: Callable[[str], str | None] | None = None
    cost_model: CostModel | None = None
    grouping_model: CostModel | None = None
    hardware: Hardware | None = None
    decisions: list[Decision] = field(default_factory=list)
    max_memory: int | None = None
    memory: MemoryChoice | None = None
    plan_arena: Callable[[ModuleOp], ProgramPlan] | None = None
    stream_weights: bool = False

    def __post_init__(self) -> None:
        for dialect in DIALECTS:
            self.load_dialect(dialect)
