"""Gradient-boosted trees: a loss over pairs within tasks for the order, a second head for seconds.

Both start from the roofline, so that what it knows need not be learned from few tasks: the order
from its logarithm, the seconds head from its value.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np

from ...dialects.errors import InvalidInputError
from ..features.nests import Array
from ..features.program import PROGRAM_NAMES, ROOFLINE
from .files import write_description
from .interface import Candidates
from .ranking import COMMON, Ranking
from .ranking import ROUNDS as RANKING_ROUNDS
from .tree_text import checked_trees

ROUNDS = 200  # of the seconds head


@dataclass
class GbdtModel:
    """LightGBM over the features of programs. `update` trains anew on all samples it was given."""

    rounds: int = ROUNDS
    ranking_rounds: int = RANKING_ROUNDS
    name: str = "gbdt"
    ranker: Ranking | None = None
    regressor: Any = None
    _seen: list[tuple[Candidates, Array]] = field(default_factory=list)

    def predict(self, candidates: Candidates) -> Array:
        """From the ranking head."""
        self._check_is_trained()
        assert self.ranker is not None
        return self.ranker.predict(candidates)

    def seconds(self, candidates: Candidates) -> Array:
        """From the seconds head."""
        self._check_is_trained()
        correction = np.asarray(self.regressor.predict(candidates.features, num_threads=1))
        found: Array = np.exp(candidates.features[:, ROOFLINE] + correction)
        return found

    def update(self, candidates: Candidates, seconds: Array) -> None:
        """Train on these samples and all earlier ones."""
        self._seen.append((candidates, seconds))
        seen = Candidates.joined([c for c, _ in self._seen])
        y = np.concatenate([t for _, t in self._seen])
        self.ranker = Ranking.trained(seen, y, self.ranking_rounds)
        roofline = seen.features[:, ROOFLINE]
        number, sizes = np.unique(seen.tasks, return_inverse=True, return_counts=True)[1:]
        leaf = {"min_data_in_leaf": max(1, min(COMMON["min_data_in_leaf"], len(y) // 4))}
        # Tasks count alike, however many samples they have.
        weights = (1.0 / sizes)[number]
        self.regressor = lightgbm.train(
            {**COMMON, **leaf, "objective": "huber", "alpha": 0.5},
            lightgbm.Dataset(
                seen.features, np.log(y) - roofline, weight=weights * len(y) / len(sizes)
            ),
            self.rounds,
        )

    def importance(self) -> dict[str, float]:
        """Share of the gain of the seconds head by feature, largest first."""
        self._check_is_trained()
        gains = self.regressor.feature_importance("gain")
        order = np.argsort(-gains)
        total = max(float(gains.sum()), 1e-12)
        return {PROGRAM_NAMES[k]: float(gains[k]) / total for k in order}

    def contributions(self, candidates: Candidates) -> Array:
        """As of `EnsembleModel`, of the seconds head."""
        self._check_is_trained()
        x = candidates.features
        return np.asarray(self.regressor.predict(x, pred_contrib=True, num_threads=1))

    def save(self, folder: Path) -> None:
        """Both heads as LightGBM text."""
        self._check_is_trained()
        assert self.ranker is not None
        write_description(
            folder,
            self.name,
            ranker=self.ranker.text.encode(),
            regressor=self.regressor.model_to_string().encode(),
        )

    @staticmethod
    def restored(parts: dict[str, bytes]) -> GbdtModel:
        """The model of a checked description."""
        model = GbdtModel()
        model.regressor = head_of(parts, "regressor", len(PROGRAM_NAMES))
        model.ranker = Ranking.restored(parts.get("ranker", b""))
        return model

    def _check_is_trained(self) -> None:
        if self.ranker is None or self.regressor is None:
            raise InvalidInputError("this gbdt model is not trained; give it samples with `update`")


def head_of(parts: dict[str, bytes], name: str, features: int) -> Any:
    """The trees of one part; InvalidInputError where it has none."""
    text = parts.get(name, b"").decode("ascii", errors="replace")
    trees = checked_trees(text, features)
    try:
        return lightgbm.Booster(model_str=trees)
    except (lightgbm.basic.LightGBMError, ValueError) as error:
        raise InvalidInputError(f"the {name} of this model cannot be read: {error}") from error
