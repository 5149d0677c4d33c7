"""Readers of files meet damage with the project's own error."""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random

import pytest

sys.path.insert(0, str(Path(__file__).parents[3]))

from benchmarks.fuzz.check_parsers import Findings, feed, mutate_target, mutated
from benchmarks.fuzz.parsers import TARGETS, Target


@pytest.mark.parametrize("name", list(TARGETS))
def test_damaged_input_is_refused(name: str) -> None:
    if name == "gguf":
        pytest.importorskip("gguf")
    findings = mutate_target(name, runs=60, seconds=4)
    assert findings.runs > 5
    assert findings.found == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", list(TARGETS))
def test_much_damaged_input_is_refused(name: str) -> None:
    assert mutate_target(name, runs=20_000, seconds=60, seed=1).found == {}


def test_another_error_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(data: bytes) -> None:
        raise KeyError(data)

    monkeypatch.setitem(TARGETS, "broken", Target(lambda: [b"seed"], fail))
    findings = Findings()
    for data in (b"long input", b"in"):
        feed("broken", data, findings)
    assert list(findings.found.values()) == [b"in"]


def test_mutations_repeat() -> None:
    seeds = [b"builtin.module 12 {}", b""]
    assert [mutated(Random(k), seeds) for k in range(50)] == [
        mutated(Random(k), seeds) for k in range(50)
    ]
    assert len({mutated(Random(k), seeds) for k in range(50)}) > 20
