"""Tuning a model: the budget is kept, everything is recorded, and records make the same sources."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tilecast
import torch
from click.testing import CliRunner
from tilecast.compiler.cli import main
from tilecast.compiler.records.best import FINAL_REPEATS, RECORDS, RecordedSchedules
from tilecast.compiler.records.database import Database
from tilecast.compiler.records.exchange import write_records
from tilecast.compiler.records.record import Record, target_key
from tilecast.compiler.target import native_machine
from tilecast.compiler.tune.budget import TuningBudget
from tilecast.compiler.tune.contest import Contest
from tilecast.compiler.tune.curve import check_curve_path, write_curve
from tilecast.compiler.tune.experience import experience
from tilecast.compiler.tune.libraries import Library
from tilecast.costmodel.features.program import PROGRAM_NAMES
from tilecast.costmodel.models.files import feature_digest
from tilecast.dialects.errors import InvalidInputError, OptionError

MODEL, X = torch.nn.Linear(48, 40).eval(), torch.randn(20, 48)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TILECAST_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_budgets() -> None:
    assert TuningBudget.parse("20") == TuningBudget(trials=20)
    assert TuningBudget.parse("90s") == TuningBudget(seconds=90.0)
    assert TuningBudget(seconds=10.0).left(5, 9.0) == pytest.approx(0.1)
    for text in ("", "0", "-1", "90m", "1e3", "s"):
        with pytest.raises(OptionError, match="tune"):
            TuningBudget.parse(text)


@pytest.mark.slow
def test_tuning_keeps_to_its_budget_records_all_and_goes_on(cache: Path) -> None:
    compiled = tilecast.compile(MODEL, (X,), threads=1, tune=3)
    assert torch.allclose(compiled(X), MODEL(X), atol=1e-4)
    with Database(cache / RECORDS) as database:
        first = database.records()
    assert len({r.steps for r in first}) == 3
    assert all(r.failure or r.baseline for r in first)
    tilecast.compile(MODEL, (X,), threads=1, tune=3)
    with Database(cache / RECORDS) as database:
        assert database.records() == first
    tilecast.compile(MODEL, (X,), threads=1, tune=4)
    with Database(cache / RECORDS) as database:
        assert len({r.steps for r in database.records()}) == 4
        target = target_key(native_machine())
        times = [r for r in database.records() if r.failure is None and r.repeats < FINAL_REPEATS]
        assert len(database.features(feature_digest(), target, 1)) == len(times)


def test_records_make_the_same_sources_elsewhere(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = dict(tilecast.compile(MODEL, (X,), threads=1).artifact.sources)
    tilecast.compile(MODEL, (X,), threads=1, tune=1)
    with Database(cache / RECORDS) as database:
        [record, *_] = database.records()
        database.remove(database.records())
        chosen = replace(
            record, steps="tile_rows=2", seconds=1e-6, baseline=2e-6, repeats=25, failure=None
        )
        database.add([chosen])
        with (tmp_path / "export.jsonl").open("w") as file:
            write_records(database.records(), file)
    tuned = dict(tilecast.compile(MODEL, (X,), threads=1).artifact.sources)
    assert tuned != plain
    monkeypatch.setenv("TILECAST_CACHE_DIR", str(tmp_path / "other"))
    done = CliRunner().invoke(
        main, ["db", "merge", str(tmp_path / "other" / RECORDS), str(tmp_path / "export.jsonl")]
    )
    assert done.exit_code == 0, done.output
    assert dict(tilecast.compile(MODEL, (X,), threads=1).artifact.sources) == tuned


def test_the_next_run_starts_from_what_was_measured(tmp_path: Path) -> None:
    path, row = tmp_path / RECORDS, np.arange(len(PROGRAM_NAMES), dtype="<f4")
    record = Record("0" * 40, "f", "znver4", "gcc", 1, "rules", 1e-3, 2e-3, time=1.0)
    known = replace(record, task="1" * 40, seconds=4e-3, baseline=4e-3, time=2.0)
    slow = replace(record, steps="unroll=2", seconds=2e-3, baseline=4e-3, time=3.0)
    failed = replace(record, seconds=None, baseline=None, failure="slow", time=4.0)
    with Database(path) as database:
        database.add([known, slow, record, failed])
        for each in (known, slow, record, failed):
            database.add_features(each, feature_digest(), row.tobytes())
        mine = RecordedSchedules(database, "znver4", "gcc", 1)
        assert experience(replace(mine, compiler="clang"), int) is None
        found = experience(mine, lambda task: int(task[0]))
        assert found is not None
        candidates, seconds = found
        assert candidates.tasks.tolist() == [0, 1, 0]
        assert (candidates.features == row).all()
        # the session in which the default took twice as long was half as fast
        assert seconds == pytest.approx([1e-3, 4e-3, 1e-3])
        database.add([replace(record, time=5.0)])
        database.add_features(replace(record, time=5.0), feature_digest(), b"1234")
        with pytest.raises(InvalidInputError, match="4 bytes"):
            experience(mine, lambda task: int(task[0]))


def test_an_interrupt_keeps_what_was_measured(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measure, count = Contest.record, []

    def interrupted(self: Contest, *arguments: object) -> object:
        count.append(1)
        if len(count) == 3:
            raise KeyboardInterrupt
        return measure(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Contest, "record", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tilecast.compile(MODEL, (X,), threads=1, tune=4)
    with Database(cache / RECORDS) as database:
        assert len(database.records()) == 2


@pytest.mark.slow
def test_command(cache: Path, tmp_path: Path) -> None:
    curve = tmp_path / "curve.json"
    command = ["tune", "examples.mlp:model", "--threads", "1", "--budget", "2", "--json"]
    done = CliRunner().invoke(main, [*command, "--curve", str(curve)])
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    assert facts["measured"] == 2
    assert facts["gain"] > 0.5
    assert len(json.loads(curve.read_text())["curve"]) >= 2
    assert "ETA" in done.stderr


def test_curves_are_data_or_pictures(tmp_path: Path) -> None:
    curve = [(1.0, 1, 1.0), (2.5, 2, 0.8)]
    write_curve(curve, "m", "2", tmp_path / "curve.json")
    [_, last] = json.loads((tmp_path / "curve.json").read_text())["curve"]
    assert last == {"seconds": 2.5, "trials": 2, "ratio": 0.8}
    with pytest.raises(OptionError, match=r"\.png or \.svg"):
        check_curve_path(tmp_path / "curve.txt")
    pytest.importorskip("matplotlib")
    write_curve(curve, "m", "2", tmp_path / "curve.svg")
    assert (tmp_path / "curve.svg").read_text().startswith("<?xml")


def test_a_disturbed_default_is_no_gain(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default was slow in these turns only: as fast as it usually is, is no gain."""
    contest = object.__new__(Contest)
    task = SimpleNamespace(function="f", machine=native_machine(), threads=1)
    contest.kernel = SimpleNamespace(task=task, key="0" * 40)
    contest.compiler, contest.seconds = "cc", 1e-3
    library = object.__new__(Library)
    monkeypatch.setattr(Contest, "times", lambda self, built, turns: ([1e-3] * 8, [4e-3] * 8))
    assert contest.record("rules", library).speedup == pytest.approx(1.0)
    monkeypatch.setattr(Contest, "times", lambda self, built, turns: ([5e-4] * 8, [4e-3] * 8))
    assert contest.record("rules", library).speedup == pytest.approx(2.0)
