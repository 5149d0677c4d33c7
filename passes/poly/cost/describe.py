"""A scop under a schedule as the plain data that features are computed from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ....costmodel.features.nests import KINDS, ScheduledProgram, StatementFacts, StatementNest
from ....dialects.poly import ScopOp
from ....dialects.schedule import Band, Chain, Leaf, Node, Rewrite, Step
from ..primitives import apply_step, original_tree
from ..scheduled import apply_schedule
from .loop_values import counted
from .statement_facts import facts_of

KEPT = 64


def scheduled_program(
    facts: Mapping[str, StatementFacts], tree: Node, threads: int, steps: Sequence[Step] = ()
) -> ScheduledProgram:
    """The nests of the loop tree `tree` over statements with `facts`."""
    numbers: dict[str, int] = {}
    nests: list[StatementNest] = []

    def visit(node: Node, path: tuple[Band, ...]) -> None:
        match node:
            case Leaf(name):
                nests.append(nest_of(facts[name], path, numbers))
            case Chain(children):
                for child in children:
                    visit(child, path)
            case Band():
                numbers.setdefault(node.axis, len(numbers))
                visit(node.body, (*path, node))

    visit(tree, ())
    return ScheduledProgram(tuple(nests), threads, tuple(str(s) for s in steps))


def nest_of(
    facts: StatementFacts, path: Sequence[Band], numbers: Mapping[str, int]
) -> StatementNest:
    """The loops `path` around one statement."""
    trips, free, largest = counted(
        tuple(dict(band.exprs)[facts.name] for band in path), facts.extents
    )
    return StatementNest(
        facts,
        trips,
        np.array([KINDS.index(b.kind) if b.kind in KINDS else 0 for b in path], np.int64),
        np.array([b.lanes for b in path], np.int64),
        np.array([numbers[b.axis] for b in path], np.int64),
        free,
        largest,
    )


@dataclass
class ScopDescriber:
    """Describes schedules of one scop; what depends on the rewrites alone is computed once."""

    scop: ScopOp
    threads: int
    _known: dict[str, tuple[Mapping[str, StatementFacts], Node]] = field(default_factory=dict)

    def __call__(self, steps: Sequence[Step]) -> ScheduledProgram:
        """The program that `steps` make; IllegalScheduleError where they do not apply."""
        rewrites = [s for s in steps if isinstance(s, Rewrite)]
        key = "\n".join(map(str, rewrites))
        if key not in self._known:
            if len(self._known) == KEPT:
                self._known.clear()
            rewritten, _ = apply_schedule(self.scop, rewrites)
            self._known[key] = facts_of(rewritten), original_tree(rewritten)
        facts, tree = self._known[key]
        for step in steps[len(rewrites) :]:
            tree = apply_step(tree, step)
        return scheduled_program(facts, tree, self.threads, steps)
