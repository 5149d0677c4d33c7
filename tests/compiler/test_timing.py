"""Compile times by stage, pass and part."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tilecast
import torch
from click.testing import CliRunner
from tilecast.compiler.cli import main
from tilecast.compiler.timing import CompileTiming
from tilecast.passes.timing import Timing, span


def test_spans_nest_and_add_up() -> None:
    timing = Timing()
    with timing.span("loops"):
        for _ in range(2):
            with span("lower-scop"), span("isl AST"):
                pass
    with span("nobody listens"):
        pass
    assert list(timing.seconds) == ["loops", "loops/lower-scop", "loops/lower-scop/isl AST"]
    assert timing.seconds["loops"] >= timing.seconds["loops/lower-scop"]


def test_a_span_that_fails_is_closed() -> None:
    timing = Timing()
    with pytest.raises(ValueError, match="no"), timing.span("a"), span("b"):
        raise ValueError("no")
    with timing.span("c"):
        pass
    assert list(timing.seconds) == ["a", "a/b", "c"]


def test_the_table_has_what_parts_leave_over() -> None:
    seconds = {"export": 1.0, "loops": 3.0, "loops/a": 1.0, "loops/b": 0.0001}
    timing = CompileTiming(seconds, kernels=2, launches=5)
    assert timing.total == 4.0
    rows = list(timing.rows())
    assert [(depth, name) for depth, name, _ in rows] == [
        *((0, "export"), (0, "loops"), (1, "a"), (1, "b")),
        (1, "(other)"),
    ]
    text = str(timing)
    assert "2 kernels, launched 5 times" in text
    assert "75.0%" in text
    assert "  b " not in text  # takes next to nothing


class Small(torch.nn.Module):
    """A layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x).relu()


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TILECAST_CACHE_DIR", str(tmp_path / "cache"))


def test_a_compiled_model_knows_its_timing(cached: Any, tmp_path: Path) -> None:
    model, inputs = Small().eval(), (torch.ones(2, 8),)
    first = tilecast.compile(model, inputs)
    names = set(first.timing.seconds)
    assert {"export", "import", "simplify/canonicalize", "loops/lower-scop/isl AST"} <= names
    assert {"emit/kernels", "build/compile", "verify/model", "program/plan-memory"} <= names
    again = tilecast.compile(model, inputs)
    assert again.timing.is_stored
    assert not first.timing.is_stored
    assert again.timing.seconds == pytest.approx(dict(first.timing.seconds))
    manifest = json.loads((first.save(tmp_path / "package") / "manifest.json").read_text())
    assert "schedule/schedule" in str(manifest["programs"][0]["facts"]["compile_seconds"])


def test_the_command_shows_the_table(cached: Any) -> None:
    found = CliRunner().invoke(main, ["compile", "examples.mlp:model", "--timing"])
    assert found.exit_code == 0, found.output
    assert "stage, pass, part" in found.output
    assert "convert-graph-to-linalg" in found.output
    assert "came from the cache" not in found.output
    stored = CliRunner().invoke(main, ["compile", "examples.mlp:model", "--timing"])
    assert "came from the cache" in stored.output
    data = CliRunner().invoke(main, ["compile", "examples.mlp:model", "--timing", "--json"])
    assert json.loads(data.stdout)["timing"]["export"] > 0
    wrong = CliRunner().invoke(main, ["compile", "m:f", "--timing", "--emit-only", "-o", "x"])
    assert wrong.exit_code == 2
