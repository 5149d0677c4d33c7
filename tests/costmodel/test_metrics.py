"""Metrics on rankings whose values are known, and splits that keep families together."""

from __future__ import annotations

import numpy as np
import pytest
from tilecast.costmodel.evaluation.metrics import METRICS, Ranked, figures, top_k
from tilecast.costmodel.evaluation.report import calibration, table
from tilecast.costmodel.evaluation.splits import family_folds

TIMES = np.array([4.0, 1.0, 2.0, 8.0])


def ranked(scores, predicted=TIMES):
    return Ranked(TIMES, np.asarray(scores, dtype=float), np.asarray(predicted, dtype=float))


PERFECT, REVERSED = ranked(-TIMES), ranked(TIMES)


def test_a_perfect_ranking():
    values = {name: metric([PERFECT]) for name, metric in METRICS.items()}
    assert values == pytest.approx({**dict.fromkeys(METRICS, 1.0), "mape": 0.0})


def test_a_reversed_ranking():
    assert METRICS["top-1"]([REVERSED]) == pytest.approx(1 / 8)
    assert METRICS["spearman"]([REVERSED]) == pytest.approx(-1)
    assert top_k([REVERSED], 4) == 1.0


def test_top_k_takes_the_best_of_the_first_k():
    assert [top_k([ranked([3, 1, 2, 0])], k) for k in (1, 2, 3)] == [0.25, 0.5, 1.0]


def test_equal_scores_say_nothing():
    assert METRICS["spearman"]([ranked(np.zeros(4))]) == 0.0


def test_errors_of_seconds():
    twice = ranked(-TIMES, 2 * TIMES)
    assert METRICS["mape"]([twice]) == pytest.approx(1.0)
    assert METRICS["median factor"]([twice]) == pytest.approx(2.0)


def test_intervals_hold_the_value_and_have_no_width_for_equal_tasks():
    found = figures([PERFECT, REVERSED] * 10)
    assert found["top-1"].low < found["top-1"].value < found["top-1"].high
    same = figures([PERFECT] * 5)["top-1"]
    assert same.low == same.high == 1.0
    assert "| gbdt | 0.562 [" in table({"gbdt": found})


def test_no_family_is_in_training_and_test():
    families = [f"f{k % 7}" for k in range(50)]
    tested: list[int] = []
    for train, test in family_folds(families, 5):
        assert not {families[k] for k in train} & {families[k] for k in test}
        tested += test.tolist()
    assert sorted(tested) == list(range(50))


def test_calibration_of_predictions_that_are_half_of_the_truth():
    predicted = np.linspace(1, 2, 40)
    middle, ratios = calibration(2 * predicted, predicted)
    assert middle.tolist() == sorted(middle)
    assert ratios == pytest.approx(2.0)


def test_order_among_schedules_that_hardly_differ_is_told_from_order_of_others():
    times = np.array([1.0, 1.001, 1.002, 2.0])
    alike = Ranked(times, np.array([2.0, 3.0, 4.0, 1.0]), times)
    wrong = Ranked(times, np.array([1.0, 3.0, 2.0, 4.0]), times)
    assert METRICS["spearman"]([alike]) < METRICS["of groups"]([alike]) == pytest.approx(1.0)
    assert METRICS["spearman"]([wrong]) < METRICS["of groups"]([wrong]) < 0.5
    assert METRICS["of groups"]([Ranked(times, np.ones(4), times)]) == 0.0
