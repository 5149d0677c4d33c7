"""Models of folds are trained once, and again where samples or their source are others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tilecast.costmodel.evaluation.kept_folds import sources_of, trained
from tilecast.costmodel.features.program import PROGRAM_NAMES
from tilecast.costmodel.models.analytic import RooflineModel
from tilecast.costmodel.models.interface import Candidates
from tilecast.costmodel.models.load import new_model


class Counting(RooflineModel):
    """Counts how often it is trained."""

    count = 0

    def update(self, candidates: Candidates, seconds: np.ndarray) -> None:
        Counting.count += 1


def test_a_fold_is_trained_once(tmp_path: Path) -> None:
    Counting.count = 0
    features = np.zeros((2, len(PROGRAM_NAMES)))
    samples = Candidates((), features, (), np.zeros(2, np.int64))
    seconds = np.array([1.0, 2.0])
    for _ in range(2):
        model = trained(Counting(), samples, seconds, tmp_path / "0")
        assert model.predict(samples).tolist() == [0.0, 0.0]
    assert Counting.count == 1
    trained(Counting(), samples, 2 * seconds, tmp_path / "0")
    assert Counting.count == 2
    trained(Counting(), samples, seconds, None)
    assert Counting.count == 3


def test_a_kind_is_made_of_the_modules_that_it_uses() -> None:
    names = {m.__name__.rpartition(".")[2] for m in sources_of(new_model("ensemble"))}
    assert names == {"ensemble", "forest", "ranking"}
