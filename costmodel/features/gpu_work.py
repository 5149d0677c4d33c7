"""What a launch on a GPU has to do: arithmetic, bytes it asks for, bytes of the arrays it touches.

In: the body of a launch (a function of bound loops, or a tile program) and the bytes of the arrays
that its arguments are. Out: a `GpuWork`, from which `costmodel/gpu_roofline.py` estimates seconds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod

from xdsl.dialects import arith, memref, scf, vector
from xdsl.dialects.builtin import AnyFloat, IntegerAttr, MemRefType
from xdsl.dialects.func import FuncOp
from xdsl.ir import Block, Operation, SSAValue
from xdsl.utils.type import get_element_type_or_self

from ...dialects.tile import ops
from ...dialects.tile.types import SharedType, TileType, bits_of

# The value of an index in a block in the middle of the grid; see `_Counter.value`.
ARITHMETIC: dict[type[Operation], Callable[[int, int], int]] = {
    arith.AddiOp: lambda a, b: a + b,
    arith.SubiOp: lambda a, b: a - b,
    arith.MuliOp: lambda a, b: a * b,
    arith.DivUIOp: lambda a, b: a // max(1, b),
    arith.DivSIOp: lambda a, b: a // max(1, b),
    arith.RemUIOp: lambda a, b: a % max(1, b),
    arith.RemSIOp: lambda a, b: a % max(1, b),
    arith.MinSIOp: min,
    arith.MaxSIOp: max,
}
TERMS = 2.0  # operations of a multiply and an add
FEW = 8  # iterations of a loop around others that are looked at one by one


@dataclass(frozen=True)
class GpuWork:
    """`scalar` and `tensor` operations (those of tensor cores), `requested` bytes that threads load
    and store, `touched` bytes of arrays, each counted once; the launch's size."""

    scalar: float
    tensor: float
    requested: float
    touched: float
    blocks: int
    threads: int

    @property
    def features(self) -> dict[str, float]:
        """What a cost model sees, by name."""
        return {
            "scalar_operations": self.scalar,
            "tensor_operations": self.tensor,
            "requested_bytes": self.requested,
            "touched_bytes": self.touched,
            "blocks": float(self.blocks),
            "threads": float(self.threads),
        }


def work_of(
    body: FuncOp | ops.ProgramOp, array_bytes: Sequence[float], blocks: int, threads: int
) -> GpuWork:
    """The work of a launch, whose pointer or memref arguments are arrays of `array_bytes`."""
    block = body.body.block
    is_program = isinstance(body, ops.ProgramOp)
    grid = body.grid.data.eval([], []) if isinstance(body, ops.ProgramOp) else []
    count = _Counter(dict(zip(block.args, array_bytes, strict=False)), grid)
    count.block(block, float(blocks) if is_program else 1.0)
    touched = sum(min(asked, count.sizes.get(array, asked)) for array, asked in count.asked.items())
    requested = sum(count.asked.values())
    return GpuWork(count.scalar, count.tensor, requested, touched, blocks, threads)


