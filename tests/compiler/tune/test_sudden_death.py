"""Whole tuning runs that are killed, and two that write one database: nothing finished is lost."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tilecast.compiler.records.database import Database

MODULE = "import sys; from tilecast.compiler.cli import main; main()"
START = 4.0  # seconds in which a run imports, exports and opens its database
MEASURING = 5.0


def tuner(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """`tilecast tune` with its cache, its database and its temporary files in `folder`."""
    command = [sys.executable, "-c", MODULE, "tune", "examples.mlp:model", "--threads", "1"]
    command += ["--database", str(folder / "tuning.sqlite"), *arguments]
    environment = {**os.environ, "TILECAST_CACHE_DIR": str(folder / "cache")}
    environment |= {"TMPDIR": str(folder)}
    return subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def steps_in(path: Path) -> list[tuple[str, str]]:
    """(kernel, schedule) of all records; opening checks the database."""
    if not path.exists():
        return []
    with Database(path) as database:
        return [(r.task, r.steps) for r in database.records()]


def wait_for_more(path: Path, known: int) -> None:
    """Until there are more records than `known`."""
    end = time.monotonic() + 120.0
    while len(steps_in(path)) <= known:
        assert time.monotonic() < end, "nothing is measured"
        time.sleep(0.05)


def workers_of(folder: Path) -> list[str]:
    """Commands of processes that work on tasks in `folder`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if f"{folder}/tilecast-tune-" in command:
            found.append(command)
    return found


@pytest.mark.slow
def test_a_run_killed_ten_times_loses_nothing_and_ends(tmp_path: Path) -> None:
    rng, path = random.Random(5), tmp_path / "tuning.sqlite"
    known: set[tuple[str, str]] = set()
    for number in range(10):
        process = tuner(tmp_path, "--budget", "200")
        if number % 3:  # somewhere among the measurements, else somewhere before
            wait_for_more(path, len(known))
            time.sleep(rng.uniform(0.0, MEASURING))
        else:
            time.sleep(rng.uniform(0.0, START))
        assert process.poll() is None, process.communicate()[1]
        process.send_signal(signal.SIGKILL)
        told = process.communicate()[1]
        tried = [int(n) for n in re.findall(r"(\d+) tried", told)]
        found = set(steps_in(path))
        assert known <= found
        assert len(found) >= max(tried, default=0)
        known = found
    assert known
    budget = len(known) + 4
    process = tuner(tmp_path, "--budget", str(budget), "--json")
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert json.loads(out)["tried"] == budget
    found = set(steps_in(path))
    assert known < found
    assert len(found) == budget
    time.sleep(2.0)  # workers end where their parent is gone
    assert not workers_of(tmp_path)


@pytest.mark.slow
def test_two_tuners_with_one_database_both_succeed(tmp_path: Path) -> None:
    both = [tuner(tmp_path, "--budget", "20", "--seed", str(k), "--json") for k in range(2)]
    told = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    measured = [json.loads(out)["measured"] for out, _ in told]
    assert min(measured) > 0
    assert len(steps_in(tmp_path / "tuning.sqlite")) >= sum(measured)
