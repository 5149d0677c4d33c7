"""Times of all variants of a kernel in one process, in turns, after each was checked."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from tilecast.compiler.tune.run_process import RunProcess
from tilecast.compiler.tune.task import MeasureTask
from tilecast.compiler.tune.worker_process import WorkerDied, WorkerTimeout

from .dgemm import Dgemm
from .variants import Variant

LEAST_ROUNDS, MOST_ROUNDS = 3, 25
# A variant is given up that takes longer than this many times a faster one, and some seconds.
HOPELESS, SLACK = 10.0, 3.0


def check(runner: RunProcess, variant: Variant, timeout: float) -> float | None:
    """Seconds of the first run of `variant`; what is wrong with it becomes its failure."""
    assert variant.library is not None
    try:
        answer = runner.ask("check", variant.library, timeout)
        variant.failure = str(answer.get("detail", "")) or answer["wrong"]
    except (WorkerDied, WorkerTimeout) as error:
        variant.failure = str(error)
    if variant.failure:
        runner.close()
        return None
    seconds: float = answer["seconds"][0]
    return seconds


def run_rounds(
    task: MeasureTask,
    variants: Sequence[Variant],
    seconds: float,
    timeout: float,
    dgemm: Dgemm | None = None,
) -> tuple[dict[str, list[float]], list[float]]:
    """(seconds per variant and round, flop/s of dgemm per round), within about `seconds` in all."""
    runner = RunProcess(task)
    times: dict[str, list[float]] = {}
    rates: list[float] = []
    try:
        limit = timeout
        for variant in variants:
            if variant.library is not None and not variant.failure:
                first = check(runner, variant, limit)
                if first is not None:
                    limit = min(limit, HOPELESS * first + SLACK)
        ready = [v for v in variants if v.library is not None and not v.failure]
        times = {v.name: [] for v in ready}
        for number in range(MOST_ROUNDS):
            if number >= LEAST_ROUNDS and sum(map(sum, times.values())) > seconds:
                break
            for v in ready:
                assert v.library is not None
                times[v.name] += runner.ask("time", v.library, timeout, runs=1)["seconds"]
            if dgemm is not None:
                rates.append(dgemm.run())
    finally:
        runner.close()
    return times, rates


def summary(variant: Variant, times: dict[str, list[float]]) -> dict[str, Any]:
    """The row of a variant in the result file."""
    taken = times.get(variant.name)
    if not taken:
        return {"failed": variant.failure or "not run", **variant.facts}
    return {
        "median_s": statistics.median(taken),
        "min_s": min(taken),
        "runs": len(taken),
        **variant.facts,
    }
