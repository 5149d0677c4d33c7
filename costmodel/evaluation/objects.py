"""How well registers, spills and instructions of families never trained on are predicted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..data.objects import LABELS, ObjectSample
from ..features.nests import Array
from .metrics import RESAMPLES, Figure
from .splits import family_folds

FOLDS = 3  # one of which is held out: training takes longer than what others would tell
NAMES = (
    *("exact registers", "within one"),
    *(f"nRMSE {label}" for label in LABELS),
    "instructions, median error",
)


class ObjectModel(Protocol):
    """Predicts what a compiler makes of kernels."""

    def train(self, samples: Sequence[ObjectSample]) -> None:
        """From nothing, on these samples."""
        ...

    def predict(self, samples: Sequence[ObjectSample]) -> dict[str, Array]:
        """Numbers by label."""
        ...


@dataclass(frozen=True, eq=False)
class Held:
    """Held-out kernels: families, measured and predicted numbers by label."""

    families: Sequence[str]
    measured: Mapping[str, Array]
    predicted: Mapping[str, Array]


def held_out(make: Callable[[], ObjectModel], samples: Sequence[ObjectSample]) -> Held:
    """The kernels of a third of the families, predicted by a model trained on the others."""
    train, test = next(family_folds([s.family for s in samples], FOLDS))
    model, rest = make(), [samples[k] for k in test]
    model.train([samples[k] for k in train])
    measured = {n: np.array([float(getattr(s, n)) for s in rest]) for n in LABELS}
    return Held([s.family for s in rest], measured, model.predict(rest))


def object_figures(held: Held, seed: int = 0) -> dict[str, Figure]:
    """`NAMES` with 95% intervals over resampled families. nRMSE is the root of the mean squared
    error over the range of what was measured."""
    numbers = np.unique(held.families, return_inverse=True)[1]
    members = [np.flatnonzero(numbers == k) for k in range(numbers.max() + 1)]
    rng = np.random.default_rng(seed)
    draws = rng.integers(0, len(members), (RESAMPLES // 2, len(members)))
    values = _figures(held, np.arange(len(numbers)))
    resampled = np.array([_figures(held, np.concatenate([members[k] for k in d])) for d in draws])
    low, high = np.quantile(resampled, [0.025, 0.975], axis=0)
    return {
        name: Figure(float(v), float(a), float(b))
        for name, v, a, b in zip(NAMES, values, low, high, strict=True)
    }


def _figures(held: Held, rows: np.ndarray) -> list[float]:
    off = np.abs(held.predicted["registers"][rows] - held.measured["registers"][rows])
    found = [float((off == 0).mean()), float((off <= 1).mean())]
    for label in LABELS:
        error = held.predicted[label][rows] - held.measured[label][rows]
        spread = max(1.0, float(np.ptp(held.measured[label])))
        found.append(float(np.sqrt((error**2).mean())) / spread)
    ratio = held.predicted["instructions"][rows] / held.measured["instructions"][rows]
    return [*found, float(np.median(np.abs(ratio - 1)))]
