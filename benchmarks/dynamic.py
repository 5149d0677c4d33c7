"""`python -m benchmarks.dynamic`: one program for all sizes against a program per size.

BERT and GPT-2 with two layers of common width. Both programs run in turns on the same inputs; the
number is the median over rounds of the dynamic time divided by the static one. `--prepare` only
compiles, which the cache keeps, so that the timed run is short.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import tilecast
import torch
from torch import Tensor, nn

from .machine import result_head

SIZES = ((1, 16), (1, 128), (4, 61), (8, 256))
BOUNDS = "ids: batch=1..8, seq=1..256; mask: batch=1..8, seq=1..256"
VOCABULARY, LAYERS, HEADS, WIDTH = 1000, 2, 12, 384


class LastStates(nn.Module):
    """A transformers model from ids and mask to its last hidden states."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """States of shape batch x seq x width."""
        states: Tensor = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
        return states


def network(name: str) -> nn.Module:
    """`bert` or `gpt2` with random weights."""
    import transformers

    torch.manual_seed(0)
    if name == "bert":
        bert = transformers.BertConfig(
            num_hidden_layers=LAYERS,
            hidden_size=WIDTH,
            num_attention_heads=HEADS,
            intermediate_size=4 * WIDTH,
            vocab_size=VOCABULARY,
        )
        return LastStates(transformers.BertModel(bert, add_pooling_layer=False)).eval()
    gpt2 = transformers.GPT2Config(
        n_layer=LAYERS, n_embd=WIDTH, n_head=HEADS, vocab_size=VOCABULARY, use_cache=False
    )
    return LastStates(transformers.GPT2Model(gpt2)).eval()


def inputs_of(batch: int, seq: int) -> tuple[Tensor, Tensor]:
    """Random ids, and a mask that keeps all."""
    return torch.randint(0, VOCABULARY, (batch, seq)), torch.ones(batch, seq, dtype=torch.long)


def seconds(function: Callable[..., Any], inputs: tuple[Tensor, Tensor], calls: int) -> float:
    """Seconds of one of `calls` calls."""
    start = time.perf_counter()
    for _ in range(calls):
        function(*inputs)
    return (time.perf_counter() - start) / calls


@click.command()
@click.option("--threads", default=2, show_default=True)
@click.option("--rounds", default=15, show_default=True)
@click.option("--prepare", is_flag=True, help="Compile only.")
@click.option("--output", type=click.Path(path_type=Path), help="JSON file for the results.")
def main(threads: int, rounds: int, prepare: bool, output: Path | None) -> None:
    """Time one dynamic program and static ones in turns."""
    results: list[dict[str, Any]] = []
    for name in ("bert", "gpt2"):
        model = network(name)
        some = inputs_of(3, 17)
        dynamic = tilecast.compile(model, some, dynamic_shapes=BOUNDS, threads=threads, name=name)
        for batch, seq in SIZES:
            inputs = inputs_of(batch, seq)
            static = tilecast.compile(model, inputs, threads=threads, name=name)
            if prepare:
                continue
            both = dynamic, static
            calls = max(1, round(0.02 / max(seconds(f, inputs, 2) for f in both)))
            pairs = [[seconds(f, inputs, calls) for f in both] for _ in range(rounds)]
            ratio = statistics.median(a / b for a, b in pairs)
            best = [min(times) for times in zip(*pairs, strict=True)]
            results.append(
                {
                    "model": name,
                    "batch": batch,
                    "seq": seq,
                    "dynamic_ms": round(1e3 * best[0], 3),
                    "static_ms": round(1e3 * best[1], 3),
                    "ratio": round(ratio, 3),
                }
            )
            print(*results[-1].values(), sep="\t", flush=True)
    if output is not None:
        document = {
            **result_head("benchmarks.dynamic"),
            "results": results,
        }
        output.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
