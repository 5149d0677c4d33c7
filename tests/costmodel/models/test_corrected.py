"""The corrected model: nothing without measurements, then what they say, for other tasks too."""

from __future__ import annotations

import numpy as np
import pytest
from tilecast.costmodel.features.program import PROGRAM_NAMES, ROOFLINE
from tilecast.costmodel.models.corrected import CorrectedModel
from tilecast.costmodel.models.interface import Candidates
from tilecast.costmodel.models.load import new_model

FEATURE = 20


def candidates(count: int, task: int, seed: int) -> Candidates:
    """Candidates of a task that differ in one feature, about which the roofline knows nothing."""
    rng = np.random.default_rng(seed)
    features = np.zeros((count, len(PROGRAM_NAMES)))
    features[:, ROOFLINE] = -8.0 - task
    features[:, FEATURE] = 8 * rng.integers(0, 4, count)
    return Candidates((), features, (), np.full(count, task))


def seconds(of: Candidates, machine: float = 2.0) -> np.ndarray:
    """The roofline's, on a machine that is slower, and what the feature adds."""
    return machine * np.exp(of.features[:, ROOFLINE] + 0.02 * of.features[:, FEATURE])


def test_without_measurements_it_is_the_model() -> None:
    base = new_model("roofline")
    some = candidates(6, 0, 0)
    model = CorrectedModel(base)
    assert model.seconds(some) == pytest.approx(base.seconds(some))
    assert np.ptp(model.forecast(some)[1]) == 0


def test_measurements_of_a_task_order_its_other_candidates() -> None:
    model = CorrectedModel(new_model("roofline"))
    measured, others = candidates(24, 0, 0), candidates(30, 0, 1)
    before = model.forecast(others)[1]
    model.update(measured, seconds(measured))
    assert np.corrcoef(model.predict(others), -np.log(seconds(others)))[0, 1] > 0.9
    assert np.abs(np.log(model.seconds(others) / seconds(others))).max() < 0.15
    assert (model.forecast(others)[1] < before).all()


def test_what_is_alike_in_all_tasks_helps_a_new_one() -> None:
    model = CorrectedModel(new_model("roofline"))
    for task in range(6):
        measured = candidates(20, task, task)
        model.update(measured, seconds(measured))
    unseen = candidates(30, 9, 9)
    assert np.corrcoef(model.predict(unseen), -np.log(seconds(unseen)))[0, 1] > 0.9
    assert np.abs(np.log(model.seconds(unseen) / seconds(unseen))).max() < 0.4


def test_equal_measurements_give_equal_answers() -> None:
    found = []
    for _ in range(2):
        model = CorrectedModel(new_model("roofline"))
        for task in (0, 1):
            measured = candidates(10, task, task)
            model.update(measured, seconds(measured))
        found.append(model.predict(candidates(20, 1, 7)).tolist())
    assert found[0] == found[1]
