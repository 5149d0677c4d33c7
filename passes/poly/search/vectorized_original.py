"""The original order with its innermost loops as vectors: what code generation gains alone.

before: for i: for j: S(i, j)
after:  for i: for j in steps of L: S(i, j .. j + L)     wherever that is legal
"""

from __future__ import annotations

from ....costmodel.hardware import Machine
from ....dialects.errors import IllegalScheduleError
from ....dialects.poly import ScopOp
from ....dialects.schedule import Band, Chain, Leaf, Node, Split, Step, Vectorize
from ..storage import element_bytes
from .candidate import Candidate
from .scop_check import ScopCheck


def widest_lanes(scop: ScopOp, machine: Machine) -> int:
    """Lanes of a register that is full of the widest elements that `scop` writes."""
    return machine.lanes(max((element_bytes(s.target) for s in scop.statements), default=4))


def innermost_loops(node: Node) -> list[Band]:
    """The loops without a loop inside, in order."""
    match node:
        case Leaf():
            return []
        case Chain(children):
            return [band for child in children for band in innermost_loops(child)]
        case Band():
            return innermost_loops(node.body) or [node]


def vectorized_original(scop: ScopOp, machine: Machine) -> list[Step]:
    """Steps that vectorize each innermost loop of the original order that may be."""
    lanes = widest_lanes(scop, machine)
    check = ScopCheck(scop)
    steps: list[Step] = []
    for band in innermost_loops(check.tree_of(Candidate())) if lanes > 1 else []:
        outer, inner = f"{band.axis}.o", f"{band.axis}.v"
        forms: tuple[list[Step], ...] = (
            [Vectorize(band.axis, lanes)],
            [Split(band.axis, lanes, outer, inner), Vectorize(inner, lanes)],
        )
        for form in forms:
            try:
                check(Candidate((*steps, *form)))
            except IllegalScheduleError:
                continue
            steps += form
            break
    return steps
