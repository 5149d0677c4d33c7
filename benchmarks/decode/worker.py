"""One engine in a process of its own: `{"run": "decode" or "prefill", "seconds": s}` as JSON lines
on stdin, seconds per call as JSON lines on the original stdout. It first answers that it is ready.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import torch

from ..turns import run_for
from .engines import calls_of
from .model import SHAPES


def main(engine: str, shape: str, threads: int, folder: Path) -> None:
    """Serve requests until the end of stdin."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    answer: dict[str, Any] = {"ready": engine}
    try:
        calls = calls_of(engine, SHAPES[shape], threads, folder)
    except Exception as error:  # any engine may fail in any way; the parent reports it
        answer = {"failed": f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"}
    answers.write(json.dumps(answer) + "\n")
    for line in sys.stdin:
        request = json.loads(line)
        times = run_for(calls[request["run"]], request["seconds"])
        answers.write(json.dumps({"times": times}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
