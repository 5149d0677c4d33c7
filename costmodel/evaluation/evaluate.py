"""Cross-validated figures of models on a set of measured candidates."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..features.nests import Array
from ..models.interface import Candidates, CostModel
from .kept_folds import trained
from .metrics import Ranked
from .splits import Rows, family_folds

FOLDS = 5
FEWEST = 5  # candidates of a task below which a ranking says little


@dataclass(frozen=True, eq=False)
class Measured:
    """Candidates with their seconds; `families`, `names`, `choices` and `machines` are per row.
    `halves` are two measurements of each, NaN where there is one."""

    candidates: Candidates
    seconds: Array
    families: tuple[str, ...]
    names: tuple[str, ...]
    choices: tuple[str, ...]
    machines: tuple[str, ...]
    halves: Array

    def chosen(self, rows: Rows) -> Measured:
        """The rows with the numbers `rows`."""
        return Measured(
            self.candidates.chosen(rows),
            self.seconds[rows],
            tuple(self.families[k] for k in rows),
            tuple(self.names[k] for k in rows),
            tuple(self.choices[k] for k in rows),
            tuple(self.machines[k] for k in rows),
            self.halves[rows],
        )


def ranked_tasks(model: CostModel, test: Measured) -> dict[str, Ranked]:
    """What `model` says about each task of `test` that has enough candidates."""
    scores, predicted = model.predict(test.candidates), model.seconds(test.candidates)
    found = {}
    for name in sorted(set(test.names)):
        rows = np.flatnonzero(np.array(test.names) == name)
        if len(rows) >= FEWEST:
            found[name] = Ranked(test.seconds[rows], scores[rows], predicted[rows])
    return found


def measured_again(data: Measured) -> dict[str, Ranked]:
    """The second measurement of each task as a forecast of the first: what no model exceeds but by
    chance, since times of schedules that hardly differ come out in another order every time."""
    found = {}
    for name in sorted(set(data.names)):
        rows = np.flatnonzero(np.array(data.names) == name)
        first, second = data.halves[rows].T
        if len(rows) >= FEWEST and np.isfinite(first).all():
            found[name] = Ranked(first, -second, second)
    return found


@dataclass(frozen=True, eq=False)
class Fold:
    """A trained model and the rows of the families that it has not seen."""

    model: CostModel
    test: Rows


def trained_folds(
    make: Callable[[], CostModel],
    data: Measured,
    folds: int = FOLDS,
    families: int | None = None,
    seed: int = 0,
    keep: Path | None = None,
    machines: Collection[str] | None = None,
) -> list[Fold]:
    """A model per fold, trained on the others. `families` bounds how many families are trained on,
    for learning curves, and `machines` says which. Models are kept in `keep`, and taken from
    there."""
    found = []
    for number, (train, test) in enumerate(family_folds(data.families, folds, seed)):
        chosen = _some(data, train, families, seed)
        if machines is not None:
            chosen = chosen[[data.machines[k] in machines for k in chosen]]
            if not len(chosen):
                continue  # nothing to train on; what is tested here stays without a model
        folder = keep and keep / f"{number}"
        candidates = data.candidates.chosen(chosen)
        found.append(Fold(trained(make(), candidates, data.seconds[chosen], folder), test))
    return found


def cross_validated(data: Measured, folds: Sequence[Fold]) -> dict[str, Ranked]:
    """Every task, ranked by a model that has seen none of its family."""
    found: dict[str, Ranked] = {}
    for fold in folds:
        found |= ranked_tasks(fold.model, data.chosen(fold.test))
    return found


def _some(data: Measured, rows: Rows, families: int | None, seed: int) -> Rows:
    """The rows of at most `families` of their families."""
    names: Sequence[str] = sorted({data.families[k] for k in rows})
    if families is None or families >= len(names):
        return rows
    kept = set(np.random.default_rng(seed).permutation(names)[:families])
    return np.array([k for k in rows if data.families[k] in kept], np.int64)
