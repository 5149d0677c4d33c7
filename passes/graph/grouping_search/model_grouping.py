"""The grouping that a cost model chooses: the rules' own, changed where that is surely faster.

The search goes by predicted time alone. What it changed is cut into parts that do not depend on
each other, and each part is weighed as a whole against the rules' groups, as schedules are: it is
taken where its gain exceeds what the model may be wrong by. Every part is recorded.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from xdsl.dialects.func import FuncOp

from ....costmodel.decision import Decision, weigh_members
from ....costmodel.features.hardware import Hardware
from ....costmodel.features.nests import Array
from ....costmodel.models.interface import Uncertain
from ....dialects.errors import LoweringError
from ...context import CompileContext
from ..fusion_rules import RuleGrouping
from ..groups import Group
from ..outline import kernel_name
from .climb import Climb, Step, total
from .kernel_costs import KernelCosts, Price
from .partition import Partition, Program

QUESTION = "fusion"
LOWERED = 48  # kernels that are lowered beyond those of the rules, at most: about 10 seconds
MOST_GROUPS = 2000  # of a larger main, the rules' grouping is taken


@dataclass(frozen=True)
class Part:
    """Groups of the rules, and the groups of the search that cover the same ops."""

    old: tuple[Group, ...]
    new: tuple[Group, ...]


class ModelGrouping:
    """Weighs the rules' grouping against what a search with predicted costs finds."""

    def __init__(self, ctx: CompileContext, model: Uncertain, hardware: Hardware) -> None:
        self.ctx, self.model, self.hardware = ctx, model, hardware

    def groups(self, main: FuncOp, threads: int) -> list[Group]:
        """The groups of the rules where nothing else is surely faster."""
        groups = RuleGrouping().groups(main, threads)
        if len(groups) > MOST_GROUPS:
            return groups
        rules = Partition(Program(main), groups)
        costs = KernelCosts(self.ctx, self.model, self.hardware, rules.program)
        climb = Climb(rules, costs)
        climb.seconds(rules)
        costs.left = LOWERED
        found = climb.run()
        parts = changed_parts(rules, found)
        record = Record(climb, rules)
        chosen = rules
        for equal in record.equal_parts(parts, found):
            if record.weigh(equal, found):
                for part in equal:
                    chosen = replaced_where_legal(chosen, part)
        record.weigh_rest(parts)
        self.ctx.decisions += record.decisions
        return list(chosen.groups)


def replaced_where_legal(partition: Partition, part: Part) -> Partition:
    """The partition with the groups of the search, unless another part that was not taken makes
    that a cycle."""
    try:
        return partition.replaced(part.old, part.new)
    except LoweringError:
        return partition


def changed_parts(rules: Partition, found: Partition) -> list[Part]:
    """The smallest sets of groups that cover the same ops in both, where these differ."""
    same = set(rules.groups) & set(found.groups)
    left = [g for g in rules.groups if g not in same]
    others = [g for g in found.groups if g not in same]
    parts = []
    while left:
        old, new = [left.pop(0)], list[Group]()
        ops = set(old[0].ops)
        size = 0
        while size < len(ops):
            size = len(ops)
            for pool, taken in ((others, new), (left, old)):
                for group in [g for g in pool if ops.intersection(g.ops)]:
                    pool.remove(group)
                    taken.append(group)
                    ops.update(group.ops)
        parts.append(Part(tuple(old), tuple(new)))
    return parts


class Record:
    """Weighs parts of a grouping, with what else was tried in their place."""

    def __init__(self, climb: Climb, rules: Partition) -> None:
        self.climb, self.rules = climb, rules
        self.decisions: list[Decision] = []

    def equal_parts(self, parts: Sequence[Part], found: Partition) -> list[list[Part]]:
        """Parts with equal kernels before and after, together."""
        equal: dict[Hashable, list[Part]] = {}
        for part in parts:
            old = tuple(self.climb.costs.key(g, self.rules.results(g)) for g in part.old)
            new = tuple(self.climb.costs.key(g, found.results(g)) for g in part.new)
            equal.setdefault((old, new), []).append(part)
        return list(equal.values())

    def weigh(self, equal: Sequence[Part], found: Partition) -> bool:
        """Whether the groups of the search are taken in the place of those of the rules."""
        part = equal[0]
        old, new = self.price(self.rules, part.old), self.price(found, part.new)
        if old is None or new is None:
            return False
        before, after = old.seconds, new.seconds
        offered = [(text_of(part.old), before), (text_of(part.new), after)]
        tried = [s for s in self.climb.steps() if set(s.move.old) <= set(part.old)]
        for step in tried:
            label = text_of([*(g for g in part.old if g not in step.move.old), *step.move.new])
            if label != offered[1][0]:
                offered.append((label, before - step.old.seconds + step.new.seconds))
        return self.decide(offered[:2], offered[2:], len(equal)) == 1

    def weigh_rest(self, parts: Sequence[Part]) -> None:
        """Moves from the rules' groups that gain too little to be part of what was found."""
        changed = {g for part in parts for g in part.old}
        by_old: dict[tuple[Group, ...], list[Step]] = {}
        for step in self.climb.steps():
            if self.rules.has(step.move.old) and not changed.intersection(step.move.old):
                by_old.setdefault(step.move.old, []).append(step)
        for old, steps in by_old.items():
            offered = [(text_of(old), steps[0].old.seconds)]
            offered += [(text_of(step.move.new), step.new.seconds) for step in steps]
            self.decide(offered[:1], offered[1:], steps[0].places)

    def decide(
        self,
        weighed: Sequence[tuple[str, Array]],
        others: Sequence[tuple[str, Array]],
        places: int,
    ) -> int:
        """Record the choice between the `weighed`, the first of which is the rules'; `others` are
        shown, too."""
        offered = [*weighed, *others]
        asked = weighed if len(weighed) > 1 else offered
        chosen, gain, doubt = weigh_members(np.log(np.stack([s for _, s in asked], axis=1)))
        if len(weighed) == 1:
            chosen = 0
        name = weighed[0][0] if places == 1 else f"{weighed[0][0]} ({places} times)"
        predicted = tuple((label, float(np.exp(np.log(s).mean()))) for label, s in offered)
        self.decisions.append(Decision(name, QUESTION, predicted, offered[chosen][0], gain, doubt))
        return chosen

    def price(self, partition: Partition, groups: Sequence[Group]) -> Price | None:
        """Of the kernels of `groups` together."""
        costs = self.climb.costs
        results = [partition.results(g) for g in groups]
        keys = [costs.key(g, r) for g, r in zip(groups, results, strict=True)]
        return total([costs.of(*each) for each in zip(keys, groups, results, strict=True)])


def text_of(groups: Sequence[Group]) -> str:
    """The kernels that groups become, by what they compute."""
    return " | ".join(kernel_name(group, 0).removesuffix("_0") for group in groups)
