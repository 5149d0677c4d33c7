"""One decoding step of attention behind a cache: floats next to bytes and scales.

    python -m benchmarks.cached_attention --output benchmarks/results/cached_attention.json

12 heads of 64, two threads; both programs in turns, medians. Bytes per second count the cache.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import tilecast
import torch
from torch import Tensor, nn
from torch.nn import functional

from .machine import result_head

HEADS, SIZE, THREADS, ROUNDS, CALLS = 12, 64, 2, 40, 5


class Floats(nn.Module):
    """Attention of one query."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return functional.scaled_dot_product_attention(q, k, v)


class Bytes(nn.Module):
    """The same with keys and values as bytes, a scale per position and head."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor, ks: Tensor, vs: Tensor) -> Tensor:
        return functional.scaled_dot_product_attention(q, k.float() * ks, v.float() * vs)


def row(length: int) -> dict[str, Any]:
    """Milliseconds of both at `length` positions."""
    torch.manual_seed(0)
    q = torch.randn(1, HEADS, 1, SIZE)
    k, v = torch.randint(-127, 128, (2, 1, HEADS, length, SIZE), dtype=torch.int8)
    ks, vs = torch.rand(2, 1, HEADS, length, 1)
    inputs = {"floats": (q, k.float() * ks, v.float() * vs), "bytes": (q, k, v, ks, vs)}
    models = {"floats": Floats(), "bytes": Bytes()}
    fast = {n: tilecast.compile(m, inputs[n], threads=THREADS) for n, m in models.items()}
    times: dict[str, list[float]] = {name: [] for name in fast}
    for _ in range(ROUNDS):
        for name, call in fast.items():
            call(*inputs[name])
            for _ in range(CALLS):
                start = time.perf_counter()
                call(*inputs[name])
                times[name].append(time.perf_counter() - start)
    found: dict[str, Any] = {"length": length}
    for name, seconds in times.items():
        size = sum(x.nbytes for x in inputs[name][1:])
        taken = statistics.median(seconds)
        found[name] = {"ms": round(taken * 1e3, 4), "gbytes": round(size / taken / 1e9, 1)}
    return found


def main() -> None:
    """Print a row per length, and write them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--length", nargs="+", type=int, default=[512, 2048, 8192])
    parser.add_argument("--output", type=Path, help="JSON file to write")
    chosen = parser.parse_args()
    rows = []
    for length in chosen.length:
        rows.append(row(length))
        print(rows[-1], flush=True)
    if chosen.output is not None:
        facts = {**result_head("benchmarks.cached_attention"), "results": rows}
        chosen.output.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
