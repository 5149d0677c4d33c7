"""One engine in a process of its own that builds and runs the cases of a suite when asked.

Requests are JSON lines on stdin, `{"build": case}` or `{"run": case, "seconds": s}`; answers are
JSON lines on the original stdout; whatever libraries print goes to stderr.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import torch

from ..models import input_variants
from ..worker import build_checked, run_for
from .case import Case
from .suites import load_suite

# Inputs change from call to call; large ones need no variants to leave the caches.
VARIANTS = 3
WIDE = "tilecast-f32"  # tilecast on the same case with all floats in f32


def main(engine: str, suite: str, threads: int) -> None:
    """Serve requests until the end of stdin."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    cases = load_suite(suite)
    built: dict[str, tuple[Any, list[Any]]] = {}
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if "build" in request:
                name = request["build"]
                program, inputs, answer = build(engine, cases[name], threads)
                built[name] = program, inputs
            else:
                program, inputs = built[request["run"]]
                answer = {"times": run_for(program, inputs, request["seconds"])}
        except Exception as error:  # any engine may fail in any way; the parent reports it
            answer = {"failed": f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"}
        answers.write(json.dumps(answer) + "\n")


def build(engine: str, case: Case, threads: int) -> tuple[Any, list[Any], dict[str, Any]]:
    """Build and check a case: program, inputs to run it on, and facts for the result."""
    module, inputs = case.make()
    if engine == WIDE:
        module, inputs, engine = module.float(), tuple(x.float() for x in inputs), "tilecast"
    program, seconds, accuracy = build_checked(engine, module, inputs, threads)
    facts = {"build_seconds": round(seconds, 3), "error": accuracy.error}
    return program, input_variants(inputs, VARIANTS), facts


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
