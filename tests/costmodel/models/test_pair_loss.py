"""The loss over pairs, against one written pair by pair."""

from __future__ import annotations

import numpy as np
import pytest
from tilecast.costmodel.models.pair_loss import UNSURE, PairLoss


def by_hand(tasks, seconds, scores):
    """The loss of all pairs."""
    total = 0.0
    for i in range(len(tasks)):
        for j in range(len(tasks)):
            if tasks[i] != tasks[j] or seconds[i] >= seconds[j]:
                continue
            sure = np.tanh(np.log(seconds[j] / seconds[i]) / (2 * UNSURE))
            size = (tasks == tasks[i]).sum()
            total += 2 * sure / (size - 1) * np.log1p(np.exp(scores[j] - scores[i]))
    return total


def test_gradients_are_those_of_the_pairs():
    rng = np.random.default_rng(0)
    tasks = np.array([3, 0, 3, 3, 0, 7])
    seconds, scores = rng.uniform(1, 1.2, 6), rng.normal(size=6)
    slopes, curvatures = PairLoss(tasks, seconds)(scores, None)
    for k in range(6):
        step = np.zeros(6)
        step[k] = 1e-4
        ends = [by_hand(tasks, seconds, scores + s) for s in (step, -step)]
        assert slopes[k] == pytest.approx((ends[0] - ends[1]) / 2e-4, abs=1e-5)
    assert (curvatures > 0).all()
    assert slopes[5] == 0  # alone in its task


def test_times_that_hardly_differ_hardly_count():
    clear, unclear = (
        PairLoss(np.zeros(2, int), np.array([1.0, slower]))(np.zeros(2), None)[0]
        for slower in (2.0, 1.0001)
    )
    assert clear[0] < 0 < clear[1]
    assert abs(unclear[0]) < 0.03 * abs(clear[0])
