"""Which loops a team of threads may run together, around the worksharing loops in them."""

from __future__ import annotations

from xdsl.dialects import memref, scf
from xdsl.ir import Block, Operation
from xdsl.traits import is_side_effect_free

from .function import MEMORY_READS


def is_region(loop: scf.ForOp) -> bool:
    """Whether all threads may run `loop`, sharing the parallel loops in it: there is nothing else
    in it but index arithmetic. Starting threads once is cheaper than in each of many wavefronts."""
    if loop.iter_args:
        return False
    return any(isinstance(op, scf.ParallelOp) for op in loop.body.walk()) and _is_shared(
        loop.body.block
    )


def _is_shared(block: Block) -> bool:
    return all(_may_be_repeated(op) for op in block.ops)


def _may_be_repeated(op: Operation) -> bool:
    """Whether every thread may run `op`, or take its share of it."""
    if isinstance(op, scf.ParallelOp | scf.YieldOp):
        return True
    if isinstance(op, scf.ForOp | scf.IfOp) and not op.results:
        return all(_is_shared(block) for region in op.regions for block in region.blocks)
    if isinstance(op, memref.AllocaOp) or op.name in MEMORY_READS:
        return False
    return bool(op.results) and is_side_effect_free(op)
