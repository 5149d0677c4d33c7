"""The search: from the rules' grouping uphill, always by the move with the largest predicted gain.

Moves at equal places (the layers of a transformer) are one; they are looked at in the order of what
they could save at most, as long as kernels may be lowered.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

import numpy as np
from xdsl.ir import SSAValue

from ....costmodel.decision import MARGIN
from ....dialects.errors import LoweringError
from ..groups import Group, check_is_one_kernel
from .kernel_costs import KernelCosts, Price
from .moves import Move, moves
from .partition import Partition

LEAST_SHARE = 0.002  # of the predicted time of the program: less is not worth a lowered kernel
LEAST_GAIN = 0.01  # of the kernels that a move changes
MOST_KEPT = float(np.exp(-MARGIN))  # of their time, where a decision would be for the move


@dataclass
class Place:
    """Moves that are equal but for where they are: the kernels before and after."""

    moves: list[Move] = field(default_factory=list)
    old: tuple[Hashable, ...] = ()
    new: tuple[Hashable, ...] = ()


@dataclass(frozen=True)
class Step:
    """A move that was looked at: its kernels before and after, as if they were one."""

    move: Move
    places: int
    old: Price
    new: Price

    @property
    def gain(self) -> float:
        """Predicted seconds that one place saves."""
        before, after = np.log(self.old.seconds), np.log(self.new.seconds)
        return float(np.exp(before.mean()) - np.exp(after.mean()))

    @property
    def is_better(self) -> bool:
        """Whether the mean of the members says so. Where no loops are shared and no statement has
        become part of another, a move saves calls and nothing else: data is as near between two
        nests of a kernel as between two kernels, which prices of single kernels do not know."""
        is_faster = np.log(self.old.seconds / self.new.seconds).mean() > LEAST_GAIN
        is_same = self.old.nests == self.new.nests and self.old.statements == self.new.statements
        return bool(is_faster) and not is_same


class Climb:
    """Looks for a grouping with less predicted time than `partition`."""

    def __init__(self, partition: Partition, costs: KernelCosts) -> None:
        self.partition, self.costs = partition, costs
        self.seen: dict[Hashable, Step | None] = {}
        self.keys: dict[tuple[Group, tuple[SSAValue, ...]], Hashable] = {}

    def run(self) -> Partition:
        """The grouping where no move gains any more, or nothing more may be lowered."""
        least = LEAST_SHARE * self.seconds(self.partition)
        while True:
            places = self.places()
            ranked = sorted(places.values(), key=self.bound, reverse=True)
            for place in ranked:
                if self.bound(place) > least and self.least_kept(place) < MOST_KEPT:
                    self.look_at(place)
            better = [p for p in ranked if (s := self.step(p)) is not None and s.is_better]
            better.sort(key=self.total_gain, reverse=True)
            if not any(self.apply(place) for place in better):
                return self.partition

    def apply(self, place: Place) -> bool:
        """Make the move wherever it is still possible; whether it was anywhere."""
        before = self.partition
        for move in place.moves:
            if self.partition.has(move.old):
                try:
                    self.partition = self.partition.replaced(move.old, move.new)
                except LoweringError:  # a cycle, which other moves have closed
                    continue
        return self.partition is not before

    def places(self) -> dict[Hashable, Place]:
        """The moves from here by the kernels that they change, and change them to."""
        found: dict[Hashable, Place] = {}
        for move in moves(self.partition):
            try:
                for group in move.new:
                    check_is_one_kernel(group)
            except LoweringError:
                continue
            old = tuple(self.key(g) for g in move.old)
            if any(self.known(g) is None for g in move.old):
                continue
            new = tuple(self.key(g, move) for g in move.new)
            place = found.setdefault((old, new), Place(old=old, new=new))
            place.moves.append(move)
        return found

    def look_at(self, place: Place) -> None:
        """Predict what the move gains, if that is not known and may be found out."""
        key = place.old, place.new
        if key in self.seen or self.costs.missing(place.new) > self.costs.left:
            return
        move = next((m for m in place.moves if self.is_legal(m)), None)
        if move is None:
            return
        old = [self.known(g) for g in move.old]
        new = [self.known(g, move) for g in move.new]
        before, after = total(old), total(new)
        if before is None or after is None:
            self.seen[key] = None
        else:
            self.seen[key] = Step(move, len(place.moves), before, after)

    def is_legal(self, move: Move) -> bool:
        """Whether the grouping with the move is legal."""
        try:
            self.partition.replaced(move.old, move.new)
        except LoweringError:
            return False
        return True

    def step(self, place: Place) -> Step | None:
        """What is known about the move."""
        return self.seen.get((place.old, place.new))

    def steps(self) -> list[Step]:
        """All moves whose kernels could be had, in the order in which they were looked at."""
        return [step for step in self.seen.values() if step is not None]

    def total_gain(self, place: Place) -> float:
        """Predicted seconds that it saves at all places."""
        step = self.step(place)
        return 0.0 if step is None else step.gain * len(place.moves)

    def bound(self, place: Place) -> float:
        """Seconds that the move could save at most: the kernels that vanish, all but the longest;
        or a half, where none does."""
        seconds = self.old_seconds(place)
        return (1 - self.least_kept(place)) * sum(seconds) * len(place.moves)

    def least_kept(self, place: Place) -> float:
        """The share of the time that stays if the move is as good as it can be."""
        seconds = self.old_seconds(place)
        return max(seconds) / sum(seconds) if len(seconds) > 1 else 0.5

    def old_seconds(self, place: Place) -> list[float]:
        """Predicted for the kernels that the move changes."""
        found = [self.costs.known[key] for key in place.old]
        return [float(price.seconds.mean()) for price in found if price is not None]

    def key(self, group: Group, move: Move | None = None) -> Hashable:
        """The name of the group's kernel, after `move` where that is given."""
        results = self.results(group, move)
        at = group, results
        if at not in self.keys:
            self.keys[at] = self.costs.key(group, results)
        return self.keys[at]

    def results(self, group: Group, move: Move | None) -> tuple[SSAValue, ...]:
        """What the group's kernel writes."""
        old, new = ((), ()) if move is None else (move.old, move.new)
        return self.partition.results(group, old, new)

    def known(self, group: Group, move: Move | None = None) -> Price | None:
        """The price of the group's kernel, which is lowered where that is not known."""
        return self.costs.of(self.key(group, move), group, self.results(group, move))

    def seconds(self, partition: Partition) -> float:
        """The predicted time of all kernels that are known."""
        found = [self.known(group) for group in partition.groups]
        return float(sum(price.seconds.mean() for price in found if price is not None))


def total(parts: Sequence[Price | None]) -> Price | None:
    """The price of all parts; None where one is not known."""
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    seconds = np.sum([part.seconds for part in known], axis=0)
    return Price(seconds, sum(p.nests for p in known), sum(p.statements for p in known))
