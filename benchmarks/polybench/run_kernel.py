"""All about one kernel, in a process of its own; the result is one JSON object on stdout.

python -m benchmarks.polybench.run_kernel NAME DATASET --threads 2 --budget 60
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tilecast.compiler.tune.measure import MeasuredEvaluator
from tilecast.passes.poly.search import Budget, Candidate, EvolutionarySearch, scop_space

from .automatic import automatic_schedules
from .benchmark import load_all
from .dgemm import FLOPS, Dgemm
from .kernel_task import KernelTask, check_baseline, make_task
from .rounds import run_rounds, summary
from .schedules import FOLDER, ScheduleDatabase, StoredSchedule
from .variants import own_variants, peer_variants

TIMEOUT = 60.0


def search(kernel: KernelTask, known: Sequence[Candidate], budget: Budget) -> dict[str, Any]:
    """Search within `budget`; the report as data, `schedule` being the best one's steps."""
    task = kernel.task
    space = scop_space(kernel.scop, task.machine, task.threads, known)
    with MeasuredEvaluator(task) as evaluator:
        report = EvolutionarySearch().search(space, evaluator, budget)
        spent = evaluator.spent
    data = {k: v for k, v in asdict(report).items() if k != "best"}
    wrong = [list(f) for f in report.failures if f[0] != "slow"]
    return {
        **data,
        "failures": wrong,
        "schedule": report.best.text.splitlines(),
        "spent": spent,
    }


def run_kernel(
    name: str,
    dataset: str,
    threads: int,
    budget: Budget | None,
    seconds: float,
    replay: bool,
    schedules_folder: Path,
) -> dict[str, Any]:
    """Correctness, schedules, search, then one interleaved run of everything."""
    benchmark = load_all()[name]
    result: dict[str, Any] = {"kernel": name, "dataset": dataset}
    with tempfile.TemporaryDirectory(prefix="polybench-") as temporary:
        folder = Path(temporary)
        wrong = check_baseline(benchmark, folder / "small")
        if wrong:
            return {**result, "failed": wrong}
        kernel = make_task(benchmark, dataset, folder / "task", threads)
        schedules = {"identity": Candidate()}
        start = time.perf_counter()
        schedules |= automatic_schedules(kernel.scop, kernel.task.machine, threads)
        result["scheduling_s"] = time.perf_counter() - start
        database = ScheduleDatabase(kernel.task.machine, schedules_folder)
        stored = database.find(name, dataset, threads)
        if budget is not None:
            known = [] if stored is None else [stored.candidate]
            result["search"] = report = search(kernel, known, budget)
            schedules["search"] = Candidate.parse("\n".join(report["schedule"]))
        elif replay and stored is not None:
            schedules["search"] = stored.candidate
        variants = [*peer_variants(kernel, threads), *own_variants(kernel, schedules)]
        dgemm = Dgemm(name, benchmark.dataset(dataset), threads) if name in FLOPS else None
        try:
            times, rates = run_rounds(kernel.task, variants, seconds, TIMEOUT, dgemm)
        finally:
            if dgemm is not None:
                dgemm.close()
    result["variants"] = {v.name: summary(v, times) for v in variants}
    if rates:
        result["dgemm_flops"] = max(rates)
        result["flops"] = FLOPS[name](benchmark.dataset(dataset))
    found = result["variants"].get("search", {})
    if budget is not None and "median_s" in found:
        entry = StoredSchedule(
            tuple(result["search"]["schedule"]),
            found["min_s"],
            result["search"]["original_seconds"],
            f"evolutionary search of {result['search']['evaluated']} schedules",
        )
        database.store(name, dataset, threads, entry)
    return result


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.polybench.run_kernel")
    parser.add_argument("kernel")
    parser.add_argument("dataset")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--budget", type=float, default=0.0)
    parser.add_argument("--evaluations", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--replay", action="store_true")
    parser.add_argument("--schedules", type=Path, default=FOLDER)
    options = parser.parse_args()
    budget = None
    if options.budget > 0 or options.evaluations > 0:
        budget = Budget(options.budget or None, options.evaluations or None)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    result = run_kernel(
        options.kernel,
        options.dataset,
        options.threads,
        budget,
        options.seconds,
        options.replay,
        options.schedules,
    )
    answers.write(json.dumps(result) + "\n")
    answers.close()
    sys.exit(0)


if __name__ == "__main__":
    main()
