"""How long it takes to score schedules: describing them, their features, each model.

    python -m benchmarks.costmodel.scoring --model build/gbdt --json benchmarks/results/scoring.json

The schedules are what a search over gemm proposes, repeated up to the number of candidates.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

from tilecast.compiler.target import native_machine
from tilecast.costmodel.features.hardware import Hardware
from tilecast.costmodel.features.program import program_features
from tilecast.costmodel.models.interface import Candidates
from tilecast.costmodel.models.load import load_model
from tilecast.costmodel.speeds import estimated_speeds
from tilecast.dialects.errors import IllegalScheduleError
from tilecast.dialects.poly import ScopOp
from tilecast.dialects.schedule import Step
from tilecast.passes.context import CompileContext
from tilecast.passes.poly.cost.describe import ScopDescriber
from tilecast.passes.poly.search import scop_space
from tilecast.passes.registry import load_pass

from ..machine import result_head
from ..polybench.benchmark import load_all

ROUNDS = 5
DIFFERENT = 60


def proposals(scop: ScopOp) -> list[tuple[Step, ...]]:
    """Schedules that a search would look at."""
    space, rng = scop_space(scop, native_machine(), 2), Random(0)
    points = [*space.defaults(), *(space.sample(rng) for _ in range(DIFFERENT))]
    found = []
    for point in points:
        try:
            found.append(tuple(space.steps(point)))
        except IllegalScheduleError:
            continue
    return found


def seconds(run: Callable[[], Any]) -> float:
    """The median time of some runs."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return median(times)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.costmodel.scoring")
    parser.add_argument("--candidates", type=int, default=10_000)
    parser.add_argument("--model", type=Path, nargs="*", default=[], help="folders of models")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    module = load_all()["gemm"].bind("MEDIUM").module()
    load_pass("extract-affine")().apply(CompileContext(), module)
    [scop] = [op for op in module.ops if isinstance(op, ScopOp)]
    hardware = Hardware(native_machine(), estimated_speeds(native_machine()))
    describe, schedules = ScopDescriber(scop, 2), proposals(scop)
    different = [describe(steps) for steps in schedules]
    programs = (different * (options.candidates // len(different) + 1))[: options.candidates]
    each = seconds(lambda: [describe(steps) for steps in schedules]) / len(schedules)
    result = {
        "candidates": len(programs),
        "different schedules": len(schedules),
        "describe, each": each,
        "features, all": seconds(lambda: program_features(programs, hardware)),
    }
    candidates = Candidates.of(programs, hardware)
    for folder in options.model:
        model = load_model(folder)
        result[f"{model.name}, all"] = seconds(lambda m=model: m.predict(candidates))
    document = {
        **result_head("benchmarks.costmodel.scoring"),
        "seconds": result,
    }
    print(json.dumps(result, indent=2))
    if options.json is not None:
        options.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
