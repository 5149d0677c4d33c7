"""Side by side: tilecast, eager, Inductor, ONNX Runtime, OpenVINO.

    python -m benchmarks.compare --model minilm --threads 2 --rounds 10 --output result.json

The file keeps the results of other models and thread counts, so that a table can be taken model by
model; `--resume` leaves out what the file has. `--summary FILE` prints ratios to the best peers.
Each engine has a process of its own and is checked against float64 first. Then the parent lets
them run in turns, a short while each, so that changes of the machine meet all engines alike.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .engines import ENGINES, installed_engines
from .machine import describe_machine, now
from .models import MODELS

Results = dict[tuple[str, int, str], dict[str, Any]]
ROOT = Path(__file__).resolve().parents[1]
# Idle OpenMP threads of the engine that ran last keep spinning for up to 200 ms.
PAUSE_SECONDS = 0.25


@dataclass
class Engine:
    """A running worker and what it answered."""

    name: str
    process: subprocess.Popen[str]
    facts: dict[str, Any] = field(default_factory=dict)
    times: list[float] = field(default_factory=list)

    @staticmethod
    def start(name: str, model: str, threads: int, precision: str) -> Engine:
        """Start the worker; its first answer is read by `wait_until_ready`."""
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        command = [sys.executable, "-m", "benchmarks.worker", name, model, str(threads)]
        command.append(precision)
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        return Engine(name, process)

    def wait_until_ready(self) -> bool:
        """Whether the engine was built and is right; `facts` says more."""
        self.facts = self._answer()
        return "failed" not in self.facts

    def run(self, seconds: float) -> None:
        """One turn."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"run {seconds}\n")
        self.process.stdin.flush()
        answer = self._answer()
        if "failed" in answer:
            raise RuntimeError(f"{self.name} stopped while it was measured: {answer['failed']}")
        self.times += answer["times"]

    def stop(self) -> None:
        """End the worker."""
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait()

    def summary(self, baseline: float | None) -> dict[str, Any]:
        """Median, percentiles (ms) and the median relative to tilecast's, where that was run."""
        ordered = sorted(self.times)
        tenth = len(ordered) // 10
        median = statistics.median(ordered)
        return {
            "engine": self.name,
            **self.facts,
            "calls": len(ordered),
            "median_ms": round(median * 1e3, 4),
            "p10_ms": round(ordered[tenth] * 1e3, 4),
            "p90_ms": round(ordered[-1 - tenth] * 1e3, 4),
            "ratio_to_tilecast": None if baseline is None else round(median / baseline, 3),
        }

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            return {"failed": f"the process ended with status {self.process.wait()}"}
        answer: dict[str, Any] = json.loads(line)
        return answer


def compare(
    model: str,
    engines: Sequence[str],
    threads: int,
    rounds: int,
    seconds: float = 0.4,
    progress: Callable[[str], None] = lambda line: None,
    precision: str = "f32",
) -> dict[str, Any]:
    """Measure `engines` on `model`; medians and ratios as plain data."""
    started: list[Engine] = []
    failed: list[dict[str, Any]] = []
    try:
        for name in engines:
            progress(f"{model}: building {name}")
            engine = Engine.start(name, model, threads, precision)
            started.append(engine)
            if not engine.wait_until_ready():
                progress(f"{model}: {name} left out: {engine.facts['failed']}")
                failed.append({"engine": name, **engine.facts})
                started.pop().stop()
        for number in range(rounds):
            progress(f"{model}: round {number + 1} of {rounds}")
            turn = number % max(1, len(started))
            for engine in started[turn:] + started[:turn]:
                engine.run(seconds)
                time.sleep(PAUSE_SECONDS)
    finally:
        for engine in started:
            engine.stop()
    medians = {engine.name: statistics.median(engine.times) for engine in started}
    baseline = medians.get("tilecast")
    rows = sorted((e.summary(baseline) for e in started), key=lambda row: row["median_ms"])
    return {
        "model": model,
        "threads": threads,
        "precision": precision,
        "rounds": rounds,
        "engines": rows,
        "failed": failed,
    }


