"""Legality of candidates before anything is built: steps apply, dependences and lanes hold."""

from __future__ import annotations

from dataclasses import dataclass, field

from ....dialects.poly import ScopOp
from ....dialects.schedule import Node, Rewrite
from ..dependences import Dependences, dependences_of
from ..legality import check_schedule_is_legal
from ..scheduled import apply_schedule
from ..vector_legality import check_vector_loops
from .candidate import Candidate

KEPT = 32


@dataclass
class ScopCheck:
    """Checks candidates of one scop; dependences are computed once per list of rewrites."""

    scop: ScopOp
    _dependences: dict[str, Dependences] = field(default_factory=dict)

    def __call__(self, candidate: Candidate) -> None:
        """IllegalScheduleError where `candidate` breaks a rule."""
        self.tree_of(candidate)

    def tree_of(self, candidate: Candidate) -> Node:
        """The loop tree of a legal candidate; IllegalScheduleError for another one."""
        scop, tree = apply_schedule(self.scop, candidate.steps)
        key = "\n".join(str(s) for s in candidate.steps if isinstance(s, Rewrite))
        if key not in self._dependences:
            if len(self._dependences) == KEPT:
                self._dependences.clear()
            self._dependences[key] = dependences_of(scop)
        ranks = {s.sym_name.data: s.rank for s in scop.statements}
        check_schedule_is_legal(tree, self._dependences[key], ranks)
        check_vector_loops(tree, scop)
        return tree
