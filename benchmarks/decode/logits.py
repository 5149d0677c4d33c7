"""Logits next to llama.cpp's, on the integers of one GGUF file.

    python -m benchmarks.decode.logits --output benchmarks/results/decode_logits.json

Both decode the same tokens one by one from position 0. llama.cpp rounds activations to 8 bits in
blocks of 32, ours stay f32: what differs is that. Relative errors in the 2-norm of the logits.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import tilecast
import torch

from ..machine import result_head
from .engines import LLAMA_CPP, place_of, tokens_of
from .gguf_file import gguf_name, write_gguf
from .llama_cpp import LlamaCpp
from .model import SHAPES, Llama, random_llama


def rows_of(engine: str, shape_name: str, folder: Path, tokens: int) -> dict[str, Any]:
    """Errors of our logits, and those of eager PyTorch, against llama.cpp's."""
    shape = SHAPES[shape_name]
    path = place_of(engine, shape, folder)
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_gguf(random_llama(shape), LLAMA_CPP[engine], path)
    plain = Llama(shape, alternates=True)
    names = {gguf_name(name): name for name, _ in plain.named_parameters()}
    eager = tilecast.with_gguf(plain, path, names.get)
    given = tokens_of(shape)
    ours = tilecast.compile(eager, (given[:, :1], torch.tensor([0])), threads=2, name="llama")
    peer = LlamaCpp(path, shape.positions, shape.vocabulary, 2)
    found = []
    for n in range(tokens):
        inputs = given[:, n : n + 1], torch.tensor([n])
        theirs = peer.run(given[0, n : n + 1].tolist(), n)
        found.append([ours(*inputs)[0].numpy(), eager(*inputs)[0].numpy(), theirs])
    mine, reference, theirs = (np.stack(side) for side in zip(*found, strict=True))

    def error(a: Any, b: Any) -> float:
        return round(float(np.linalg.norm(a - b) / np.linalg.norm(b)), 6)

    return {
        "tokens": tokens,
        "ours_to_eager": error(mine, reference),
        "ours_to_llama_cpp": error(mine, theirs),
        "eager_to_llama_cpp": error(reference, theirs),
        "same_best_token": int((mine.argmax(1) == theirs.argmax(1)).sum()),
    }


def main() -> None:
    """Print and write the errors."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--engine", choices=LLAMA_CPP, default="llama.cpp Q4_0")
    parser.add_argument("--shape", choices=SHAPES, default="gpt2")
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--folder", type=Path, default=Path("build/decode"))
    parser.add_argument("--output", type=Path, help="write the result to this JSON file")
    chosen = parser.parse_args()
    with torch.no_grad():
        row = rows_of(chosen.engine, chosen.shape, chosen.folder.resolve(), chosen.tokens)
    row = {"shape": chosen.shape, "file": chosen.engine, **row}
    print(row)
    if chosen.output is not None:
        facts = {**result_head("benchmarks.decode.logits"), "results": [row]}
        chosen.output.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
