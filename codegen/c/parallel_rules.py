"""Rules of parallel loops: OpenMP worksharing over calls of a function that holds the body.

    static void k_parallel_0(int64_t i, const float *restrict a, float *restrict b) { body }
    #pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < 8; ++i) { k_parallel_0(i, a, b); }

gcc forgets `restrict` in the function that it makes of a parallel region, and then reloads what no
store changes (a matrix product: 1.6 times slower); parameters of a function keep it.
"""

from __future__ import annotations

from xdsl.dialects import memref, scf
from xdsl.dialects.builtin import MemRefType, StringAttr
from xdsl.ir import Block, BlockArgument, Operation, SSAValue

from ...dialects.errors import LoweringError
from .control_rules import bound, loop_header
from .function import FunctionEmitter
from .registry import emits
from .streaming_stores import FENCE, streams

# On scf.parallel: "dynamic" where iterations differ in length, "descending" where the last are the
# longest. Long iterations first leave short ones to even out what the threads have done.
SCHEDULE = "tilecast.schedule"


@emits(scf.ParallelOp)
def emit_parallel(emitter: FunctionEmitter, op: Operation) -> None:
    """A worksharing loop where OpenMP is on, else a plain loop."""
    assert isinstance(op, scf.ParallelOp)
    if len(op.lowerBound) != 1 or op.initVals:
        raise LoweringError(
            "scf.parallel: expected one dimension and no results, got "
            f"{len(op.lowerBound)} dimensions and {len(op.initVals)} results"
        )
    bounds = [bound(emitter, v) for v in (op.lowerBound[0], op.upperBound[0], op.step[0])]
    emitter.flush()
    schedule = op.attributes.get(SCHEDULE)
    kind = schedule.data if isinstance(schedule, StringAttr) else "static"
    descends = kind == "descending"
    fenced = streams(op)
    starts_region = fenced and not emitter.in_region
    if starts_region:  # a region of its own, for a fence of each thread behind its share
        _pragma(emitter, "omp parallel")
        emitter.open("{")
    sharing = "omp for" if emitter.in_region or starts_region else "omp parallel for"
    _pragma(
        emitter,
        f"{sharing} schedule({'dynamic' if descends else kind})"
        + (" nowait" if starts_region else ""),
    )
    (index,) = op.body.block.args
    captured = _captured(emitter, op)
    emitter.open(loop_header(emitter, index, bounds, descends))
    if all(_is_distinct_array(v) for v in captured if isinstance(v.type, MemRefType)):
        emitter.line(emitter.outline(op.body.block, [index, *captured]))
    else:
        emitter.block(op.body.block)
    if fenced and not starts_region:
        emitter.effect(FENCE)
    emitter.close()
    if starts_region:
        emitter.line(FENCE)
        emitter.close()


def _pragma(emitter: FunctionEmitter, text: str) -> None:
    """A line for compilers that have OpenMP on."""
    emitter.directive("#ifdef _OPENMP")
    emitter.directive(f"#pragma {text}")
    emitter.directive("#endif")


def _captured(emitter: FunctionEmitter, op: scf.ParallelOp) -> list[SSAValue]:
    """The values of the body that are locals of the function around it, in order of first use."""
    found: dict[SSAValue, None] = {}
    for inner in op.body.walk():
        for value in inner.operands:
            if not _is_inside(value, op) and emitter.is_local(value):
                found[value] = None
    return list(found)


def _is_inside(value: SSAValue, op: Operation) -> bool:
    block = value.owner if isinstance(value.owner, Block) else value.owner.parent_block()
    while block is not None:
        parent = block.parent_op()
        if parent is op:
            return True
        block = parent.parent_block() if parent is not None else None
    return False


def _is_distinct_array(value: SSAValue) -> bool:
    """Whether `value` overlaps no other array of its function, as `restrict` promises."""
    return isinstance(value, BlockArgument) or isinstance(value.owner, memref.AllocaOp)
