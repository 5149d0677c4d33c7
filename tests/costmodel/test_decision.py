"""Decisions: the usual candidate stays unless the gain is larger than what is doubtful about it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tilecast.costmodel.decision import decided, weigh


class Members:
    """A model whose members answer what they are told."""

    name = "members"

    def __init__(self, *seconds: list[float]) -> None:
        self.answers = np.log(np.array(seconds))

    def log_seconds(self, candidates: Any) -> np.ndarray:
        return self.answers

    def seconds(self, candidates: Any) -> np.ndarray:
        return np.exp(self.answers.mean(axis=0))

    predict = update = save = seconds


class Alone:
    """A model that cannot say how sure it is."""

    name = "alone"

    def seconds(self, candidates: Any) -> np.ndarray:
        return np.array([2.0, 1.0])

    predict = update = save = seconds


def choice(model: Any) -> int:
    return weigh(model, None)[0]  # type: ignore[arg-type]  # these models look at nothing


def test_a_large_gain_that_members_agree_on_is_taken():
    assert choice(Members([2.0, 1.0], [2.1, 1.0], [1.9, 1.0])) == 1


def test_a_small_gain_is_left():
    assert choice(Members([1.05, 1.0], [1.05, 1.0])) == 0


def test_a_gain_that_members_disagree_on_is_left():
    assert choice(Members([3.0, 1.0], [0.9, 1.0], [1.0, 1.0])) == 0


def test_a_model_without_members_changes_nothing():
    assert choice(Alone()) == 0


def test_a_decision_names_the_candidates_and_what_they_are_expected_to_take():
    model: Any = Members([2.0, 1.0], [2.0, 1.0])
    number, record = decided(model, "k", "schedule", ["rules", "vectors=0.5"], None)  # type: ignore[arg-type]
    assert number == 1
    assert record.chosen == "vectors=0.5"
    assert dict(record.candidates) == pytest.approx({"rules": 2.0, "vectors=0.5": 1.0})
    assert "* 1000000.00 us  vectors=0.5" in str(record)
    assert record.to_json()["gain"] == pytest.approx(np.log(2.0))
