"""What quantization costs a sentence encoder: error of its embeddings, size, predicted time.

    python -m benchmarks.quantization --output benchmarks/results/quantization.json

MiniLM is quantized by each method in formats of falling width, and with formats chosen per layer
within budgets. Calibration and judgement use different sentences (`examples/sentences.py`).
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch
from tilecast.compiler.probe.probe import known_speeds
from tilecast.compiler.quantize import quantize, quantized_weights
from tilecast.compiler.quantize.allocation import Allocation, product_seconds
from tilecast.compiler.quantize.model import with_tensors
from tilecast.compiler.runtime.cache import open_store
from tilecast.compiler.runtime.toolchain import find_toolchain
from tilecast.compiler.target import native_machine

from examples.minilm import SentenceEncoder, tokenize
from examples.sentences import CALIBRATION, EVALUATION

from .machine import result_head

FORMATS = ("u8:g128", "u6:g64", "u5:g64", "u4:g128", "u4:g32", "nf4:g64", "u3:g32", "u2:g32")
LENGTH = 32
THREADS = 2


def embeddings(model: Any) -> torch.Tensor:
    """Unit vectors of the sentences that nothing was calibrated with."""
    with torch.no_grad():
        found: torch.Tensor = model(*tokenize(EVALUATION, LENGTH))
    return found


def row(name: str, method: str, model: Any, expected: torch.Tensor, speeds: Any) -> dict[str, Any]:
    """Error and size of one quantized model."""
    found, tensors = embeddings(model), quantized_weights(model).values()
    weights = sum(t.shape[0] * t.shape[1] for t in tensors)
    return {
        "formats": name,
        "method": method,
        "bits": 8 * sum(t.nbytes for t in tensors) / weights,
        "megabytes": sum(t.nbytes for t in tensors) / 1e6,
        "seconds": sum(product_seconds(t.format, *t.shape, speeds, THREADS) for t in tensors),
        "error": float((found - expected).square().mean() / expected.square().mean()),
        "cosine": float(torch.nn.functional.cosine_similarity(found, expected).mean()),
    }


def main() -> None:
    """Print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, help="JSON file to write")
    arguments = parser.parse_args()
    start = time.perf_counter()
    model = SentenceEncoder().eval()
    speeds = known_speeds(native_machine(), find_toolchain(), open_store())
    data = [tokenize((sentence,), LENGTH) for sentence in CALIBRATION]
    expected = embeddings(model)
    rows = []
    for name in FORMATS:
        for method in ("rtn", "mse", "gptq"):
            calibration = None if method == "rtn" else data
            found = quantize(model, name, method=method, calibration=calibration)
            rows.append(row(name, method, found, expected, speeds))
            print(rows[-1], flush=True)
    batch = [tokenize(CALIBRATION[k : k + 8], LENGTH) for k in (0, 8, 16, 24)]
    uniform = next(r for r in rows if r["formats"] == "u4:g128")
    for method in ("mse", "gptq"):
        allocation = Allocation(model, batch, speeds, method=method, threads=THREADS)
        for unit, budget in (("seconds", uniform["seconds"]), ("bits", 4.0), ("bits", 3.5)):
            choice = allocation.choose(budget, unit)
            found = with_tensors(model, allocation.tensors_of(choice))
            name = f"per layer, {budget:.3g} {unit}"
            rows.append(row(name, method, found, expected, speeds))
            rows[-1] |= {"predicted_error": choice.error, "layers": dict(choice.formats)}
            print({k: v for k, v in rows[-1].items() if k != "layers"}, flush=True)
    if arguments.output is not None:
        facts = {
            **result_head("benchmarks.quantization"),
            "minutes": (time.perf_counter() - start) / 60,
            "results": rows,
        }
        arguments.output.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
