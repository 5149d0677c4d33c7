"""The order of schedules of one program: boosted trees, trained on pairs, that start from the
roofline. What goes out is a logarithm of speed, of which differences within a task are meant.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..features.nests import Array
from ..features.program import ROOFLINE
from .forest import Forest
from .interface import INPUT_NAMES, Candidates, inputs
from .pair_loss import PairLoss
from .tree_text import check_trees

# Logarithm of time per score: the slope of one over the other on affine programs of families that
# were held out. The loss knows how sure an order is, not by how much times differ.
SLOPE = 0.25
PRIOR = 1 / SLOPE  # scores by which the roofline tells candidates apart that differ by the factor e
KEPT = 0.5  # of what the trees add: on families that were not seen, about half of it holds
FEW = 1000  # rows up to which numpy is quick enough
COMMON: dict[str, Any] = {
    "learning_rate": 0.04,
    "num_leaves": 15,
    "min_data_in_leaf": 12,
    "feature_fraction": 0.6,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 1.0,
    "verbosity": -1,
    "num_threads": 1,
    "seed": 0,
    "deterministic": True,
    "force_row_wise": True,
}
# Chosen on affine programs alone, so that figures of networks owe them nothing.
SETTINGS = {"min_sum_hessian_in_leaf": 0.1, "num_leaves": 31, "feature_fraction": 0.3}
ROUNDS = 300


@dataclass(frozen=True)
class Ranking:
    """The trees as LightGBM's text."""

    text: str

    @staticmethod
    def trained(candidates: Candidates, seconds: Array, rounds: int = ROUNDS) -> Ranking:
        """Trained on pairs of candidates of a task."""
        import lightgbm  # slow to import

        x, roofline = inputs(candidates), candidates.features[:, ROOFLINE]
        number, sizes = np.unique(candidates.tasks, return_inverse=True, return_counts=True)[1:]
        level = (np.bincount(number, roofline) / sizes)[number]
        leaf = max(1, min(COMMON["min_data_in_leaf"], len(x) // 4))
        loss = PairLoss(candidates.tasks, seconds)
        booster = lightgbm.train(
            {**COMMON, **SETTINGS, "min_data_in_leaf": leaf, "objective": loss},
            lightgbm.Dataset(x, seconds, init_score=-PRIOR * (roofline - level)),
            rounds,
        )
        return Ranking(booster.model_to_string())

    @staticmethod
    def restored(data: bytes) -> Ranking:
        """That of a file; InvalidInputError where it holds no trees."""
        text = data.decode("ascii", errors="replace")
        check_trees(text, len(INPUT_NAMES))
        return Ranking(text)

    def predict(self, candidates: Candidates) -> Array:
        """Higher is faster."""
        x = inputs(candidates)
        if len(x) > FEW:
            found = np.asarray(self._booster.predict(x, num_threads=1))
        else:
            found = self._forest.predict(x)
        score: Array = SLOPE * (KEPT * found - PRIOR * candidates.features[:, ROOFLINE])
        return score

    @cached_property
    def _forest(self) -> Forest:
        return Forest.of(self.text, len(INPUT_NAMES))

    @cached_property
    def _booster(self) -> Any:
        import lightgbm

        from .tree_text import checked_trees

        return lightgbm.Booster(model_str=checked_trees(self.text, len(INPUT_NAMES)))
