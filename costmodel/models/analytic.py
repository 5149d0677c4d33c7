"""Models that need no training: `random`, and `roofline`, which every learned model has to beat."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..features.nests import Array
from ..features.program import ROOFLINE
from .files import write_description
from .interface import Candidates


@dataclass
class RandomModel:
    """Scores by chance: what a ranking without knowledge is worth."""

    seed: int = 0
    name: str = "random"
    _rng: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng(self.seed)

    def predict(self, candidates: Candidates) -> Array:
        """Uniform numbers."""
        return self._rng.random(len(candidates))

    def seconds(self, candidates: Candidates) -> Array:
        """One second each."""
        return np.ones(len(candidates))

    def update(self, candidates: Candidates, seconds: Array) -> None:
        """Nothing is learned."""

    def save(self, folder: Path) -> None:
        """Only the name."""
        write_description(folder, self.name, {})


@dataclass
class RooflineModel:
    """The longest time that a resource needs per statement, summed: see `features/statement.py`."""

    name: str = "roofline"

    def predict(self, candidates: Candidates) -> Array:
        """Short is good."""
        found: Array = -candidates.features[:, ROOFLINE]
        return found

    def seconds(self, candidates: Candidates) -> Array:
        """The estimate."""
        found: Array = np.exp(candidates.features[:, ROOFLINE])
        return found

    def update(self, candidates: Candidates, seconds: Array) -> None:
        """Nothing is learned."""

    def save(self, folder: Path) -> None:
        """Only the name."""
        write_description(folder, self.name, {})
