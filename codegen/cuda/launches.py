"""A kernel of the loops level, cut into launches: what one `__global__` function runs.

in:  func.func @k(memrefs) { constants; loops bound to blocks and threads; other loops }
out: one Launch per bound loop nest, one of a single thread for what stands between them, and the
     tile programs as they are

Constants and index arithmetic are repeated in each launch that uses them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from xdsl.dialects import memref, scf
from xdsl.dialects.builtin import ArrayAttr, IntAttr, MemRefType, StringAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import BlockArgument, Operation, SSAValue
from xdsl.traits import is_side_effect_free

from ...dialects.constants import splat_value
from ...dialects.errors import LoweringError
from ...dialects.tile.launch import LaunchOp
from ...dialects.tile.ops import ProgramOp
from ..c.function import argument_roles

UNIT = "tilecast.unit"
EXTENT = "tilecast.extent"
UNITS = ("block.x", "block.y", "thread.x", "thread.y")
STORES = (
    "memref.store",
    "memref.atomic_rmw",
    "vector.store",
    "vector.maskedstore",
    "vector.scatter",
)
LOADS = ("memref.load", "vector.load", "vector.maskedload", "vector.gather")
MOST_OF_TEAM = 256  # threads of a block that shares parallel loops inside of others
WARP = 32  # threads of a block where a loop has no bound threads of its own


@dataclass(frozen=True)
class Launch:
    """A function of one kernel, which `arguments` of that kernel it takes, and its launch size."""

    func: FuncOp
    arguments: tuple[int, ...]
    grid: tuple[int, int]
    block: tuple[int, int]


@dataclass(frozen=True)
class TileLaunch:
    """A tile program of a kernel, and which arguments of that kernel its arrays are."""

    program: ProgramOp
    arguments: tuple[int, ...]


def launches_of(func: FuncOp) -> list[Launch | TileLaunch]:
    """The launches of `func`, in order."""
    groups = _groups(func)
    locals_ = [op for op in func.body.block.ops if isinstance(op, memref.AllocaOp)]
    if any(sum(_uses(group, op.memref) for group in groups) > 1 for op in locals_):
        # A local array lives as long as one thread: all of the kernel is one.
        groups = [[op for group in groups for op in group]]
    made: list[Launch | TileLaunch] = []
    for k, group in enumerate(groups):
        if isinstance(group[0], LaunchOp):
            numbers = [func.body.block.args.index(a) for a in group[0].arrays]
            program = group[0].program
            if len(groups) > 1:  # parts may have become several launches
                program.properties["sym_name"] = StringAttr(f"{func.sym_name.data}_{k}")
            made.append(TileLaunch(program, tuple(numbers)))
        else:
            made.append(_launch(func, group, k, len(groups)))
    return made


def _groups(func: FuncOp) -> list[list[Operation]]:
    """Top-level ops with effects: each parallel loop alone, others together."""
    groups: list[list[Operation]] = []
    alone = True
    for op in func.body.block.ops:
        if isinstance(op, ReturnOp | memref.AllocaOp) or is_side_effect_free(op):
            continue
        parallel = isinstance(op, scf.ParallelOp | LaunchOp)
        if alone or parallel or not groups:
            groups.append([])
        groups[-1].append(op)
        alone = parallel
    return groups


def _uses(group: list[Operation], value: SSAValue) -> bool:
    return any(value in inner.operands for op in group for inner in op.walk())


def _launch(func: FuncOp, group: list[Operation], number: int, count: int) -> Launch:
    needed = _needed(func, group)
    used = [
        k
        for k, argument in enumerate(func.body.block.args)
        if any(argument in inner.operands for op in needed for inner in op.walk())
    ]
    old = [func.body.block.args[k] for k in used]
    name = func.sym_name.data + (f"_{number}" if count > 1 else "") + "_kernel"
    made = FuncOp(name, ([a.type for a in old], []))
    mapping: dict[SSAValue, SSAValue] = {}
    for before, after in zip(old, made.body.block.args, strict=True):
        after.name_hint = before.name_hint
        mapping[before] = after
    for op in needed:
        made.body.block.add_op(op.clone(mapping))
    made.body.block.add_op(ReturnOp())
    roles = argument_roles(func)
    made.attributes["tilecast.roles"] = ArrayAttr([StringAttr(roles[k]) for k in used])
    root = group[0] if len(group) == 1 else None
    if isinstance(root, scf.ParallelOp):
        grid, block = _size(root)
    else:
        grid, block = (1, 1), (team_size(needed), 1)
    return Launch(made, tuple(used), grid, block)


def team_size(ops: list[Operation]) -> int:
    """Threads of the one block that runs `ops`: several where these have parallel loops inside.

    All threads run what is around those loops. It must come to the same for each of them: no local
    arrays, nothing read that is written.
    """
    loops = [loop for op in ops for loop in shared_loops(op)]
    inner = {op for loop in loops for op in loop.walk()}
    everything = [op for top in ops for op in top.walk()]
    around = [op for op in everything if op not in inner]
    written = {_array_of(op) for op in everything if op.name in STORES}
    for op in around:
        if op.name in STORES or (op.name in LOADS and _array_of(op) not in written):
            continue
        if _array_of(op) is not None or isinstance(op, memref.AllocaOp):
            return 1
    if not loops:
        return 1
    most = max(map(extent_of, loops))
    return min(MOST_OF_TEAM, -(-most // WARP) * WARP)


def _array_of(op: Operation) -> SSAValue | None:
    """The array that an op accesses."""
    return next((o for o in op.operands if isinstance(o.type, MemRefType)), None)


def shared_loops(op: Operation) -> list[scf.ParallelOp]:
    """Parallel loops that are bound to nothing, and inside loops that run in order."""
    if isinstance(op, scf.ParallelOp):
        return [op] if unit_of(op) is None else []
    return [
        loop
        for region in op.regions
        for block in region.blocks
        for inner in block.ops
        for loop in shared_loops(inner)
    ]


def _needed(func: FuncOp, group: list[Operation]) -> list[Operation]:
    """`group` with the top-level ops that it reads values of, in order."""
    needed = set(group)
    body = func.body.block
    for op in reversed(list(body.ops)):
        if op not in needed:
            continue
        for inner in op.walk():
            for value in inner.operands:
                if not isinstance(value, BlockArgument) and value.owner.parent is body:
                    assert isinstance(value.owner, Operation)
                    if value.owner in needed:
                        continue
                    if not isinstance(value.owner, memref.AllocaOp) and not is_side_effect_free(
                        value.owner
                    ):
                        raise LoweringError(
                            f"kernel {func.sym_name.data}: a launch reads what {value.owner.name} "
                            "computes outside of it"
                        )
                    needed.add(value.owner)
    return [op for op in body.ops if op in needed]


def unit_of(op: scf.ParallelOp) -> str | None:
    """What `op` is bound to; None for a parallel loop of a kernel that no schedule made."""
    unit = op.attributes.get(UNIT)
    return unit.data if isinstance(unit, StringAttr) else None


def extent_of(op: scf.ParallelOp) -> int:
    """The greatest trip count."""
    extent = op.attributes.get(EXTENT)
    if isinstance(extent, IntAttr):
        return int(extent.data)
    bounds = [splat_value(v) for v in (op.lowerBound[0], op.upperBound[0], op.step[0])]
    if not all(isinstance(b, int) for b in bounds):
        raise LoweringError("scf.parallel on a GPU: expected constant bounds")
    low, high, step = (int(b) for b in bounds if b is not None)
    return max(0, -(-(high - low) // step))


def nested_loops(op: Operation) -> Iterator[scf.ParallelOp]:
    """The nearest parallel loops inside `op`."""
    for region in op.regions:
        for block in region.blocks:
            for inner in block.ops:
                if isinstance(inner, scf.ParallelOp):
                    yield inner
                else:
                    yield from nested_loops(inner)


def iterations(op: scf.ParallelOp, unit: str) -> int:
    """How many blocks or threads of `unit` the loops from `op` inward use."""
    inside = max((iterations(inner, unit) for inner in nested_loops(op)), default=1)
    return inside * (extent_of(op) if unit_of(op) == unit else 1)


def stride_of(op: scf.ParallelOp) -> int:
    """How many iterations of loops inside, bound to the same unit, one iteration of `op` is."""
    unit = unit_of(op)
    assert unit is not None
    return max((iterations(inner, unit) for inner in nested_loops(op)), default=1)


def _size(root: scf.ParallelOp) -> tuple[tuple[int, int], tuple[int, int]]:
    if unit_of(root) is None:
        return (max(1, -(-extent_of(root) // WARP)), 1), (WARP, 1)
    sizes = [max(1, iterations(root, unit)) for unit in UNITS]
    if prod(sizes[2:]) > 1024:
        raise LoweringError(f"a block of {sizes[2:]} threads: at most 1024 are possible")
    return (sizes[0], sizes[1]), (sizes[2], sizes[3])


def is_thread_loop(op: Operation) -> bool:
    """Whether `op` is a loop bound to the threads of a block."""
    return isinstance(op, scf.ParallelOp) and (unit_of(op) or "").startswith("thread")


def thread_loop_around(op: Operation) -> bool:
    """Whether a loop around `op` is bound to threads."""
    parent = op.parent_op()
    while parent is not None and not is_thread_loop(parent):
        parent = parent.parent_op()
    return parent is not None


def units_in(op: scf.ParallelOp) -> set[str | None]:
    """What `op` and the loops in it are bound to."""
    return {unit_of(inner) for inner in op.walk() if isinstance(inner, scf.ParallelOp)}


def is_shared(op: memref.AllocaOp) -> bool:
    """Whether an array belongs to a block: it stands around loops over threads."""
    block = op.parent_block()
    if block is None or thread_loop_around(op) or isinstance(block.parent_op(), FuncOp):
        return False
    return any(is_thread_loop(inner) for other in block.ops for inner in other.walk())
