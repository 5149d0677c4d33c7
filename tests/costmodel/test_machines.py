"""What models say of a machine that they were trained on, and of one that they were not."""

from __future__ import annotations

import numpy as np
import pytest
from tilecast.costmodel.evaluation.evaluate import Measured, cross_validated, trained_folds
from tilecast.costmodel.evaluation.machines import Experience, transfers
from tilecast.costmodel.evaluation.metrics import mape
from tilecast.costmodel.features.program import PROGRAM_NAMES, ROOFLINE
from tilecast.costmodel.models.analytic import RooflineModel
from tilecast.costmodel.models.interface import Candidates

SCHEDULES = 5
FACTORS = {"fast": 2.0, "slow": 8.0}  # time over the roofline's


class Factor(RooflineModel):
    """The roofline times the factor that it was off by, in the mean of logarithms."""

    factor = 1.0

    def update(self, candidates: Candidates, seconds: np.ndarray) -> None:
        off = np.log(seconds) - candidates.features[:, ROOFLINE]
        self.factor = float(np.exp(off.mean()))

    def seconds(self, candidates: Candidates) -> np.ndarray:
        return self.factor * super().seconds(candidates)


def measured_on(*machines: str) -> Measured:
    """Two kernels of each of five families, under the rules' choice and four others."""
    rows = [(m, f, k) for m in machines for f in range(5) for k in range(2)]
    rng = np.random.default_rng(0)
    features = np.zeros((len(rows) * SCHEDULES, len(PROGRAM_NAMES)))
    features[:, ROOFLINE] = rng.uniform(-12, -8, len(features))
    each = [(m, f, k, s) for m, f, k in rows for s in range(SCHEDULES)]
    factors = np.array([FACTORS[m] for m, *_ in each])
    return Measured(
        Candidates((), features, (), np.repeat(np.arange(len(rows)), SCHEDULES)),
        factors * np.exp(features[:, ROOFLINE]),
        tuple(f"family{f}" for _, f, _, _ in each),
        tuple(f"{m}.{f}.{k}" for m, f, k, _ in each),
        tuple("rules" if s == 0 else f"caches={s}" for *_, s in each),
        tuple(m for m, *_ in each),
        np.full((len(each), 2), np.nan),
    )


def test_each_machine_by_models_of_the_others_of_itself_and_of_all() -> None:
    data = measured_on("fast", "slow")
    whole = trained_folds(Factor, data)
    roofline = cross_validated(data, trained_folds(RooflineModel, data))
    experience = Experience(data, {"factor": Factor}, {"factor": whole})
    fast, slow = transfers(experience, {"roofline": roofline}, ["caches=1"])
    assert (fast.machine, slow.machine) == ("fast", "slow")
    errors = {label: mape(list(of.values())) for label, of in slow.ranked.items()}
    assert errors == pytest.approx(
        {
            "roofline": 1 - 1 / 8,
            "factor of fast": 1 - 2 / 8,
            "factor of slow": 0,
            "factor of fast and slow": 1 - 4 / 8,
        }
    )
    assert {n for of in slow.ranked.values() for n in of} == {n for n in data.names if "slow" in n}
    assert all(len(found) == 10 for found in slow.decided.values())


def test_one_machine_has_no_other() -> None:
    data = measured_on("fast")
    whole = trained_folds(Factor, data)
    assert transfers(Experience(data, {"factor": Factor}, {"factor": whole}), {}, []) == []


def test_what_has_nothing_to_be_trained_on_is_left_out() -> None:
    data = measured_on("fast", "slow")
    only = np.array([k for k, f in enumerate(data.families) if f == "family0"])
    rows = np.concatenate([only, np.flatnonzero(np.array(data.machines) == "fast")])
    data = data.chosen(np.unique(rows))
    experience = Experience(data, {"factor": Factor}, {"factor": trained_folds(Factor, data)})
    slow = transfers(experience, {}, [])[1]
    assert {label: len(of) for label, of in slow.ranked.items()} == {
        "factor of fast": 2,
        "factor of slow": 0,
        "factor of fast and slow": 2,
    }
