"""Tokens per second of a causal language model with weights of few bits, next to llama.cpp.

    python -m benchmarks.decode --build-only        # compiles and verifies, times nothing
    python -m benchmarks.decode --shape gpt2 --output benchmarks/results/decode.json

A Llama of GPT-2 small's size (12 layers of 768, 50257 tokens) or of 1 billion weights (16 layers of
2048), randomly initialized, decodes the token at position 511 behind a cache of 511 tokens, and
takes a prompt of 128 tokens, whose last logits it gives. llama.cpp runs a GGUF file of the same
weights (`pip install llama-cpp-python gguf`) with its own settings, which keep the cache in 16-bit
floats, as ours here does (but for f32). Each engine is a process; they take turns.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ..machine import result_head
from ..requests import ask, stop
from .engines import ENGINES, LLAMA_CPP, PROMPT
from .model import SHAPES

ROOT = Path(__file__).resolve().parents[2]
KINDS = ("decode", "prefill")
PAUSE = 0.05  # idle threads of the engine that ran last spin for a while
Times = dict[str, dict[str, float]]


def start(step: str, name: str, chosen: argparse.Namespace) -> subprocess.Popen[str]:
    """A process that builds an engine, or runs it; its first answer says that it is ready."""
    folder, threads = str(chosen.folder.resolve()), str(chosen.threads)
    worker = ["-m", "benchmarks.decode.worker", step, name, chosen.shape, threads, folder]
    return subprocess.Popen(
        [sys.executable, *worker, *chosen.kind],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": threads},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def is_ready(name: str, process: subprocess.Popen[str]) -> bool:
    """Wait for the first answer."""
    assert process.stdout is not None
    answer = json.loads(process.stdout.readline() or '{"failed": "the process ended"}')
    print(f"{name}: {answer.get('failed', answer)}", file=sys.stderr)
    return "failed" not in answer


def measure(
    engines: dict[str, subprocess.Popen[str]], kinds: Sequence[str], rounds: int, seconds: float
) -> Times:
    """Engine -> kind -> seconds per call: the median of turns, each of which counts with its
    median."""
    turns: dict[tuple[str, str], list[float]] = {}
    for _ in range(rounds):
        for kind in kinds:
            for name, process in engines.items():
                answer = ask(process, {"run": kind, "seconds": seconds})
                turns.setdefault((name, kind), []).append(statistics.median(answer["times"]))
                time.sleep(PAUSE)
    return {
        name: {kind: statistics.median(turns[name, kind]) for kind in kinds} for name in engines
    }


def rows_of(times: Times) -> dict[str, dict[str, Any]]:
    """Tokens per second, and how much faster than each kind of llama.cpp."""
    rows: dict[str, dict[str, Any]] = {}
    for name, taken in times.items():
        row: dict[str, Any] = {}
        for kind in taken:
            tokens = PROMPT if kind == "prefill" else 1
            row[f"{kind}_ms"] = round(taken[kind] * 1e3, 3)
            row[f"{kind}_tokens_per_second"] = round(tokens / taken[kind], 1)
            for peer in LLAMA_CPP:
                if peer in times:
                    row[f"{kind}_over_{peer}"] = round(times[peer][kind] / taken[kind], 3)
        rows[name] = row
    return rows


def format_rows(rows: dict[str, dict[str, Any]]) -> str:
    """A line per engine."""
    keys = list(next(iter(rows.values()), {}))
    lines = [" " * 18 + "".join(f"{key.replace('tokens_per_second', 'tok/s'):>27}" for key in keys)]
    lines += [
        f"{name:<18}" + "".join(f"{row[key]:>27}" for key in keys) for name, row in rows.items()
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        "benchmarks.decode",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--engine", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--shape", choices=SHAPES, default="gpt2")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.3, help="length of one turn")
    parser.add_argument("--kind", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--build-only", action="store_true", help="compile and verify only")
    parser.add_argument("--built", action="store_true", help="time what was built before")
    parser.add_argument(
        "--folder", type=Path, default=Path("build/decode"), help="for what is built"
    )
    parser.add_argument("--output", type=Path, help="write the results to this JSON file")
    chosen = parser.parse_args(arguments)
    names = list(chosen.engine)
    with ExitStack() as stack:
        if not chosen.built:
            for name in list(names):  # one after the other: each takes memory
                process = start("build", name, chosen)
                stack.callback(stop, process)
                if not is_ready(name, process):
                    names.remove(name)
                process.wait()
        if chosen.build_only:
            return
        engines = {}
        for name in names:
            process = start("run", name, chosen)
            stack.callback(stop, process)
            if is_ready(name, process):
                engines[name] = process
        rows = rows_of(measure(engines, chosen.kind, chosen.rounds, chosen.seconds))
    print(format_rows(rows))
    if chosen.output is not None:
        known = json.loads(chosen.output.read_text()) if chosen.output.exists() else {}
        known = known.get("results", {})
        rows = {name: {**known.get(chosen.shape, {}).get(name, {}), **rows[name]} for name in rows}
        results = {**known, chosen.shape: {**known.get(chosen.shape, {}), **rows}}
        record = {**result_head("benchmarks.decode"), "results": results}
        chosen.output.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
