"""Boosted trees, several of them, each trained without a part of the tasks: how far their answers
differ says how much to trust them. Seconds are their mean; the order is, for the most part, that of
trees trained on pairs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ...dialects.errors import InvalidInputError
from ..features.nests import Array
from ..features.program import PROGRAM_NAMES, ROOFLINE
from .files import write_description
from .forest import Forest
from .interface import Candidates
from .ranking import COMMON, FEW, Ranking
from .ranking import ROUNDS as RANKING_ROUNDS

MEMBERS = 5
ROUNDS = 240
KEPT = 0.8  # share of the tasks that a member is trained on
SETTINGS = {"objective": "huber", "alpha": 0.3, "num_leaves": 15}
RANKED = 2 / 3  # what the ranking counts of the score: chosen on affine programs, as its settings


@dataclass
class EnsembleModel:
    """Corrections of the roofline's logarithm. `update` trains anew on all samples it was given."""

    name: str = "ensemble"
    ranking_rounds: int = RANKING_ROUNDS
    texts: list[str] = field(default_factory=list)
    forests: list[Forest] = field(default_factory=list)
    ranking: Ranking | None = None
    _seen: list[tuple[Candidates, Array]] = field(default_factory=list)

    def predict(self, candidates: Candidates) -> Array:
        """From both."""
        mean = self.log_seconds(candidates).mean(axis=0)
        assert self.ranking is not None
        found: Array = RANKED * self.ranking.predict(candidates) - (1 - RANKED) * mean
        return found

    def seconds(self, candidates: Candidates) -> Array:
        """The geometric mean of the members."""
        found: Array = np.exp(self.log_seconds(candidates).mean(axis=0))
        return found

    def log_seconds(self, candidates: Candidates) -> Array:
        """Members x candidates."""
        if not self.forests:
            raise InvalidInputError("this ensemble is not trained; give it samples with `update`")
        x = candidates.features
        if len(x) > FEW:
            import lightgbm  # slow to import, fast afterwards

            boosters = [lightgbm.Booster(model_str=text) for text in self.texts]
            return np.stack([b.predict(x, num_threads=1) + x[:, ROOFLINE] for b in boosters])
        return np.stack([forest.predict(x) + x[:, ROOFLINE] for forest in self.forests])

    def update(self, candidates: Candidates, seconds: Array) -> None:
        """Train on these samples and all earlier ones."""
        import lightgbm

        self._seen.append((candidates, seconds))
        seen = Candidates.joined([c for c, _ in self._seen])
        known = np.concatenate([t for _, t in self._seen])
        self.ranking = Ranking.trained(seen, known, self.ranking_rounds)
        target = np.log(known) - seen.features[:, ROOFLINE]
        tasks, number, sizes = np.unique(seen.tasks, return_inverse=True, return_counts=True)
        rng = np.random.default_rng(0)
        self.texts = []
        for k in range(MEMBERS):
            kept = rng.permutation(len(tasks))[: max(1, round(KEPT * len(tasks)))]
            rows = np.flatnonzero(np.isin(number, kept))
            # Tasks count alike, however many samples they have.
            weights = (len(rows) / len(kept)) / sizes[number[rows]]
            data = lightgbm.Dataset(seen.features[rows], target[rows], weight=weights)
            booster = lightgbm.train({**COMMON, **SETTINGS, "seed": k}, data, ROUNDS)
            self.texts.append(booster.model_to_string())
        self.forests = [Forest.of(text, len(PROGRAM_NAMES)) for text in self.texts]

    def importance(self) -> dict[str, float]:
        """Share of the gain by feature, largest first."""
        import lightgbm

        boosters = [lightgbm.Booster(model_str=text) for text in self.texts]
        gains = np.sum([b.feature_importance("gain") for b in boosters], axis=0)
        total = max(float(gains.sum()), 1e-12)
        return {PROGRAM_NAMES[k]: float(gains[k]) / total for k in np.argsort(-gains)}

    def contributions(self, candidates: Candidates) -> Array:
        """Candidates x (features and a constant): shares in the mean logarithm of seconds over the
        roofline (Shapley values of the trees), which they add up to."""
        import lightgbm

        boosters = [lightgbm.Booster(model_str=text) for text in self.texts]
        parts = [b.predict(candidates.features, pred_contrib=True, num_threads=1) for b in boosters]
        found: Array = np.mean(parts, axis=0)
        return found

    def save(self, folder: Path) -> None:
        """A part of LightGBM text per member, and one for the ranking."""
        if self.ranking is None:
            raise InvalidInputError("this ensemble is not trained; give it samples with `update`")
        texts = {f"member{k}": text.encode() for k, text in enumerate(self.texts)}
        texts["ranking"] = self.ranking.text.encode()
        write_description(folder, self.name, **texts)

    @staticmethod
    def restored(parts: dict[str, bytes]) -> EnsembleModel:
        """The model of a checked description."""
        model = EnsembleModel()
        if "ranking" not in parts:
            raise InvalidInputError("this ensemble has no ranking; train it again")
        model.ranking = Ranking.restored(parts["ranking"])
        for name in sorted(parts.keys() - {"ranking"}):
            text = parts[name].decode("ascii", errors="replace")
            model.texts.append(text)
            model.forests.append(Forest.of(text, len(PROGRAM_NAMES)))
        if not model.forests:
            raise InvalidInputError("this ensemble has no members")
        return model
