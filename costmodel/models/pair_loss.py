"""A loss over pairs of schedules of one task (RankNet, Burges et al. 2005) for boosted trees.

Every pair counts by how sure its order is: times that hardly differ come out in another order each
time they are measured. Tasks count by their schedules, however many pairs these make.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..features.nests import Array

UNSURE = 0.003  # difference of logarithms at which an order is about half sure: the median of that
# between two measurements of one schedule
SMALLEST_CURVATURE = 1e-3
STEEPEST = 30.0


class PairLoss:
    """What LightGBM asks of an objective: gradient and curvature for scores, higher being faster.

    Schedules are rows of a table tasks x longest task, so that all pairs are one array."""

    def __init__(self, tasks: npt.NDArray[np.int64], seconds: Array) -> None:
        number, sizes = np.unique(tasks, return_inverse=True, return_counts=True)[1:]
        order = np.argsort(number, kind="stable")
        column = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        self.place = np.empty(len(order), np.int64)
        self.place[order] = number[order] * sizes.max() + column
        self.shape = len(sizes), int(sizes.max())
        self.is_there = self._table(np.ones(len(tasks))) > 0
        time = self._table(np.log(seconds))
        longer = time[:, None, :] - time[:, :, None]
        sure = np.abs(np.tanh(longer / (2 * UNSURE)))
        pairs = self.is_there[:, :, None] & self.is_there[:, None, :]
        self.is_faster = longer > 0
        self.weight = np.where(pairs, sure, 0.0) / np.maximum(sizes - 1, 1)[:, None, None]

    def __call__(self, scores: Array, data: Any) -> tuple[Array, Array]:
        """Gradient and curvature of the loss, per schedule."""
        table = self._table(scores)
        ahead = np.clip(table[:, :, None] - table[:, None, :], -STEEPEST, STEEPEST)
        chance = 1 / (1 + np.exp(-ahead))
        slope = 2 * (self.weight * (chance - self.is_faster)).sum(axis=2)
        curvature = 2 * (self.weight * chance * (1 - chance)).sum(axis=2)
        found = slope.reshape(-1)[self.place], curvature.reshape(-1)[self.place]
        return found[0], np.maximum(found[1], SMALLEST_CURVATURE)

    def _table(self, values: Array) -> Array:
        table = np.zeros(self.shape[0] * self.shape[1])
        table[self.place] = values
        return table.reshape(self.shape)
