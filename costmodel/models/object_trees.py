"""Boosted trees over how often a kernel has which word, and over what its loops need at once.

Where a target has few numbers of registers, the likeliest near the median is the answer.

`LiveModel` is what no learning gives: as many registers as values are live at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..data.objects import LABELS, ObjectSample
from ..features.nests import Array
from .object_features import object_features

MOST_WORDS = 300
ROUNDS = 250
OF_NUMBERS = {"objective": "regression_l1"}
OF_CLASSES = {"objective": "multiclass", "learning_rate": 0.08, "num_leaves": 15}
CLASS_ROUNDS = 60
MOST_CLASSES = 40  # numbers of registers, beyond which there are too few kernels of each
NEAR = 3  # registers from the median, within which the likeliest number is chosen
SETTINGS: dict[str, Any] = {
    "learning_rate": 0.05,
    "num_leaves": 31,
    "min_data_in_leaf": 5,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "verbosity": -1,
    "num_threads": 1,
    "seed": 0,
    "deterministic": True,
    "force_row_wise": True,
}


@dataclass
class ObjectTreesModel:
    """A forest per label; one per number of registers where these are few; logarithms of the other
    counts."""

    name: str = "gbdt"
    words: list[str] = field(default_factory=list)
    numbers: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    boosters: dict[str, Any] = field(default_factory=dict)

    def train(self, samples: Sequence[ObjectSample]) -> None:
        """From nothing, on these samples."""
        import lightgbm

        counts = Counter(w for s in samples for w in {w for n in s.lines for w in n.split(" ")})
        self.words = [w for w, _ in counts.most_common(MOST_WORDS)]
        x = self._features(samples)
        for label in LABELS:
            y = np.array([getattr(s, label) for s in samples])
            self.numbers = np.unique(y) if label == "registers" else self.numbers
            if label == "registers" and len(self.numbers) <= MOST_CLASSES:
                y = np.searchsorted(self.numbers, y)
                chosen = {**SETTINGS, **OF_CLASSES, "num_class": max(2, len(self.numbers))}
                self.boosters[label] = lightgbm.train(chosen, lightgbm.Dataset(x, y), CLASS_ROUNDS)
            else:
                data = lightgbm.Dataset(x, y if label == "registers" else np.log1p(y))
                self.boosters[label] = lightgbm.train({**SETTINGS, **OF_NUMBERS}, data, ROUNDS)

    def predict(self, samples: Sequence[ObjectSample]) -> dict[str, Array]:
        """As `ObjectTokensModel.predict`."""
        x = self._features(samples)
        found = {n: np.asarray(b.predict(x, num_threads=1)) for n, b in self.boosters.items()}
        return {
            "registers": self._likeliest(found["registers"]),
            "spills": np.round(np.expm1(found["spills"])),
            "instructions": np.expm1(found["instructions"]),
        }

    def _likeliest(self, chances: Array) -> Array:
        """The number of registers by the chance of each of `numbers`, or as it is predicted."""
        if chances.ndim == 1:
            return np.round(chances)
        median = self.numbers[np.argmax(chances.cumsum(axis=1) >= 0.5, axis=1)]
        is_near = np.abs(self.numbers[None, :] - median[:, None]) <= NEAR
        found: Array = self.numbers[np.where(is_near, chances, 0.0).argmax(axis=1)].astype(float)
        return found

    def _features(self, samples: Sequence[ObjectSample]) -> Array:
        place = {w: k for k, w in enumerate(self.words)}
        x = np.zeros((len(samples), len(self.words) + 4))
        for row, s in enumerate(samples):
            for word, count in Counter(w for n in s.lines for w in n.split(" ")).items():
                if word in place:
                    x[row, place[word]] = np.log1p(count)
            x[row, -4:] = s.live_vectors, s.live_integers, len(s.lines), s.target == "sm_90"
        return np.hstack([x, object_features(samples)])


@dataclass
class LiveModel:
    """Live values and lines, each times what is best on the samples it was given."""

    name: str = "live values"
    factors: dict[str, float] = field(default_factory=dict)
    most: int = 0

    def train(self, samples: Sequence[ObjectSample]) -> None:
        """A factor per label."""
        self.most = max(s.registers for s in samples)
        self.factors = {
            "registers": float(np.median([s.registers - self._live(s) for s in samples])),
            "instructions": float(
                np.median([s.instructions / max(1, len(s.lines)) for s in samples])
            ),
        }

    def predict(self, samples: Sequence[ObjectSample]) -> dict[str, Array]:
        """As `ObjectTokensModel.predict`."""
        live = np.array([float(self._live(s)) for s in samples])
        lines = np.array([float(len(s.lines)) for s in samples])
        wanted = live + self.factors["registers"]
        return {
            "registers": np.clip(np.round(wanted), 0, self.most),
            "spills": np.maximum(0, np.round(wanted - self.most)),
            "instructions": lines * self.factors["instructions"],
        }

    @staticmethod
    def _live(s: ObjectSample) -> int:
        return s.live_vectors + (s.live_integers if s.target.startswith("sm_") else 0)