class _Counter:
    """Walks a body; `times` is how often an op runs, on all blocks and threads together."""

    def __init__(self, sizes: Mapping[SSAValue, float], grid: Sequence[int]) -> None:
        self.sizes, self.grid = dict(sizes), grid
        self.loops: dict[SSAValue, int] = {}  # where they are
        self.asked: defaultdict[SSAValue, float] = defaultdict(float)
        self.scalar = self.tensor = 0.0
        self.arrays: dict[SSAValue, SSAValue] = {}

    def block(self, block: Block, times: float) -> None:
        for op in block.ops:
            self.op(op, times)

    def op(self, op: Operation, times: float) -> None:
        match op:
            case scf.ForOp():
                self.loop(op, times)
            case scf.ParallelOp():
                self.block(op.body.block, times * self.trips(op))
            case scf.IfOp() | scf.WhileOp():
                for region in op.regions:
                    for inner in region.blocks:
                        self.block(inner, times)
            case ops.DotOp():
                lhs, total = ops.register_of(op.lhs), ops.register_of(op.accumulator)
                done = TERMS * prod(total.extents) * lhs.extents[1] * times
                if lhs.layout.locals % 2 == 0 and bits_of(lhs.element) < 32:
                    self.tensor += done
                else:
                    self.scalar += done
            case ops.ViewGlobalOp():
                self.arrays[op.result] = op.pointer
            case ops.LoadGlobalOp():
                self.access(op.source, ops.tile_of(op.result), times)
            case ops.StoreGlobalOp():
                self.access(op.target, ops.tile_of(op.source), times)
            case ops.CopyAsyncOp():
                target = ops.tile_of(op.target)
                stage = prod(target.extents[1:]) * bits_of(target.element) / 8
                self.ask(op.source, stage * times)
            case ops.MapOp():
                steps = sum(is_arithmetic(inner) for inner in op.body.block.ops)
                self.scalar += steps * prod(ops.register_of(op.result).extents) * times
            case ops.UnaryOp() | ops.BinaryOp() | ops.CastOp() | ops.ReduceOp():
                self.scalar += prod(ops.register_of(op.operands[0]).extents) * times
            case memref.LoadOp() | memref.StoreOp():
                kind = op.memref.type
                assert isinstance(kind, MemRefType)
                self.ask(op.memref, bits_of(kind.element_type) / 8 * times)
            case _:
                self.scalar += is_arithmetic(op) * times

    def access(self, array: SSAValue, part: TileType, times: float) -> None:
        if not isinstance(array.type, SharedType):
            self.ask(array, prod(part.extents) * bits_of(part.element) / 8 * times)

    def ask(self, array: SSAValue, asked: float) -> None:
        """Only arrays in global memory count, which arguments are."""
        array = self.arrays.get(array, array)
        if array in self.sizes:
            self.asked[array] += asked

    def loop(self, op: scf.ForOp, times: float) -> None:
        """All iterations; the first one stands for all of loops that are long or innermost."""
        low, high, by = (self.value(v) for v in (op.lb, op.ub, op.step))
        count = self.trips(op)
        is_outer = any(isinstance(inner, scf.ForOp) for inner in op.body.walk())
        if count <= FEW and is_outer:
            places, each = list(range(low, high, max(1, by)))[: int(count)] or [low], times
        else:
            places, each = [low], times * count
        for place in places:
            self.loops[op.body.block.args[0]] = place
            self.block(op.body.block, each)

    def trips(self, op: scf.ForOp | scf.ParallelOp) -> float:
        """Iterations, as far as they are known."""
        if isinstance(op, scf.ForOp):
            bounds = [(op.lb, op.ub, op.step)]
        else:
            bounds = list(zip(op.lowerBound, op.upperBound, op.step, strict=True))
        total = 1.0
        for lower, upper, step in bounds:
            low, high, by = (self.value(v) for v in (lower, upper, step))
            total *= max(1, -(-(high - low) // max(1, by)))
        return total

    def value(self, value: SSAValue) -> int:
        """An index, in a block in the middle of the grid; 0 where it depends on memory."""
        op = value.owner
        if isinstance(op, Block):
            return self.loops.get(value, 0)
        if isinstance(op, arith.ConstantOp):
            return int(op.value.value.data) if isinstance(op.value, IntegerAttr) else 0
        if isinstance(op, ops.BlockIndexOp):
            return self.grid[op.axis.data] // 2
        meaning = ARITHMETIC.get(type(op))
        if meaning is None:
            return 0
        return meaning(*(self.value(operand) for operand in op.operands))


def is_arithmetic(op: Operation) -> float:
    """Operations on floats that `op` is; index arithmetic is for free."""
    if not op.results or isinstance(op, arith.ConstantOp | arith.SelectOp):
        return 0.0
    dialect = op.name.partition(".")[0]
    if dialect not in ("arith", "math") and not isinstance(op, vector.FMAOp):
        return 0.0
    if not isinstance(get_element_type_or_self(op.results[0].type), AnyFloat):
        return 0.0
    return TERMS if op.name in ("math.fma", "vector.fma") else 1.0
