"""Tuning on a Dask cluster: a real scheduler and workers on loopback, one of which is killed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tilecast.compiler.records.best import FINAL_REPEATS
from tilecast.compiler.records.database import Database
from tilecast.compiler.target import native_machine
from tilecast.compiler.tune.runner import LocalRunner, opened_runner
from tilecast.dialects.errors import OptionError

distributed = pytest.importorskip("distributed")

Process = subprocess.Popen[bytes]
START_SECONDS = 240.0


def test_runners_by_name() -> None:
    machine = native_machine()
    with opened_runner("local", machine) as runner:
        assert isinstance(runner, LocalRunner)
    for text in ("", "slurm", "dask:", "tcp://127.0.0.1:1"):
        with pytest.raises(OptionError, match="expected local or dask"):
            opened_runner(text, machine)


def test_no_scheduler_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from tilecast.compiler.tune import dask_runner

    monkeypatch.setattr(dask_runner, "CONNECT_SECONDS", 0.2)
    with (
        pytest.raises(OptionError, match="no scheduler answers there"),
        opened_runner("dask://127.0.0.1:9", native_machine()),
    ):
        pass


class Cluster:
    """A scheduler and workers, each a process of its own, with files in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.workers = folder, dict[str, Process]()
        self.file = folder / "scheduler.json"
        self.scheduler = self.started(
            "scheduler", "--port", "0", "--scheduler-file", str(self.file)
        )
        until(self.file.exists)
        self.address = json.loads(self.file.read_text())["address"].removeprefix("tcp://")

    def client(self) -> Any:
        """A client of the scheduler."""
        return distributed.Client(f"tcp://{self.address}", set_as_default=False)

    def started(self, what: str, *arguments: str) -> Process:
        command = [sys.executable, "-m", "dask", what, "--host", "127.0.0.1", "--no-dashboard"]
        with (self.folder / f"{what}.log").open("ab") as log:
            return subprocess.Popen(
                [*command, *arguments], stdout=log, stderr=log, start_new_session=True
            )

    def add_worker(self, name: str, resource: str) -> None:
        arguments = ["--nthreads", "1", "--no-nanny", "--name", name]
        arguments += ["--resources", f"{resource}=1", "--local-directory", str(self.folder)]
        self.workers[name] = self.started("worker", "--scheduler-file", str(self.file), *arguments)

    def close(self) -> None:
        for process in [*self.workers.values(), self.scheduler]:
            process.kill()
            process.wait()


def until(is_true: Callable[[], Any]) -> None:
    end = time.monotonic() + START_SECONDS
    while not is_true():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.1)


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    made = Cluster(folder)
    try:
        yield made
    finally:
        made.close()


def tuner(folder: Path, address: str, budget: int) -> subprocess.Popen[str]:
    module = "import sys; from tilecast.compiler.cli import main; main()"
    command = [sys.executable, "-c", module, "tune", "examples.mlp:model", "--threads", "1"]
    command += ["--database", str(folder / "tuning.sqlite"), "--budget", str(budget), "--json"]
    return subprocess.Popen(
        [*command, "--runner", f"dask://{address}"],
        env={**os.environ, "TILECAST_CACHE_DIR": str(folder / "cache")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_a_killed_worker_costs_nothing_and_hardware_stays_apart(tmp_path: Path) -> None:
    from tilecast.compiler.tune.dask_runner import resource_of

    resource, path, budget = resource_of(native_machine()), tmp_path / "tuning.sqlite", 40
    with cluster(tmp_path) as running, running.client() as client:
        running.add_worker("other", "tilecast-quite-another-machine")
        client.wait_for_workers(1, timeout=START_SECONDS)
        refused = tuner(tmp_path, running.address, budget)
        _, words = refused.communicate(timeout=120)
        assert refused.returncode == 1
        assert re.search(f"none of the 1 workers .*{resource}=1", words, re.S)
        for name in ("one", "two"):
            running.add_worker(name, resource)
        client.wait_for_workers(3, timeout=START_SECONDS)
        process = tuner(tmp_path, running.address, budget)
        until(lambda: process.poll() is not None or (path.exists() and count(path) >= 12))
        assert process.poll() is None, process.communicate()[1]
        running.workers["one"].send_signal(signal.SIGKILL)
        out, words = process.communicate(timeout=300)
        assert process.returncode == 0, words
        # Nothing lost, nothing doubled: as many schedules as were asked for, each once.
        assert json.loads(out)["measured"] == budget
        with Database(path) as database:
            records = [r for r in database.records() if r.repeats < FINAL_REPEATS]
        assert set(Counter((r.task, r.steps) for r in records).values()) == {1}
        assert len(records) == budget
        done = client.run(lambda dask_worker: dask_worker.state.executed_count)
        names = {w: a["name"] for w, a in client.scheduler_info()["workers"].items()}
        executed = {names[address]: number for address, number in done.items()}
        assert executed["other"] == 0
        assert executed["two"] > 0


def count(path: Path) -> int:
    """Records in a database that another process writes."""
    with Database(path) as database:
        return len(database.records())
