"""One engine in a process of its own: builds, checks, then runs whenever the parent asks.

Lines on stdin: `run SECONDS` or `quit`. Answers are JSON lines on the original stdout; whatever
libraries print goes to stderr.
"""

from __future__ import annotations

import copy
import json
import os
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

    from .accuracy import Accuracy

VARIANTS = 4


def main(engine: str, model: str, threads: int, precision: str = "f32") -> None:
    """Serve requests until `quit` or the end of stdin."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def answer(data: dict[str, Any]) -> None:
        answers.write(json.dumps(data) + "\n")

    try:
        program, inputs, facts = prepare(engine, model, threads, precision)
    except Exception as error:  # any engine may fail in any way; the parent reports it
        answer({"failed": f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"})
        return
    answer(facts)
    for line in sys.stdin:
        command, _, argument = line.strip().partition(" ")
        if command == "quit":
            return
        answer({"times": run_for(program, inputs, float(argument))})


def prepare(
    engine: str, model: str, threads: int, precision: str
) -> tuple[Any, list[Any], dict[str, Any]]:
    """Build and check; facts say how long it took and how accurate the engine is."""
    import torch

    from .engines import BF16_MODULES, engine_version, in_bf16
    from .models import input_variants, load_model

    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    module, inputs = load_model(model)
    program, seconds, accuracy = build_checked(engine, module, inputs, threads, precision)
    facts = {
        "version": engine_version(engine),
        "compile_seconds": round(seconds, 3),
        **asdict(accuracy),
    }
    variants = input_variants(inputs, VARIANTS)
    if precision == "bf16" and engine in BF16_MODULES:
        variants = [in_bf16(values) for values in variants]
    return program, variants, facts


def build_checked(
    engine: str,
    module: Module,
    inputs: tuple[Tensor, ...],
    threads: int,
    precision: str = "f32",
) -> tuple[Any, float, Accuracy]:
    """The program of `module`, the seconds its build took, its error; ValueError if it is wrong."""
    import torch

    from .accuracy import measure_accuracy
    from .engines import BF16, ENGINES, in_bf16

    builder, own = ENGINES[engine][1], module
    if precision == "bf16" and engine in BF16:
        builder = BF16[engine]
    elif precision == "bf16":
        own, inputs = copy.deepcopy(module).to(torch.bfloat16), in_bf16(inputs)
    start = time.perf_counter()
    program = builder(own, inputs, threads)
    program(inputs)  # some engines compile at their first call
    seconds = time.perf_counter() - start
    accuracy = measure_accuracy(module, program, inputs, precision)
    if not accuracy.is_ok:
        raise ValueError(f"wrong results: {asdict(accuracy)}")
    return program, seconds, accuracy


def run_for(program: Any, inputs: list[Any], seconds: float) -> list[float]:
    """Seconds of each call, calling for about `seconds`; inputs change from call to call."""
    for values in inputs[:2]:
        program(values)
    times: list[float] = []
    end = time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        values = inputs[len(times) % len(inputs)]
        start = time.perf_counter()
        program(values)
        times.append(time.perf_counter() - start)
    return times


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
