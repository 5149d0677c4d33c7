"""One decoding step of attention behind a cache: floats next to formats of few bits.

    python -m benchmarks.cached_attention --output benchmarks/results/cached_attention.json

A step rounds and stores the new key and value, and attends to all positions. 12 heads of 64, two
threads; the programs in turns, medians. Bytes per second count what the cache holds.
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
FORMATS = ("f32", "i8", "u4:g32", "i3:g32", "u2:g32")


class FloatCache(nn.Module):
    """Positions as they are."""

    def __init__(self, shape: tuple[int, int, int, int]) -> None:
        super().__init__()
        self.register_buffer("floats", torch.zeros(shape))

    def update(self, positions: Tensor, x: Tensor) -> Tensor:
        """Store `x`; the whole cache."""
        return self.floats.index_copy_(2, positions, x)


class Step(nn.Module):
    """One token behind caches of keys and values."""

    def __init__(self, format: str, length: int) -> None:
        super().__init__()
        shape = 1, HEADS, length, SIZE
        self.keys, self.values = (
            FloatCache(shape) if format == "f32" else tilecast.QuantizedCache(format, shape)
            for _ in range(2)
        )

    def forward(self, q: Tensor, k: Tensor, v: Tensor, position: Tensor) -> Tensor:
        k, v = self.keys.update(position, k), self.values.update(position, v)
        return functional.scaled_dot_product_attention(q, k, v)


def row(length: int) -> dict[str, Any]:
    """Milliseconds of all at `length` positions."""
    torch.manual_seed(0)
    filled = torch.randn(2, 1, HEADS, length, SIZE)
    inputs = (*torch.randn(3, 1, HEADS, 1, SIZE), torch.tensor([length - 1]))
    fast, sizes = {}, {}
    for format in FORMATS:
        model = Step(format, length)
        for cache, x in zip((model.keys, model.values), filled, strict=True):
            cache.update(torch.arange(length), x)
        fast[format] = tilecast.compile(model, inputs, threads=THREADS)
        sizes[format] = sum(state.nbytes for state in fast[format].states.values())
    times: dict[str, list[float]] = {name: [] for name in fast}
    for _ in range(ROUNDS):
        for name, call in fast.items():
            call(*inputs)
            for _ in range(CALLS):
                start = time.perf_counter()
                call(*inputs)
                times[name].append(time.perf_counter() - start)
    found: dict[str, Any] = {"length": length}
    floats = statistics.median(times["f32"])
    for name, seconds in times.items():
        taken = statistics.median(seconds)
        found[name] = {
            "ms": round(taken * 1e3, 4),
            "over_f32": round(floats / taken, 2),
            "bytes": sizes[name],
            "gbytes": round(sizes[name] / taken / 1e9, 1),
        }
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
