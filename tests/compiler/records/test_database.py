"""The database of tuning records: what is stored stays, whoever writes or dies; rest is refused."""

from __future__ import annotations

import json
import pickle
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from io import StringIO
from pathlib import Path
from typing import Any, get_args

import pytest
from tilecast.compiler.records.best import FINAL_REPEATS, best_record
from tilecast.compiler.records.database import SCHEMA, Database
from tilecast.compiler.records.exchange import read_records, write_records
from tilecast.compiler.records.record import FAILURES, Record
from tilecast.dialects.errors import InvalidInputError
from tilecast.passes.poly.search.candidate import Failure

HASH = "0123456789abcdef" * 2 + "01234567"


def record(number: int = 0, **changes: Any) -> Record:
    made = Record(
        HASH, "linear_0", "znver4", "gcc 12", 2, f"tile(i0, {number})", 1e-3, 2e-3, 0.01, 9
    )
    return replace(made, time=float(number), **changes)


def exported(folder: Path, records: list[Record]) -> Path:
    path = folder / "records.jsonl"
    with path.open("w", encoding="utf-8") as file:
        write_records(records, file)
    return path


def test_records_come_back_once(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "tuning.sqlite"
    failed = record(3, seconds=None, baseline=None, failure="wrong", detail="x")
    with Database(path) as database:
        assert database.add([record(2), record(1), failed]) == 3
        assert database.add([record(1)]) == 0
    with Database(path) as database:
        assert database.records() == [record(1), record(2), failed]
        assert database.records(HASH, "znver4", 2) == database.records()
        assert database.records(HASH, "other") == []
        assert database.remove([record(1)]) == 1
        assert database.records() == [record(2), failed]


def test_features_stay_beside_their_records(tmp_path: Path) -> None:
    path = tmp_path / "tuning.sqlite"
    with Database(path) as database:
        database.add([record(1), record(2)])
        for number in (1, 2):
            database.add_features(record(number), "schema", bytes([number]))
    tampered("DELETE FROM records WHERE time = 2")(path)
    with Database(path) as database:
        assert database.features("schema", "znver4", 2) == [(record(1), b"\1")]
        assert database.features("other", "znver4", 2) == []
        assert database.features("schema", "znver4", 1) == []
        database.remove([record(1)])
        database.add([record(1)])
        assert database.features("schema", "znver4", 2) == []


def test_a_database_of_the_first_version_gets_the_table_of_features(tmp_path: Path) -> None:
    path = tmp_path / "tuning.sqlite"
    with Database(path) as database:
        database.add([record(1)])
    tampered("DROP TABLE features")(path)
    tampered("PRAGMA user_version = 1")(path)
    with Database(path) as database:
        assert database.records() == [record(1)]
        database.add_features(record(1), "schema", b"1")
    with Database(path) as database:
        assert len(database.features("schema", "znver4", 2)) == 1


def test_failures_are_those_of_the_search() -> None:
    assert get_args(Failure) == FAILURES


def test_export_and_import_are_a_set_union(tmp_path: Path) -> None:
    one, other = [record(1), record(2)], [record(2), record(3)]
    with Database(tmp_path / "a.sqlite") as database:
        database.add(one)
        database.add(read_records(exported(tmp_path, other)))
        assert database.records() == [record(1), record(2), record(3)]
    with Database(tmp_path / "b.sqlite") as database:
        database.add(other)
        database.add(read_records(tmp_path / "a.sqlite"))
        assert database.records() == [record(1), record(2), record(3)]


def test_equal_sets_are_equal_files() -> None:
    texts = []
    for order in ([1, 2, 3], [3, 1, 2]):
        file = StringIO()
        write_records([record(n) for n in order], file)
        texts.append(file.getvalue())
    assert texts[0] == texts[1]


def text_lines(*records: dict[str, Any], version: int = 1) -> bytes:
    head = {"format": "tilecast-records", "version": version}
    return b"".join(json.dumps(data).encode() + b"\n" for data in (head, *records))


GOOD = asdict(record())
HOSTILE: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "empty"),
    "pickle": (pickle.dumps({"a": 1}), "middle of a line|no JSON"),
    "pickle line": (pickle.dumps({"a": 1}) + b"\n", "no JSON"),
    "other format": (b'{"format": "other"}\n', "expected the format"),
    "list": (b"[]\n", "expected the format"),
    "version": (text_lines(version=99), "version 99, expected 1"),
    "truncated": (text_lines(GOOD)[:-20], "middle of a line"),
    "no time": (text_lines({**GOOD, "seconds": None}), "either seconds or a failure"),
    "not a number": (text_lines(GOOD).replace(b"0.001", b"NaN"), "no JSON number"),
    "negative": (text_lines({**GOOD, "seconds": -1.0}), "expected a time"),
    "text as number": (text_lines({**GOOD, "seconds": "1"}), "expected a time"),
    "path as task": (text_lines({**GOOD, "task": "../../etc/passwd"}), "not a hash"),
    "many threads": (text_lines({**GOOD, "threads": 10**30}), "threads is"),
    "long steps": (text_lines({**GOOD, "steps": "x" * 300_000}), "at most 200000"),
    "long line": (b'{"format": "' + b"x" * 2**21 + b'"}\n', "longer than"),
    "deep": (b"[" * 100_000 + b"\n", "no JSON"),
    "huge integer": (b'{"format": ' + b"9" * 100_000 + b"}\n", "no JSON"),
    "unknown field": (text_lines({**GOOD, "code": "import os"}), "has the fields"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_export_is_refused_as_a_whole(name: str, tmp_path: Path) -> None:
    content, reason = HOSTILE[name]
    path = tmp_path / "records.jsonl"
    path.write_bytes(content)
    with pytest.raises(InvalidInputError, match=reason):
        read_records(path)


def tampered(action: str) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        connection = sqlite3.connect(path)
        connection.execute(action)
        connection.commit()
        connection.close()

    return apply


def cut(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def garbled(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:8192] = random.Random(0).randbytes(4096)
    path.write_bytes(bytes(content))


def unreadable_name(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"records", b"re\xffords", 1))


def grown(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(2**40)  # a sparse file: no disk is used


DAMAGE: dict[str, Callable[[Path], None]] = {
    "version": tampered(f"PRAGMA user_version = {SCHEMA + 1}"),
    "application": tampered("PRAGMA application_id = 7"),
    "trigger": tampered("CREATE TRIGGER t AFTER INSERT ON records BEGIN DELETE FROM records; END"),
    "no features": tampered("DROP TABLE features"),
    "view": tampered("CREATE VIEW v AS SELECT * FROM records"),
    "value": tampered("UPDATE records SET task = '../../x'"),
    "blob": tampered("UPDATE records SET steps = zeroblob(1000)"),
    "truncated": cut,
    "garbled": garbled,
    "a name that is no text": unreadable_name,
    "absurd size": grown,
    "pickle": lambda path: path.write_bytes(pickle.dumps([1])) and None,  # type: ignore[func-returns-value]
    "text": lambda path: path.write_text("SELECT 1") and None,  # type: ignore[func-returns-value]
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_database_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "tuning.sqlite"
    with Database(path) as database:
        database.add([record(n, steps="x" * 500 + str(n)) for n in range(200)])
    DAMAGE[name](path)
    with pytest.raises(InvalidInputError, match="cannot be used as a tuning database"):
        Database(path).records()


def test_a_folder_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="not a file"):
        Database(tmp_path)
    with pytest.raises(InvalidInputError, match="no tuning database"):
        Database(tmp_path / "none.sqlite", create=False)


WRITER = """
import sys
from pathlib import Path
from tilecast.compiler.records.database import Database
from tilecast.compiler.records.record import Record
path, name, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
print("ready", flush=True)
with Database(path) as database:
    for number in range(count):
        steps = f"{name} {number}"
        database.add([Record("0" * 40, name, "t", "c", 1, steps, 1.0, time=float(number))])
        print(steps, flush=True)
"""


def writer(path: Path, name: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(path), name, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_two_writers_at_once_both_succeed(tmp_path: Path) -> None:
    path = tmp_path / "tuning.sqlite"
    both = [writer(path, name, 150) for name in ("one", "other")]
    for process in both:
        process.communicate(timeout=60)
        assert process.returncode == 0
    with Database(path) as database:
        assert len(database.records()) == 300


def killed_in_the_middle(path: Path, name: str, rng: random.Random) -> list[str]:
    """What a writer had said it stored when it was killed."""
    process = writer(path, name, 10**9)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(rng.uniform(0.0, 0.2))
    process.send_signal(signal.SIGKILL)
    said = process.communicate()[0].splitlines(keepends=True)
    return [line.strip() for line in said if line.endswith("\n")]


@pytest.mark.parametrize("kills", [4, pytest.param(40, marks=pytest.mark.slow)])
def test_a_killed_writer_loses_nothing_that_it_said_was_stored(kills: int, tmp_path: Path) -> None:
    path, rng = tmp_path / "tuning.sqlite", random.Random(kills)
    expected: set[str] = set()
    for number in range(kills):
        expected.update(killed_in_the_middle(path, f"writer{number}", rng))
        with Database(path) as database:
            found = {r.steps for r in database.records()}
        assert expected <= found
        assert len(found) <= len(expected) + number + 1  # one in flight for each kill
    assert expected


def test_the_best_beats_the_default_in_the_same_turns() -> None:
    default = record(0, seconds=2e-3)
    slower_session = record(1, seconds=3e-3, baseline=9e-3)
    quicker_session = record(2, seconds=1e-3, baseline=2e-3)
    assert best_record([default, quicker_session, slower_session]) == slower_session
    assert best_record([default]) is None
    assert best_record([]) is None


def test_a_final_outranks_luck_and_a_wrong_result_rules_out() -> None:
    lucky, final = record(1, seconds=1e-4), record(2, repeats=FINAL_REPEATS)
    assert best_record([lucky, final]) == final
    checked = record(2, repeats=FINAL_REPEATS, seconds=2e-3)
    assert best_record([lucky, final, replace(checked, time=9.0)]) is None
    wrong = replace(lucky, seconds=None, failure="wrong")
    assert best_record([lucky, wrong]) is None
