"""Networks with kernels grouped by rules and by the cost model, timed in turns.

tilecast targets --probe  # on the idle machine: the model needs its speeds
python -m benchmarks.fusion --json benchmarks/results/fusion.json --build-only  # fills the cache
python -m benchmarks.fusion --json benchmarks/results/fusion.json
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from statistics import geometric_mean, median
from typing import Any

import tilecast
import torch
from tilecast.passes.graph.grouping_search.model_grouping import QUESTION

from ..machine import result_head
from ..models import load_model
from . import networks

OWN = (
    "norm_blocks",
    "residual_block",
    "standardize",
    "decoder",
    "norm_chain",
    "loss",
    "gated_layer",
    "dense_block",
    "image_norm",
    "modulated_norm",
    "score_block",
    "instance_blocks",
)
TABLE = (
    *("minilm", "mobilenet-v2", "gpt2-decode", "efficientnet-b0", "unet", "whisper-tiny", "lstm"),
    *("resnet50", "vit-b16", "bert-base", "gpt2-small"),
)
SIDES = ("rules", "model")
ROUNDS = 400


def loaded(name: str) -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    """A network of this benchmark, or one that is measured elsewhere, too."""
    if name in OWN:
        network, inputs = getattr(networks, name)()
        return network, inputs
    return load_model(name)


def compared(name: str, seconds: float) -> dict[str, Any]:
    """Times of the rules over times of the model, and what the model changed; without times where
    no seconds are given."""
    network, inputs = loaded(name)
    if is_same(network, inputs):
        return {"model": name, "against the rules": 0, "rules over model": 1.0}
    compiled, facts = {}, {}
    for side in SIDES:
        start = time.perf_counter()
        compiled[side] = tilecast.compile(network, inputs, fusion=side)
        facts[f"{side} compile seconds"] = round(time.perf_counter() - start, 1)
        facts[f"{side} calls"] = sum(k.calls for k in compiled[side].artifact.kernels)
    decisions = [d for d in compiled["model"].artifact.decisions if d["question"] == QUESTION]
    changed = [d for d in decisions if d["chosen"] != d["candidates"][0][0]]
    row = {"model": name, "decisions": len(decisions), "against the rules": len(changed), **facts}
    row["changes"] = [
        f"{d['kernel']} -> {d['chosen']} (predicted {d['gain']:+.2f}, doubt {d['doubt']:.2f})"
        for d in changed
    ]
    if seconds:
        times = in_turns(compiled, inputs, seconds)
        row |= {
            "rules over model": round(median(times["rules"]) / median(times["model"]), 3),
            "shortest": round(min(times["rules"]) / min(times["model"]), 3),
            "rules ms": round(1e3 * median(times["rules"]), 3),
            "rounds": len(times["rules"]),
        }
    return row


def is_same(network: torch.nn.Module, inputs: Any) -> bool:
    """Whether both sides give the same kernels, called in the same order."""
    texts = [
        str(tilecast.compile(network, inputs, fusion=side, stop_after="fuse")) for side in SIDES
    ]
    return texts[0] == texts[1]


def in_turns(compiled: dict[str, Any], inputs: Any, seconds: float) -> dict[str, list[float]]:
    """Seconds of calls, one of each side after the other, who is first changing every time."""
    times: dict[str, list[float]] = {side: [] for side in compiled}
    with torch.inference_mode():
        for run in compiled.values():
            run(*inputs)
        end = time.monotonic() + seconds
        for k in range(ROUNDS):
            for side in list(compiled)[:: 1 if k % 2 else -1]:
                start = time.perf_counter()
                compiled[side](*inputs)
                times[side].append(time.perf_counter() - start)
            if time.monotonic() > end:
                break
    return times


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fusion")
    parser.add_argument("--model", nargs="+", default=[*OWN, *TABLE])
    parser.add_argument("--seconds", type=float, default=2.0, help="per network")
    parser.add_argument("--build-only", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = {row["model"]: row for row in stored(options.json)}
    for name in options.model:
        if rows.get(name, {}).get("against the rules") != 0:
            rows[name] = compared(name, 0 if options.build_only else options.seconds)
        print(json.dumps(rows[name]), flush=True)
    if options.json is not None:
        known = [row for row in rows.values() if "rules over model" in row]
        mean = geometric_mean([row["rules over model"] for row in known])
        document = {**result_head("benchmarks.fusion"), "geometric mean": round(mean, 3)}
        text = json.dumps(document | {"models": known}, indent=2)
        options.json.write_text(text + "\n", encoding="utf-8")


def stored(path: Path | None) -> list[dict[str, Any]]:
    """The rows of a result file, which a run goes on with; networks whose kernels are the same on
    both sides are not compiled again."""
    if path is None or not path.exists():
        return []
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["models"]
    return found


if __name__ == "__main__":
    main()
