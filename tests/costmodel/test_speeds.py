"""Speeds of a machine: estimates, and files that are refused."""

from __future__ import annotations

import json

import pytest
from tilecast.compiler.target import resolve_target
from tilecast.costmodel.speeds import LEVELS, Speeds, estimated_speeds
from tilecast.dialects.errors import InvalidInputError

ESTIMATE = estimated_speeds(resolve_target("zen4"))


def test_speeds_come_back_from_their_text():
    assert Speeds.from_json(ESTIMATE.to_json()) == ESTIMATE


def test_estimates_fall_from_level_to_level_and_double_with_lanes():
    rates = [ESTIMATE.bandwidth(level, 1).read for level in LEVELS]
    assert rates == sorted(rates, reverse=True)
    assert ESTIMATE.peak("f32") == 2 * ESTIMATE.peak("f64")


def test_the_closest_number_of_threads_answers():
    assert ESTIMATE.bandwidth("l1", 64).threads == 1
    assert ESTIMATE.region_seconds(64) == ESTIMATE.regions[1]


def changed(**values):
    return json.dumps({**json.loads(ESTIMATE.to_json()), **values})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        ESTIMATE.to_json()[:-20],
        changed(schema=99),
        changed(flops={"f32": 1.0}),
        changed(flops={"f32": -1.0, "f64": 1.0, "i32": 1.0}),
        changed(flops={"f32": float("nan"), "f64": 1.0, "i32": 1.0}),
        changed(bandwidths=[]),
        changed(bandwidths=[{"level": "l9", "threads": 1, "read": 1.0, "copy": 1.0}]),
        changed(regions={}),
        changed(regions={"one": 1.0}),
    ],
)
def test_other_texts_are_refused(text):
    with pytest.raises(InvalidInputError, match="no speeds of a machine"):
        Speeds.from_json(text)
