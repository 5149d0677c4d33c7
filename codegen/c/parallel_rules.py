"""Rules of parallel loops: OpenMP worksharing over calls of a function that holds the body.

    static void k_parallel_0(int64_t i, const float *restrict a, float *restrict b) { body }
    #pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < 8; ++i) { k_parallel_0(i, a, b); }

gcc forgets `restrict` in the function that it makes of a parallel region, and then reloads what no
store changes (a matrix product: 1.6 times slower); parameters of a function keep it.
"""

from __future__ import annotations

from xdsl.dialects import scf
from xdsl.dialects.builtin import StringAttr
from xdsl.ir import Operation

from ...dialects.errors import LoweringError
from .captures import are_distinct, captured
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
    values = captured(emitter, op)
    emitter.open(loop_header(emitter, index, bounds, descends))
    if are_distinct(values):
        emitter.line(emitter.outline(op.body.block, [index, *values]))
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
