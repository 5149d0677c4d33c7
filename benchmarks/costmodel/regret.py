"""Networks compiled with the model's decisions and without, timed in turns.

python -m benchmarks.costmodel.regret --model bert mlp --json benchmarks/results/decisions.json
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from statistics import median
from typing import Any

import tilecast
import torch
from tilecast.passes.poly.rules.decide import QUESTION

from ..machine import result_head
from ..models import MODELS, load_model

ROUNDS = 40
SECONDS = 2.0
SIDES = ("rules", "model")


def compared(name: str, model: str) -> dict[str, Any]:
    """Medians of interleaved runs, how many decisions went against the rules, compile seconds."""
    network, inputs = load_model(name)
    compiled, facts = {}, {}
    for side, cost_model in zip(SIDES, ("none", model), strict=True):
        start = time.perf_counter()
        compiled[side] = tilecast.compile(network, inputs, cost_model=cost_model)
        facts[f"{side} compile seconds"] = round(time.perf_counter() - start, 2)
    decisions = [d for d in compiled["model"].artifact.decisions if d["question"] == QUESTION]
    changed = [d for d in decisions if d["chosen"] != "rules"]
    times: dict[str, list[float]] = {side: [] for side in SIDES}
    end = time.monotonic() + SECONDS
    with torch.inference_mode():
        for run in compiled.values():
            run(*inputs)
        for k in range(ROUNDS):
            for side in SIDES[:: 1 if k % 2 else -1]:
                start = time.perf_counter()
                compiled[side](*inputs)
                times[side].append(time.perf_counter() - start)
            if time.monotonic() > end:
                break
    return {
        "model": name,
        "rules over model": round(median(times["rules"]) / median(times["model"]), 3),
        "shortest, rules over model": round(min(times["rules"]) / min(times["model"]), 3),
        "decisions": len(decisions),
        "against the rules": len(changed),
        **facts,
    }


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.costmodel.regret")
    parser.add_argument("--model", nargs="+", default=list(MODELS))
    parser.add_argument("--cost-model", default="pretrained", help="as compile takes it")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    for name in options.model:
        rows.append(compared(name, options.cost_model))
        print(json.dumps(rows[-1]), flush=True)
    if options.json is not None:
        document = {
            **result_head("benchmarks.costmodel.regret"),
            "models": rows,
        }
        options.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
