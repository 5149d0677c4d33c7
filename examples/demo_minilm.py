"""`make demo`: all-MiniLM-L6-v2 to verified C, step by step.

Compiles the real sentence-embedding model for batches of 1 and 8, saves a package that checks
itself with a C compiler only, embeds sentences, and compares accuracy and speed with PyTorch.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tilecast
import torch
from transformers.utils.logging import disable_progress_bar

from benchmarks.compare import compare, format_table
from examples.minilm import SENTENCES, model, tokenize

OUTPUT = Path(__file__).resolve().parents[1] / "build" / "minilm"
REQUIRED_COSINE = 0.99999
ROUNDS = 6


@contextmanager
def step(title: str) -> Iterator[None]:
    """Announce a step, and say how long it took."""
    print(f"\n== {title}", flush=True)
    start = time.perf_counter()
    yield
    print(f"   {time.perf_counter() - start:.1f} s", flush=True)


def main() -> int:
    """Run the demo; 0 where everything agreed."""
    disable_progress_bar()
    with step("load all-MiniLM-L6-v2"):
        encoder, single = model(batch=1)
        eight = tokenize(SENTENCES)

    programs = {}
    for batch, inputs in ((1, single), (8, eight)):
        with step(f"compile and verify, batch {batch} x {inputs[0].shape[1]} tokens"):
            programs[batch] = tilecast.compile(
                encoder, inputs, name=f"minilm_b{batch}", progress=True
            )
            print(programs[batch].report)

    with step("save the package for batch 1 to build/minilm"):
        programs[1].save(OUTPUT)
        size = sum(path.stat().st_size for path in OUTPUT.rglob("*") if path.is_file())
        print(f"   {size / 1e6:.1f} MB, {len(list(OUTPUT.glob('src/*.c')))} C files")

    with step("make check in the package: a C compiler, no Python"):
        check = subprocess.run(["make", "-C", str(OUTPUT), "check"], capture_output=True, text=True)
        print("\n".join(check.stdout.splitlines()[-3:]) if not check.returncode else check.stderr)
        if check.returncode:
            return 1

    with step("embed sentences"), torch.inference_mode():
        worst = show_embeddings(encoder(*eight), programs[8](*eight))
        worst = min(worst, cosine(encoder(*single), programs[1](*single)).min().item())
        print(f"   smallest cosine similarity with PyTorch: {worst:.8f}")

    with step("speed: engines in processes of their own, taking turns"):
        engines = ["tilecast", "eager", "inductor"]
        result = compare("minilm", engines, torch.get_num_threads(), ROUNDS)
        print(format_table(result))

    if worst < REQUIRED_COSINE:
        print(f"FAILED: cosine similarity is below {REQUIRED_COSINE}", file=sys.stderr)
        return 1
    return 0


def cosine(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Cosine similarity of rows, in float64 so that rounding cannot hide a difference."""
    return torch.nn.functional.cosine_similarity(a.double(), b.double(), dim=-1)


def show_embeddings(expected: torch.Tensor, actual: torch.Tensor) -> float:
    """Print each sentence, its nearest neighbour, and the agreement; the smallest agreement."""
    agreement = cosine(expected, actual)
    similarity = actual @ actual.T
    similarity.fill_diagonal_(-1.0)
    for number, sentence in enumerate(SENTENCES):
        nearest = SENTENCES[int(similarity[number].argmax())]
        print(f"   {agreement[number]:.8f}  {sentence}  ~  {nearest}")
    return float(agreement.min())


if __name__ == "__main__":
    sys.exit(main())
