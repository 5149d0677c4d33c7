"""Engines in turns on the cells of one shape and number of rows: short turns, so that changes of
the machine meet all alike."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..requests import ask, stop
from .built import BuiltCell
from .cells import Cell
from .worker import STREAM, STREAM_BYTES

ROOT = Path(__file__).resolve().parents[2]
PAUSE = 0.03  # idle threads of the engine that ran last spin for a while
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """`rounds` of one turn of `seconds` per cell and peer; `folder` keeps the libraries."""

    threads: int
    rounds: int
    seconds: float
    folder: Path

    def has(self, cell: Cell) -> bool:
        """Whether the cell was built."""
        return BuiltCell.path(cell, self.folder, self.threads).exists()


@dataclass
class Engine:
    """A worker process."""

    name: str
    process: subprocess.Popen[str]
    times: dict[str, list[float]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    @staticmethod
    def start(name: str, plan: Plan) -> Engine:
        """Start the worker; it answers requests in order."""
        command = [sys.executable, "-m", "benchmarks.lowbit.worker"]
        process = subprocess.Popen(
            [*command, name, str(plan.threads), str(plan.folder.resolve())],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": str(plan.threads)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        return Engine(name, process)

    def build(self, cell: Cell) -> None:
        """Compile and check a cell."""
        self.request("build", cell)

    def load(self, cell: Cell) -> None:
        """Make a cell ready that was built before, or a peer."""
        self.request("load", cell)

    def request(self, kind: str, cell: Cell) -> None:
        """Ask for something about a cell."""
        answer = ask(self.process, {kind: asdict(cell)})
        if "failed" in answer:
            self.failed[cell.name] = answer["failed"]

    def run(self, name: str, seconds: float) -> None:
        """One turn; nothing for a cell that failed."""
        if name in self.failed:
            return
        answer = ask(self.process, {"run": name, "seconds": seconds})
        if "failed" in answer:
            self.failed[name] = answer["failed"]
        else:
            self.times.setdefault(name, []).append(statistics.median(answer["times"]))

    def median(self, name: str) -> float | None:
        """The median of the turns, each of which counts with its median."""
        return statistics.median(self.times[name]) if name in self.times else None

    def stop(self) -> None:
        """End the worker."""
        stop(self.process)


def build_all(cells: Sequence[Cell], plan: Plan, progress: Progress) -> None:
    """Compile and check cells of ours."""
    engine = Engine.start("ours", plan)
    try:
        for cell in cells:
            engine.build(cell)
            progress(f"{cell.name}: {engine.failed.get(cell.name, 'ok')}")
    finally:
        engine.stop()


def measure_block(
    cells: Sequence[Cell], peers: Sequence[str], plan: Plan, progress: Progress
) -> dict[str, dict[str, Any]]:
    """A row per cell of one shape: ms, GB/s, share of the bandwidth, peers' ms."""
    first = cells[0]
    place = f"{first.rows}x{first.outputs}x{first.columns}"
    progress(f"{place}: {len(cells)} formats")
    with ExitStack() as stack:
        ours = Engine.start("ours", plan)
        stack.callback(ours.stop)
        others = []
        for name in peers:
            others.append(Engine.start(name, plan))
            stack.callback(others[-1].stop)
        for engine in others:
            engine.load(first)
            if engine.failed:
                progress(f"{engine.name}: {engine.failed}")
        ask(ours.process, {"stream": 1})
        for cell in cells:
            ours.load(cell)
            if cell.name in ours.failed:
                progress(f"{cell.name}: {ours.failed[cell.name]}")
        for _ in range(plan.rounds):
            ours.run(STREAM, plan.seconds)
            for cell in cells:
                ours.run(cell.name, plan.seconds)
            for engine in others:
                time.sleep(PAUSE)
                engine.run(first.name, plan.seconds)
            time.sleep(PAUSE)
        return {cell.name: _row(cell, ours, others, plan) for cell in cells}


def _row(cell: Cell, ours: Engine, others: Sequence[Engine], plan: Plan) -> dict[str, Any]:
    row: dict[str, Any] = {**asdict(cell), "threads": plan.threads}
    taken = ours.median(cell.name)
    if taken is None:
        return {**row, "failed": ours.failed.get(cell.name, "")}
    stream = ours.median(STREAM)
    assert stream is not None
    bandwidth = STREAM_BYTES / stream
    shape = next(iter(name for engine in others for name in engine.times), "")
    peers = {engine.name: engine.median(shape) for engine in others}
    return {
        **row,
        "ms": round(taken * 1e3, 5),
        "gbytes": round(cell.weight_bytes / taken / 1e9, 2),
        "bandwidth": round(bandwidth / 1e9, 2),
        "percent": round(100 * cell.weight_bytes / taken / bandwidth, 1),
        "gflops": round(2e-9 * cell.rows * cell.outputs * cell.columns / taken, 1),
        "peers_ms": {name: round(t * 1e3, 5) for name, t in peers.items() if t is not None},
    }
