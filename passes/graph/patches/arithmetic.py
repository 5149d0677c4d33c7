"""How much an op computes, counted in products of contractions and steps of everything else."""

from __future__ import annotations

from math import prod

from ....dialects.graph import (
    CatOp,
    ConvOp,
    FullOp,
    GraphOp,
    IotaOp,
    LinearOp,
    MatmulOp,
    PadOp,
    PoolOp,
    ReduceOp,
    ReshapeOp,
    ViewOp,
    WeightOp,
    shape_of,
)

MOVES = CatOp | FullOp | IotaOp | PadOp | ReshapeOp | ViewOp | WeightOp


def operations_per_element(op: GraphOp) -> int:
    """Operations for each element of the result."""
    match op:
        case ConvOp():
            return prod(shape_of(op.weight)[1:])
        case PoolOp():
            return prod(k.data for k in op.kernel)
        case LinearOp():
            return shape_of(op.weight)[-1]
        case MatmulOp():
            return shape_of(op.lhs)[-1]
        case ReduceOp():
            return prod(shape_of(op.source)[d.data] for d in op.dims)
    return 0 if isinstance(op, MOVES) else 1


def operations(op: GraphOp) -> int:
    """Operations for the whole result."""
    return operations_per_element(op) * prod(shape_of(op.results[0]))
