"""Bytes of the arena under budgets, and what they cost: `python -m benchmarks.memory`.

Plans are exact, so rows are planned and not run. `--verify 144/4` also compiles MobileNetV2 for 144
pixels in a quarter of the plain plan, with every kernel and the model checked against float64, and
counts the bytes of the arena that a call writes.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import tilecast
from tilecast.compiler.job import model_job
from tilecast.compiler.logging import Progress
from tilecast.compiler.lowering import lower
from tilecast.compiler.options import resolve_options
from tilecast.compiler.runtime.model import CompiledModel, Frame
from tilecast.dialects.errors import MemoryBudgetError

from examples import keyword_spotting, mobilenet_v2

from .engines import Inputs
from .machine import result_head

TARGET = "c99"
NETWORKS = {
    **{str(n): (lambda n=n: mobilenet_v2.network(0.35, n)) for n in (96, 128, 144, 160)},
    "words": keyword_spotting.model,
}
PARTS = (2, 4, 8)
HUGE = 1 << 40
GUARD = 4096  # bytes behind the arena


def plan(model: Any, inputs: Inputs, budget: int) -> Any:
    """The choice for a budget; MemoryBudgetError where there is none."""
    settings = resolve_options(
        {"target": TARGET, "max_memory": budget, "stop_after": "simplify", "cache": False}
    )
    return lower(model_job(model, inputs, None, settings), Progress(False)).ctx.memory


def least_bytes(model: Any, inputs: Inputs) -> int:
    """The smallest budget for which there is a plan."""
    try:
        plan(model, inputs, 64)
    except MemoryBudgetError as error:
        return int(re.findall(r"at least (\d+)", str(error))[0])
    return 64


def rows(name: str) -> list[dict[str, Any]]:
    """Plain plan, parts of it, and the least that there is."""
    model, inputs = NETWORKS[name]()
    plain = plan(model, inputs, HUGE).plain_bytes
    least = least_bytes(model, inputs)
    budgets = [plain // part for part in PARTS if plain // part > least]
    arrays = sum(x.numel() * x.element_size() for x in (*inputs, model(*inputs)))
    found = []
    for budget in (plain, *budgets, least):
        choice = plan(model, inputs, budget)
        patches = [" x ".join(map(str, stage.grid)) for stage in choice.stages]
        found.append(
            {
                "network": name,
                "budget": budget,
                "bytes": choice.bytes,
                "plain_bytes": plain,
                "inputs_and_outputs": arrays,
                "extra": choice.extra,
                "grids": patches,
                "again": [one.layer for one in choice.again],
            }
        )
        changes = ", ".join([*patches, *(f"{one.layer} again" for one in choice.again)])
        print(f"{name:>6} {budget:9} {choice.bytes:9} {choice.extra:+7.1%}  {changes}")
    return found


def touched_bytes(compiled: CompiledModel, inputs: Inputs) -> int:
    """Bytes of the arena that a call writes, found by calling with two patterns in it; an error
    where it writes beyond the arena."""
    size, signature = compiled.artifact.arena_bytes, compiled.artifact.signature
    seen = np.zeros(size + GUARD, bool)
    for pattern in (0x00, 0xA5):
        frame = Frame(len(signature.inputs), len(signature.results), size + GUARD)
        frame.memory[:] = pattern
        compiled._frames[:] = [frame]
        compiled(*inputs)
        seen |= frame.memory[: size + GUARD] != pattern
    if seen[size:].any():
        raise RuntimeError(f"{compiled.artifact.name} writes beyond its arena of {size} bytes")
    return int(seen.sum())


def verified(case: str) -> dict[str, Any]:
    """A row compiled and checked in full; part 1 is the plain plan, part 0 the least memory."""
    name, _, part = case.partition("/")
    model, inputs = NETWORKS[name]()
    budget = least_bytes(model, inputs)
    if int(part):
        budget = plan(model, inputs, HUGE).plain_bytes // int(part)
    compiled = tilecast.compile(
        model, inputs, target=TARGET, max_memory=budget, cache=False, progress=True
    )
    results = compiled.artifact.report
    assert results is not None
    worst = max(results.results, key=lambda result: result.margin)
    found = {
        "case": case,
        "budget": budget,
        "arena_bytes": compiled.artifact.arena_bytes,
        "touched_bytes": touched_bytes(compiled, inputs),
        "memory": compiled.artifact.memory,
        "checks": len(results.results),
        "worst_share_of_bound": worst.margin,
    }
    print({key: value for key, value in found.items() if key != "memory"}, flush=True)
    return found


def merged(
    before: list[dict[str, Any]], new: list[dict[str, Any]], key: tuple[str, ...]
) -> list[dict[str, Any]]:
    """All rows, the new ones in place of older ones with equal `key`."""
    rows = {tuple(row[k] for k in key): row for row in [*before, *new]}
    return list(rows.values())


def main() -> None:
    """Plan all rows, verify those that are named, write a result file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--verify", nargs="*", default=[], metavar="NETWORK/PART")
    parser.add_argument("--output", type=Path, help="JSON file to write; other rows in it stay")
    options = parser.parse_args()
    planned = [row for name in options.networks for row in rows(name)]
    checked = [verified(case) for case in options.verify]
    if options.output is not None:
        before = json.loads(options.output.read_text()) if options.output.exists() else {}
        result = {
            **result_head("benchmarks.memory"),
            "rows": merged(before.get("rows", []), planned, ("network", "budget")),
            "verified": merged(before.get("verified", []), checked, ("case",)),
        }
        options.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
