"""A cost model corrected by what was measured on this machine, while a model's kernels are tuned.

What comes in are the answers of a model and the times of some candidates; what goes out are its
answers plus the expected rest, and how uncertain that is: a Gaussian process over features, with a
level for the machine and one for each task. Without measurements it is the model as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..features.nests import Array
from ..features.program import PROGRAM_NAMES
from .interface import Candidates, CostModel

# Standard deviations of logarithms of seconds over what the model says, and the difference of
# features (most are logarithms) at which candidates say little about each other. Chosen on networks
# that are not in docs/tuning.md, starting from the roofline: see there.
MACHINE = 1.0
TASK = 0.3
SHARED = 0.1  # of what is alike in all tasks
OWN = 0.15  # of what is a task's own
LENGTH = 0.3
NOISE = 0.05
SLOWER_NOISE = 0.5  # more, per logarithm above the task's fastest: the order of slow ones is no use
MOST = 1500  # measurements that count, the latest: time grows with the third power
# Kinds of models that look at features alone, which is what is kept of earlier runs.
OF_FEATURES = ("roofline", "gbdt", "ensemble")


@dataclass
class CorrectedModel:
    """`base` plus what the measurements given to `update` say about it."""

    base: CostModel
    name: str = "corrected"
    _seen: list[tuple[Candidates, Array]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._rows = np.zeros((0, len(PROGRAM_NAMES)))
        self._tasks = np.zeros(0, np.int64)
        self._weights: Array = np.zeros(0)
        self._factor: Array = np.zeros((0, 0))  # of Cholesky

    def predict(self, candidates: Candidates) -> Array:
        """Short is good."""
        found: Array = -self.forecast(candidates)[0]
        return found

    def seconds(self, candidates: Candidates) -> Array:
        """What is expected."""
        found: Array = np.exp(self.forecast(candidates)[0])
        return found

    def save(self, folder: Path) -> None:
        """The model that is corrected; measurements stay in the database they came from."""
        self.base.save(folder)

    def update(self, candidates: Candidates, seconds: Array) -> None:
        """Take these measurements into account besides all earlier ones."""
        if self.base.name in OF_FEATURES:
            candidates = Candidates((), candidates.features, (), candidates.tasks)
        self._seen.append((candidates, np.log(seconds)))
        seen = Candidates.joined([c for c, _ in self._seen])
        times = np.concatenate([t for _, t in self._seen])
        rows = np.arange(len(times))[-MOST:]
        kept, times = seen.chosen(rows), times[rows]
        self._rows, self._tasks = kept.features, kept.tasks
        number = np.unique(kept.tasks, return_inverse=True)[1]
        fastest = np.full(int(number.max()) + 1, np.inf)
        np.minimum.at(fastest, number, times)
        noise = NOISE + SLOWER_NOISE * (times - fastest[number])
        covariance = self._covariance(kept, kept) + np.diag(noise**2)
        self._factor = np.asarray(np.linalg.cholesky(covariance), np.float64)
        rest = np.linalg.solve(self._factor, times - self._expected(kept))
        self._weights = np.linalg.solve(self._factor.T, rest)

    def forecast(self, candidates: Candidates) -> tuple[Array, Array]:
        """(logarithm of seconds, its standard deviation without that of the level)."""
        known = self._of_tasks(candidates.tasks)
        expected = self._expected(Candidates.joined([*known, candidates]))
        expected = expected[len(expected) - len(candidates) :]
        prior = np.full(len(candidates), SHARED**2 + OWN**2)
        if not len(self._rows):
            return expected, np.sqrt(prior)
        measured = Candidates((), self._rows, (), self._tasks)
        across = self._covariance(candidates, measured)
        told = np.linalg.solve(self._factor, across.T)
        left = prior + MACHINE**2 + TASK**2 - (told**2).sum(axis=0)
        return expected + across @ self._weights, np.sqrt(np.clip(left, NOISE**2 / 100, prior))

    def _of_tasks(self, tasks: npt.NDArray[np.int64]) -> list[Candidates]:
        """The measured candidates of these tasks: scores compare within a task, so all its
        candidates are asked about together."""
        found = [c.chosen(np.flatnonzero(np.isin(c.tasks, tasks))) for c, _ in self._seen]
        return [c for c in found if len(c)]

    def _expected(self, candidates: Candidates) -> Array:
        """Logarithms of seconds by the model alone: the order from its scores, which know more
        about it, the level of each task from its seconds."""
        found: Array = -self.base.predict(candidates)
        number, sizes = np.unique(candidates.tasks, return_inverse=True, return_counts=True)[1:]
        level = np.log(self.base.seconds(candidates)) - found
        found += (np.bincount(number, level) / sizes)[number]
        return found

    def _covariance(self, one: Candidates, other: Candidates) -> Array:
        """Of what the model leaves unsaid about each of `one` with each of `other`."""
        a, b = one.features, other.features
        distance = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None, :] - 2 * a @ b.T
        alike = np.exp(-np.maximum(distance, 0.0) / (2 * LENGTH**2 * a.shape[1]))
        same = one.tasks[:, None] == other.tasks[None, :]
        found: Array = MACHINE**2 + SHARED**2 * alike + same * (TASK**2 + OWN**2 * alike)
        return found
