"""What result files say about how they were made."""

from __future__ import annotations

import sys

import pytest

from benchmarks.machine import ROOT, command_of


def test_commands_name_no_place_outside_of_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    inside = str(ROOT / "benchmarks" / "results" / "a.json")
    arguments = ["x", "--folder", "/elsewhere/cells", "--output", inside, "--rows", "1"]
    monkeypatch.setattr(sys, "argv", arguments)
    expected = "python -m m --folder cells --output benchmarks/results/a.json --rows 1"
    assert command_of("m") == expected
