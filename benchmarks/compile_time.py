"""`python -m benchmarks.compile_time`: how the time of each stage and pass grows with the model.

GPT-2 of growing depth and small width is compiled and verified without the cache; a table has the
seconds per pass and the exponent of their growth with the number of operators, 1 being linear.
Python's cycle collector is off meanwhile: its pauses, which a compilation has two of, would be
counted as time of whichever pass runs.

`--models` compiles models of `benchmarks.models` instead, each in a new process.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import tilecast
import torch
from tilecast.compiler.frontend.decompositions import calls
from tilecast.compiler.job import model_job
from tilecast.compiler.options import resolve_options

from .machine import result_head
from .models import load_model

NOTICEABLE = 0.05  # seconds; the growth of what takes less is noise
VOCABULARY, POSITIONS, TOKENS = 257, 64, 32


@dataclass(frozen=True)
class Measured:
    """One compilation: seconds by path of stage, pass and part."""

    layers: int
    operators: int
    kernels: int
    launches: int
    seconds: dict[str, float]


class Gpt2(torch.nn.Module):
    """transformers' GPT-2 with random weights, from token numbers to logits."""

    def __init__(self, layers: int, hidden: int) -> None:
        super().__init__()
        from transformers import GPT2Config, GPT2LMHeadModel

        torch.manual_seed(0)
        config = GPT2Config(
            n_layer=layers,
            n_embd=hidden,
            n_head=4,
            vocab_size=VOCABULARY,
            n_positions=POSITIONS,
            bos_token_id=0,
            eos_token_id=0,
            use_cache=False,
        )
        self.model = GPT2LMHeadModel(config).eval()

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """The logits."""
        logits: torch.Tensor = self.model(tokens).logits
        return logits


def measure(layers: int, hidden: int, rounds: int) -> Measured:
    """Of each pass the fastest of `rounds` compilations."""
    model = Gpt2(layers, hidden)
    tokens = torch.arange(TOKENS)[None]
    program = model_job(model, (tokens,), None, resolve_options({})).program
    timings = []
    for _ in range(rounds):
        gc.collect()
        gc.disable()
        timings.append(tilecast.compile(model, (tokens,), cache=False).timing)
        gc.enable()
    operators = sum(1 for _ in calls(program))
    first = timings[0]
    seconds = {path: round(min(t.seconds[path] for t in timings), 4) for path in first.seconds}
    return Measured(layers, operators, first.kernels, first.launches, seconds)


def cold(name: str) -> dict[str, Any]:
    """One compilation, with export and verification, in a process that has compiled nothing."""
    model, inputs = load_model(name)
    start = time.perf_counter()
    timing = tilecast.compile(model, inputs, cache=False).timing
    total = time.perf_counter() - start
    stages = {path: round(s, 3) for path, s in timing.seconds.items() if "/" not in path}
    return {
        "model": name,
        "total": round(total, 2),
        "kernels": timing.kernels,
        "launches": timing.launches,
        "stages": stages,
    }


def exponent(small: Measured, large: Measured, path: str) -> float | None:
    """k where seconds grow as operators ** k; None for what takes no noticeable time."""
    before, after = small.seconds.get(path, 0.0), large.seconds.get(path, 0.0)
    if after < NOTICEABLE or before <= 0.0:
        return None
    return math.log(after / before) / math.log(large.operators / small.operators)


def table(results: Sequence[Measured]) -> str:
    """Seconds per path and size, and how they grow between the last two sizes."""
    heads = "".join(f"{f'{m.layers} layers':>12}" for m in results)
    lines = [f"{'stage, pass, part':<46}{heads}{'growth':>9}"]
    lines.append(f"{'operators':<46}" + "".join(f"{m.operators:>12}" for m in results))
    lines.append(f"{'launches':<46}" + "".join(f"{m.launches:>12}" for m in results))
    for path in results[-1].seconds:
        if results[-1].seconds[path] < NOTICEABLE:
            continue
        depth, name = path.count("/"), path.rpartition("/")[2]
        cells = "".join(f"{m.seconds.get(path, 0.0):>12.3f}" for m in results)
        growth = exponent(results[-2], results[-1], path) if len(results) > 1 else None
        shown = "" if growth is None else f"{growth:.2f}"
        lines.append(f"{'  ' * depth + name:<46}{cells}{shown:>9}")
    totals = [sum(s for path, s in m.seconds.items() if "/" not in path) for m in results]
    lines.append(f"{'total':<46}" + "".join(f"{t:>12.3f}" for t in totals))
    return "\n".join(lines)


def main() -> None:
    """Compile GPT-2 of each depth, print the table, and write a result file."""
    parser = argparse.ArgumentParser(prog="benchmarks.compile_time", description=__doc__)
    parser.add_argument("--layers", type=int, nargs="+", default=[2, 12, 48])
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--output", type=Path, help="JSON file for the results")
    parser.add_argument("--models", nargs="+", default=[], help="Compile these, each cold.")
    options = parser.parse_args()
    results: list[dict[str, Any]]
    if options.models:
        with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as process:
            results = list(process.map(cold, options.models))
        for result in results:
            print(f"{result['model']:<20}{result['total']:>8.1f} s  {result['stages']}")
    else:
        measure(1, options.hidden, 1)  # what the first compilation of a process imports and probes
        grown = [measure(layers, options.hidden, options.rounds) for layers in options.layers]
        print(table(grown))
        results = [vars(result) for result in grown]
    if options.output is not None:
        document: dict[str, Any] = {
            **result_head("benchmarks.compile_time"),
            "results": results,
        }
        options.output.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
