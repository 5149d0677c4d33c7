"""Give every statement a loop nest of its own where no dependence forbids it.

before: for i: { C[i, :] *= b; for k, j: C[i, j] += A[i, k] * B[k, j] }    (positions)
after:  for i, j: C[i, j] *= b;  for i, k, j: C[i, j] += ...               (no positions)

Passes that fuse and tile start from separate nests.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import DenseArrayBase, ModuleOp, i64
from xdsl.passes import ModulePass

from ....dialects.errors import IllegalScheduleError
from ....dialects.poly import ScopOp
from ..dependences.dependences import dependences_of
from ..dependences.legality import check_schedule_is_legal
from ..primitives import original_tree


def distribute_nests(scop: ScopOp) -> bool:
    """Drop the positions of `scop` where that keeps every dependence; whether none is left."""
    if scop.is_sequence_of_nests:
        return True
    dependences = dependences_of(scop)
    ranks = scop.ranks
    positions = scop.positions
    for statement in scop.statements:
        statement.properties.pop("position")
    try:
        check_schedule_is_legal(original_tree(scop), dependences, ranks)
    except IllegalScheduleError:
        for statement, position in zip(scop.statements, positions, strict=True):
            statement.properties["position"] = DenseArrayBase.from_list(i64, position)
        return False
    return True


@dataclass(frozen=True)
class DistributeNestsPass(ModulePass):
    """Distribute the loops of every scop whose dependences allow it."""

    name = "distribute-nests"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for scop in op.ops:
            if isinstance(scop, ScopOp):
                distribute_nests(scop)
