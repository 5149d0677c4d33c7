"""`tilecast bench MODEL|PACKAGE`: latency, next to eager PyTorch where the model is at hand."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from .kernel_flags import kernel_flags, kernel_keywords
from .option_flags import given_options, option_flags
from .output import json_flag, print_json, print_table
from .runnable import load_runnable

WARMUP_SECONDS = 0.3


@click.command("bench")
@click.argument("model")
@click.option("--rounds", type=click.IntRange(1, 10_000), default=20, show_default=True)
@click.option("--calls", type=click.IntRange(1, 100_000), default=5, show_default=True)
@kernel_flags
@option_flags("stop_after")
@json_flag
def bench_command(
    model: str,
    rounds: int,
    calls: int,
    sizes: tuple[str, ...],
    schedule: Path | None,
    as_json: bool,
    **flags: Any,
) -> None:
    """Time MODEL or PACKAGE on its example inputs, engines taking turns in rounds.

    Engines share this process; `python -m benchmarks.compare` isolates them and adds peers.
    """
    import torch

    options = given_options(flags)
    runnable = load_runnable(model, options, kernel_keywords(sizes, schedule))
    if options.get("threads"):
        torch.set_num_threads(options["threads"])
    engines: dict[str, Callable[..., Any]] = {"tilecast": runnable.program}
    if isinstance(runnable.model, torch.nn.Module):
        engines["eager"] = runnable.model.eval()
    with torch.inference_mode():
        times = measure(engines, runnable.inputs, rounds, calls)
    facts = [summarize(name, values, times["tilecast"]) for name, values in times.items()]
    if as_json:
        print_json({"model": model, "threads": torch.get_num_threads(), "engines": facts})
    else:
        print_table(list(facts[0]), [list(fact.values()) for fact in facts])


def measure(
    engines: dict[str, Callable[..., Any]], inputs: tuple[Any, ...], rounds: int, calls: int
) -> dict[str, list[float]]:
    """Seconds per call of every engine; the engines take turns, `calls` calls at a time."""
    for program in engines.values():
        end = time.perf_counter() + WARMUP_SECONDS
        while time.perf_counter() < end:
            program(*inputs)
    times: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(rounds):
        for name, program in engines.items():
            for _ in range(calls):
                start = time.perf_counter()
                program(*inputs)
                times[name].append(time.perf_counter() - start)
    return times


def summarize(name: str, values: list[float], baseline: list[float]) -> dict[str, Any]:
    """Median, tenth and ninetieth percentile in ms, and the median relative to tilecast's."""
    ordered = sorted(values)
    tenth = len(ordered) // 10
    median = statistics.median(ordered)
    return {
        "engine": name,
        "median_ms": round(median * 1e3, 4),
        "p10_ms": round(ordered[tenth] * 1e3, 4),
        "p90_ms": round(ordered[-1 - tenth] * 1e3, 4),
        "vs_tilecast": round(median / statistics.median(baseline), 3),
    }
