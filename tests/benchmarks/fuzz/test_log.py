"""The log of fuzzing adds up over runs, and continues where the last one ended."""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from benchmarks.fuzz.log import RESULTS, RangeLog, add_parser_run, totals


def test_a_run_replaces_its_own_record_and_keeps_others(tmp_path: Path) -> None:
    path = tmp_path / "fuzz.json"
    assert RangeLog.end(path, "models") == 0
    first = RangeLog(path, "models", 100)
    first.save(64, 1.0, {"counts": {"pass": 64}})
    first.save(128, 2.0, {"counts": {"pass": 127, "refused": 1}})
    assert RangeLog.end(path, "models") == 228
    assert RangeLog.end(path, "programs") == 0
    RangeLog(path, "models", 228).save(2, 1.0, {"counts": {"pass": 2}})
    RangeLog(path, "programs", 0).save(16, 1.0, {"counts": {"pass": 16}})
    assert RangeLog.end(path, "models") == 230
    lines = list(totals(path))
    assert lines[0] == "130 models in 2 ranges: 129 pass, 1 refused"
    assert lines[1] == "16 programs in 1 ranges: 16 pass"


def test_minutes_of_parsers_add_up(tmp_path: Path) -> None:
    path = tmp_path / "fuzz.json"
    add_parser_run(path, "gguf", 90, 60, 1000, [])
    add_parser_run(path, "gguf", 30, 30, 500, ["KeyError in read.py:field"])
    expected = "gguf: 1.5 minutes of processor time (in 2.0), 1500 inputs, 1 uncaught"
    assert list(totals(path))[-1] == expected


def test_the_result_file_can_be_continued() -> None:
    content = json.loads(RESULTS.read_text(encoding="utf-8"))
    for kind in ("models", "programs"):
        for record in content[kind]:
            outcomes = {k: n for k, n in record["counts"].items() if k != "compared"}
            assert sum(outcomes.values()) == record["count"]
