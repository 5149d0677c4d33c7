"""Cross-validation by whole family: no program and no network is in training and in test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]


def family_folds(families: Sequence[str], folds: int, seed: int = 0) -> Iterator[tuple[Rows, Rows]]:
    """(training rows, test rows) of each fold; `families` has the family of every row."""
    names = sorted(set(families))
    order = np.random.default_rng(seed).permutation(len(names))
    fold_of = {names[k]: place % folds for place, k in enumerate(order)}
    of_row = np.array([fold_of[f] for f in families])
    for fold in range(min(folds, len(names))):
        yield np.flatnonzero(of_row != fold), np.flatnonzero(of_row == fold)
