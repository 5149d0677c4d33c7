"""`tilecast db`: export, merge and prune keep what matters; errors are one line."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner, Result
from tilecast.compiler.cli import main
from tilecast.compiler.records.database import Database
from tilecast.compiler.records.record import Record

TASK = "ab" * 20


def record(number: int, seconds: float | None = 1e-3, failure: str | None = None) -> Record:
    baseline = None if seconds is None else 2e-3
    steps = f"tile_rows={number}"
    return Record(
        TASK, "linear_0", "zen4", "gcc", 2, steps, seconds, baseline, failure=failure, time=number
    )


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["db", *map(str, arguments)])


def filled(path: Path, records: list[Record]) -> Path:
    with Database(path) as database:
        database.add(records)
    return path


def test_export_and_merge_give_the_same_database(tmp_path: Path) -> None:
    source = filled(tmp_path / "a.sqlite", [record(n, 1e-3 * n) for n in (1, 2, 3)])
    assert run("export", source, "-o", tmp_path / "a.jsonl").exit_code == 0
    merged = run("merge", tmp_path / "b.sqlite", tmp_path / "a.jsonl", source, "--json")
    assert json.loads(merged.stdout) == {"read": 6, "added": 3}
    assert run("export", tmp_path / "b.sqlite").stdout == (tmp_path / "a.jsonl").read_text()


def test_show_has_the_best_and_the_failures(tmp_path: Path) -> None:
    records = [record(1), record(2, 5e-4), record(3, None, "wrong")]
    [fact] = json.loads(run("show", filled(tmp_path / "a.sqlite", records), "--json").stdout)
    assert (fact["best"], fact["speedup"]) == ("tile_rows=2", 4.0)
    assert (fact["records"], fact["failed"]) == (3, "wrong: 1")


def test_prune_keeps_the_best_and_what_is_wrong(tmp_path: Path) -> None:
    records = [record(n, 1e-3 * n) for n in range(1, 9)] + [record(9, None, "wrong")]
    path = filled(tmp_path / "a.sqlite", [*records, record(10, None, "slow")])
    assert json.loads(run("prune", path, "--keep", 2, "--json").stdout) == {"removed": 7}
    with Database(path) as database:
        assert [r.steps for r in database.records()] == [f"tile_rows={n}" for n in (1, 2, 9)]


def test_errors_are_one_line_and_nothing_is_written(tmp_path: Path) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text("{}\n")
    result = run("merge", tmp_path / "b.sqlite", bad)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "b.sqlite").exists()
    assert run("show", tmp_path / "none.sqlite").exit_code == 1
