"""Engines in turns on every case: short turns, so that changes of the machine meet all alike."""

from __future__ import annotations

import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..requests import ask, stop
from .case import Case
from .ceilings import Ceilings

ROOT = Path(__file__).resolve().parents[2]
OURS = "tilecast"


@dataclass
class Engine:
    """A worker process and the times of each of its cases."""

    name: str
    process: subprocess.Popen[str]
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    times: dict[str, list[float]] = field(default_factory=dict)

    @staticmethod
    def start(name: str, suite: str, threads: int) -> Engine:
        """Start the worker; it answers requests in order."""
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.kernels.worker", name, suite, str(threads)],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        return Engine(name, process)

    def build(self, case: str) -> dict[str, Any]:
        """Build a case; the facts say why it cannot be run where it `failed`."""
        self.facts[case] = ask(self.process, {"build": case})
        return self.facts[case]

    def run(self, case: str, seconds: float) -> None:
        """One turn; nothing for a case that failed."""
        if "failed" in self.facts[case]:
            return
        answer = ask(self.process, {"run": case, "seconds": seconds})
        if "failed" in answer:
            self.facts[case] = answer
            return
        self.times.setdefault(case, []).extend(answer["times"])

    def stop(self) -> None:
        """End the worker."""
        stop(self.process)


@dataclass(frozen=True)
class Plan:
    """What is run: rounds of one turn per case and engine, `pause` between turns.

    Idle threads of the engine that ran last spin for a while (milliseconds with libgomp, 200 with
    others), which a pause keeps out of the next engine's turn. No rounds: build only.
    """

    threads: int
    rounds: int
    seconds: float
    pause: float


def measure(
    suite: str,
    cases: Sequence[Case],
    engines: Sequence[str],
    plan: Plan,
    ceilings: Ceilings | None,
    progress: Callable[[str], None],
) -> list[dict[str, Any]]:
    """One row per case: medians (ms) of each engine, ratios of the peers to ours, rooflines."""
    with ExitStack() as stack:
        workers = []
        for name in engines:
            workers.append(Engine.start(name, suite, plan.threads))
            stack.callback(workers[-1].stop)
        for case in cases:
            for worker in workers:
                facts = worker.build(case.name)
                if "failed" in facts:
                    progress(f"{case.name}: {worker.name}: {facts['failed']}")
        for number in range(plan.rounds):
            progress(f"round {number + 1} of {plan.rounds}")
            turn = number % len(workers)
            for case in cases:
                for worker in workers[turn:] + workers[:turn]:
                    worker.run(case.name, plan.seconds)
                    time.sleep(plan.pause)
        return [_row(case, workers, ceilings) for case in cases]


def geometric_means(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Per peer, and against the best peer of each case: geometric mean of the ratios to ours."""
    ratios: dict[str, list[float]] = {}
    for row in rows:
        for peer, ratio in row["ratios"].items():
            ratios.setdefault(peer, []).append(ratio)
        peers = [ratio for peer, ratio in row["ratios"].items() if not peer.startswith(OURS)]
        if peers:
            ratios.setdefault("best peer", []).append(min(peers))
    return {
        peer: round(math.exp(statistics.fmean(map(math.log, values))), 3)
        for peer, values in ratios.items()
    }


def _row(case: Case, workers: Sequence[Engine], ceilings: Ceilings | None) -> dict[str, Any]:
    medians = {
        worker.name: statistics.median(worker.times[case.name])
        for worker in workers
        if case.name in worker.times
    }
    row: dict[str, Any] = {
        "case": case.name,
        "median_ms": {name: round(value * 1e3, 5) for name, value in medians.items()},
        "ratios": {},
        "failed": {
            worker.name: worker.facts[case.name]["failed"]
            for worker in workers
            if "failed" in worker.facts[case.name]
        },
    }
    ours = medians.get(OURS)
    if ours is None:
        return row
    row["ratios"] = {n: round(value / ours, 3) for n, value in medians.items() if n != OURS}
    row["gflops"] = round(case.flops / ours / 1e9, 1)
    row["gbytes"] = round(case.bytes / ours / 1e9, 1)
    if ceilings is not None:
        peak = ceilings.flops_of(case.element)
        row["percent_of_peak_flops"] = round(100 * case.flops / ours / peak, 1)
        row["percent_of_copy_bandwidth"] = round(100 * case.bytes / ours / ceilings.bytes, 1)
    return row