def format_table(result: dict[str, Any]) -> str:
    """The result for people."""
    lines = [
        f"{result['model']}, {result['threads']} threads, {result['precision']}, "
        f"{result['rounds']} interleaved rounds",
        f"{'engine':<14}{'median ms':>11}{'p10':>10}{'p90':>10}{'vs tilecast':>13}{'build s':>10}",
    ]
    for row in result["engines"]:
        ratio = row["ratio_to_tilecast"]
        lines.append(
            f"{row['engine']:<14}{row['median_ms']:>11.3f}{row['p10_ms']:>10.3f}"
            f"{row['p90_ms']:>10.3f}{'-' if ratio is None else format(ratio, '.2f'):>13}"
            f"{row['compile_seconds']:>10.1f}"
        )
    lines += [f"{row['engine']:<14}left out: {row['failed']}" for row in result["failed"]]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="benchmarks.compare", description=__doc__)
    parser.add_argument("--model", nargs="+", choices=sorted(MODELS), default=["minilm"])
    parser.add_argument("--engine", nargs="+", choices=sorted(ENGINES), default=None)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", choices=["f32", "bf16"], default="f32")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=0.4, help="length of one turn")
    parser.add_argument("--output", type=Path, help="add the results to this JSON file")
    parser.add_argument("--resume", action="store_true", help="skip what the output has already")
    parser.add_argument("--summary", type=Path, metavar="FILE", help="only print what FILE has")
    chosen = parser.parse_args(arguments)
    engines = chosen.engine or installed_engines(chosen.precision)
    if chosen.summary is not None:
        print(format_summary(read_results(chosen.summary)))
        return
    command = "python -m benchmarks.compare " + " ".join(arguments or sys.argv[1:])
    known = read_results(chosen.output)
    for model in chosen.model:
        if chosen.resume and (model, chosen.threads, chosen.precision) in known:
            continue
        result = compare(
            model,
            engines,
            chosen.threads,
            chosen.rounds,
            chosen.seconds,
            lambda line: print(line, file=sys.stderr),
            chosen.precision,
        )
        print(format_table(result), end="\n\n")
        if chosen.output is not None:
            known[model, chosen.threads, chosen.precision] = {
                "date": now(),
                "command": command,
                **result,
            }
            write_results(chosen.output, known)


def read_results(path: Path | None) -> Results:
    """What an earlier run has written to `path`, by model, threads and precision."""
    if path is None or not path.exists():
        return {}
    document = json.loads(path.read_text(encoding="utf-8"))
    results = [{"precision": "f32", **result} for result in document["results"]]
    return {(r["model"], r["threads"], r["precision"]): r for r in results}


def write_results(path: Path, results: Results) -> None:
    """All results as one file; it is replaced at once, so that it is whole at any time."""
    document = {"machine": describe_machine(), "results": list(results.values())}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    partial.replace(path)


def format_summary(results: Results) -> str:
    """Per model: our median, the best peer's time over ours, and Inductor's; geometric means."""
    lines = [f"{'model':<18}{'threads':>8}{'ms':>10}{'best peer':>14}{'ratio':>8}{'inductor':>10}"]
    ratios: dict[str, list[float]] = {"best": [], "inductor": []}
    for (model, threads, precision), result in results.items():
        peers = {row["engine"]: row for row in result["engines"]}
        ours = peers.pop("tilecast", None)
        if ours is None or not peers:
            continue
        best = min(peers.values(), key=lambda row: row["median_ms"])
        found = {"best": best, "inductor": peers.get("inductor")}
        cells = []
        for name, row in found.items():
            ratio = None if row is None else row["median_ms"] / ours["median_ms"]
            ratios[name] += [] if ratio is None else [ratio]
            cells.append("-" if ratio is None else format(ratio, ".2f"))
        lines.append(
            f"{model:<18}{threads:>3}{precision:>5}{ours['median_ms']:>10.3f}{best['engine']:>14}"
            f"{cells[0]:>8}{cells[1]:>10}"
        )
    means = [statistics.geometric_mean(r) if r else float("nan") for r in ratios.values()]
    return "\n".join([*lines, f"{'geometric mean':<50}{means[0]:>8.2f}{means[1]:>10.2f}"])


if __name__ == "__main__":
    main()
