"""Legality of candidates before anything is built: steps apply, dependences and lanes hold."""

from __future__ import annotations

from dataclasses import dataclass, field

from ....dialects.poly import ScopOp
from ....dialects.schedule import Node, Rewrite
from ..dependences.legality import LegalityChecker
from ..dependences.vector_legality import check_vector_loops
from ..scheduled import apply_schedule
from .candidate import Candidate

KEPT = 32


@dataclass
class ScopCheck:
    """Checks candidates of one scop; each list of rewrites has a checker that remembers."""

    scop: ScopOp
    _checkers: dict[str, LegalityChecker] = field(default_factory=dict)

    def __call__(self, candidate: Candidate) -> None:
        """IllegalScheduleError where `candidate` breaks a rule."""
        self.tree_of(candidate)

    def tree_of(self, candidate: Candidate) -> Node:
        """The loop tree of a legal candidate; IllegalScheduleError for another one."""
        scop, tree = apply_schedule(self.scop, candidate.steps)
        key = "\n".join(str(s) for s in candidate.steps if isinstance(s, Rewrite))
        if key not in self._checkers:
            if len(self._checkers) == KEPT:
                self._checkers.clear()
            self._checkers[key] = LegalityChecker(scop)
        self._checkers[key].check(tree)
        check_vector_loops(tree, scop)
        return tree
