"""Tokens per second of a causal language model with weights of few bits, one token behind a cache.

    python -m benchmarks.decode --output benchmarks/results/decode.json
    python -m benchmarks.decode --build-only        # compiles and verifies, times nothing

A Llama of GPT-2 small's size (12 layers of 768, 50257 tokens), randomly initialized, decodes the
token at position 512. Engines take turns; weights of f32 are 500 MB, those of 4 bits 64 MB, so that
all come from beyond the caches.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tilecast
import torch

from .machine import result_head
from .networks import DecodeStep, Network

POSITION = 512
MIXED = "*lm_head=u4:g64,*self_attn*=u4:g64,*down_proj=i3:g64,*=u2:g64"
VARIANTS: dict[str, dict[str, Any]] = {
    "f32": {},
    "bf16": {"precision": "bf16"},
    "u4": {"weights": "u4:g128"},
    "u4, int8 activations": {"weights": "u4:g128", "activations": "int8"},
    "i3": {"weights": "i3:g128"},
    "mixed u4 i3 u2": {"weights": MIXED},
    "mixed, int8 activations": {"weights": MIXED, "activations": "int8"},
}
Call = Callable[[], object]


def llama_decode() -> Network:
    """The model, and its inputs."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=50257,
        hidden_size=768,
        intermediate_size=2048,
        num_hidden_layers=12,
        num_attention_heads=12,
        num_key_value_heads=12,
    )
    inputs = torch.randint(0, 50257, (1, 1)), torch.randn(12, 2, 1, 12, POSITION, 64)
    return DecodeStep(LlamaForCausalLM(config)).eval(), inputs


def engines(names: Sequence[str], threads: int) -> dict[str, Call]:
    """What is timed, by name."""
    model, inputs = llama_decode()
    found: dict[str, Call] = {"eager f32": lambda: model(*inputs)}
    for name in names:
        fast = tilecast.compile(model, inputs, threads=threads, name="decode", **VARIANTS[name])
        found[name] = lambda fast=fast: fast(*inputs)
        print(f"{name}: built and verified", file=sys.stderr)
    return found


def measure(calls: dict[str, Call], rounds: int, seconds: float) -> dict[str, float]:
    """Seconds per token: the median of turns, each of which counts with its median."""
    turns: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(rounds):
        for name, call in calls.items():
            times: list[float] = []
            end = time.perf_counter() + seconds
            while time.perf_counter() < end:
                start = time.perf_counter()
                call()
                times.append(time.perf_counter() - start)
            turns[name].append(statistics.median(times))
    return {name: statistics.median(times) for name, times in turns.items()}


def main(arguments: Sequence[str]) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        "benchmarks.decode",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--variant", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="length of one turn")
    parser.add_argument("--build-only", action="store_true", help="compile and verify only")
    parser.add_argument("--output", type=Path, help="write the results to this JSON file")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    torch.set_grad_enabled(False)
    calls = engines(chosen.variant, chosen.threads)
    if chosen.build_only:
        return
    times = measure(calls, chosen.rounds, chosen.seconds)
    base = times.get("f32", times["eager f32"])
    rows = {
        name: {"tokens_per_second": round(1 / t, 1), "ms": round(1e3 * t, 3), "f32": base / t}
        for name, t in times.items()
    }
    for name, row in rows.items():
        print(f"{name:<26}{row['tokens_per_second']:>8.1f} tokens/s{row['f32']:>7.2f} x f32")
    if chosen.output is not None:
        record = {
            **result_head("benchmarks.decode"),
            "results": rows,
        }
        chosen.output.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
