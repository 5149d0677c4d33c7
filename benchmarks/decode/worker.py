"""One engine in a process of its own: it builds the engine or runs it, and first says that it can.

Then `{"run": "decode" or "prefill", "seconds": s}` as JSON lines on stdin, seconds per call as JSON
lines on the original stdout.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

import torch

from ..turns import run_for
from .engines import build, calls_of
from .model import SHAPES


def main(step: str, engine: str, shape: str, threads: int, folder: Path, *kinds: str) -> None:
    """Build (`step` "build"), or serve requests until the end of stdin."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    answer: dict[str, Any] = {"ready": engine}
    try:
        if step == "build":
            build(engine, SHAPES[shape], threads, folder, kinds)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            answer["peak_gib"] = round(peak / 2**20, 2)
        else:
            calls = calls_of(engine, SHAPES[shape], threads, folder, kinds)
    except Exception as error:  # any engine may fail in any way; the parent reports it
        answer = {"failed": f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"}
    answers.write(json.dumps(answer) + "\n")
    if step == "build":
        return
    for line in sys.stdin:
        request = json.loads(line)
        times = run_for(calls[request["run"]], request["seconds"])
        answers.write(json.dumps({"times": times}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:4], int(sys.argv[4]), Path(sys.argv[5]), *sys.argv[6:])
