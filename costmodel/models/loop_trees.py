"""Loop trees of many programs as index arrays, so that a network can walk them level by level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from ..features.nests import KINDS, Array, ScheduledProgram, StatementNest

LOOP_FEATURES = 2 + len(KINDS)
DEEPEST = 16  # of deeper nests the innermost loops are left out


@dataclass
class Level:
    """The loops of one depth, over all programs. `children` has, per loop, what is inside in order:
    (True, statement number) or (False, number of a loop one level deeper)."""

    children: list[list[tuple[bool, int]]] = field(default_factory=list)
    features: list[Array] = field(default_factory=list)

    @cached_property
    def table(self) -> tuple[Tensor, Tensor, Tensor]:
        """(numbers of the children, -1 beyond the last; which are loops; how many there are)."""
        lengths = torch.tensor([len(c) for c in self.children])
        numbers = torch.full((len(self.children), int(lengths.max())), -1)
        is_loop = torch.zeros_like(numbers)
        for place, children in enumerate(self.children):
            numbers[place, : len(children)] = torch.tensor([n for _, n in children])
            is_loop[place, : len(children)] = torch.tensor([not s for s, _ in children]).long()
        return numbers, is_loop, lengths

    @cached_property
    def rows(self) -> Tensor:
        """The features as one table."""
        return torch.tensor(np.array(self.features))


@dataclass
class LoopTrees:
    """Levels from the outermost on; those of level 0 stand for whole programs."""

    levels: list[Level]

    @staticmethod
    def of(programs: Sequence[ScheduledProgram]) -> LoopTrees:
        """The trees of `programs`; statements are numbered through."""
        levels = [Level() for _ in range(DEEPEST + 1)]
        number = 0
        for program in programs:
            places: dict[tuple[int, ...], int] = {(): len(levels[0].children)}
            levels[0].children.append([])
            levels[0].features.append(np.zeros(LOOP_FEATURES))
            for nest in program.nests:
                path: tuple[int, ...] = ()
                for k, axis in enumerate(nest.axes[:DEEPEST]):
                    inner = (*path, int(axis))
                    if inner not in places:
                        level = levels[k + 1]
                        places[inner] = len(level.children)
                        level.children.append([])
                        level.features.append(loop_features(nest, k))
                        levels[k].children[places[path]].append((False, places[inner]))
                    path = inner
                levels[len(path)].children[places[path]].append((True, number))
                number += 1
        while not levels[-1].children:
            levels.pop()
        return LoopTrees(levels)


def loop_features(nest: StatementNest, k: int) -> Array:
    """What is known about one loop without what is inside."""
    kind = np.zeros(len(KINDS))
    kind[nest.kinds[k]] = 1.0
    return np.concatenate([[np.log1p(nest.trips[k]), nest.lanes[k] / 16.0], kind])
