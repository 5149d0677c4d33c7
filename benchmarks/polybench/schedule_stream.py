"""Random schedules of a scop, with the verdict of the legality check on each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from random import Random

from tilecast.dialects.errors import IllegalScheduleError
from tilecast.dialects.poly import ScopOp
from tilecast.dialects.schedule import Node, Rearrange, Rfactor, Step, bands_of, compact_text
from tilecast.passes.poly.dependences.legality import LegalityChecker, OrderChecker
from tilecast.passes.poly.dependences.vector_legality import check_vector_loops
from tilecast.passes.poly.primitives.tree_edits import replace_band
from tilecast.passes.poly.scheduled import apply_schedule
from tilecast.passes.poly.sets import isl

from .random_rewrites import random_rewrites
from .random_schedules import random_tree_steps

PARALLEL_KINDS = ("parallel", "block.x", "block.y", "thread.x", "thread.y")


@dataclass(frozen=True)
class Scheduled:
    """A schedule: its steps, the rewritten scop and the tree; `refusal` where it is illegal."""

    steps: list[Step]
    scop: ScopOp
    tree: Node
    refusal: IllegalScheduleError | None
    keeps_sums: bool


@dataclass
class _Checkers:
    """Legality of one (rewritten) scop, and whether sums keep their order."""

    scop: ScopOp

    def __post_init__(self) -> None:
        self.legality = LegalityChecker(self.scop)

    @cached_property
    def strict(self) -> OrderChecker:
        """Nothing relaxed."""
        strict = replace(self.legality.dependences, reduction=isl.UnionMap("{ }"))
        return OrderChecker(strict, self.scop.ranks, is_used_once=True)

    def refusal(self, tree: Node) -> IllegalScheduleError | None:
        """Why `tree` is illegal."""
        try:
            self.legality.check(tree)
            check_vector_loops(tree, self.scop)
        except IllegalScheduleError as error:
            return error
        return None

    def keeps_sums(self, tree: Node) -> bool:
        """Whether reductions run in their original order."""
        try:
            self.strict.check(tree)
        except IllegalScheduleError:
            return False
        return True


def schedules(scop: ScopOp, rng: Random, keep_illegal: float) -> Iterator[Scheduled]:
    """Random schedules without end; each step that breaks something stays with `keep_illegal`."""
    plain = _Checkers(scop)
    while True:
        rewrites = random_rewrites(scop, rng)
        rewritten, _ = apply_schedule(scop, rewrites)
        checkers = _Checkers(rewritten) if rewrites else plain
        steps, tree = random_tree_steps(
            rewritten, rng, lambda t, c=checkers: c.refusal(t) is None, keep_illegal
        )
        refusal = checkers.refusal(tree)
        keeps = not any(isinstance(s, Rfactor) for s in rewrites)
        keeps = keeps and refusal is None and checkers.keeps_sums(tree)
        if steps:
            yield Scheduled([*rewrites, *steps], rewritten, tree, refusal, keeps)


def executable(one: Scheduled, rng: Random) -> list[Step]:
    """Steps that run on one CPU core: iterations that may run at the same time run backward, or
    stay a parallel loop."""
    tree = one.tree
    for band in list(bands_of(tree)):
        if band.kind in PARALLEL_KINDS and (band.kind != "parallel" or rng.random() < 0.5):
            backward = tuple((s, f"-({e})") for s, e in band.exprs)
            tree = replace_band(
                tree, band.axis, lambda b, exprs=backward: replace(b, kind="for", exprs=exprs)
            )
    return one.steps if tree is one.tree else [*one.steps, Rearrange(compact_text(tree))]
