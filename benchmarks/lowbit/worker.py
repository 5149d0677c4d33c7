"""One engine (ours, or a peer) in a process of its own, which builds and runs cells when asked.

Requests are JSON lines on stdin, `{"build": cell}`, `{"run": name, "seconds": s}` or `{"drop": 1}`;
answers are JSON lines on the original stdout.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .cells import Cell
from .ours import CompiledCell, build_source
from .peers import make_peer

STREAM = "stream"
SOURCE = Path(__file__).with_name("stream.c")
STREAM_BYTES = 256 << 20


def main(engine: str, threads: int, folder: Path) -> None:
    """Serve requests until the end of stdin."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    built: dict[str, tuple[Any, int]] = {}
    for line in sys.stdin:
        request = json.loads(line)
        answer: dict[str, Any] = {}
        try:
            if "drop" in request:
                built.clear()
            elif "build" in request:
                cell = Cell(**request["build"])
                is_timed = request["timed"]
                if engine == "ours":
                    answer["margin"] = build_ours(cell, folder, threads, built, is_timed)
                elif is_timed:
                    shape = (cell.rows, cell.outputs, cell.columns)
                    built[cell.name] = make_peer(engine, shape)
            else:
                call, count = built[request["run"]]
                answer["times"] = run_for(call, count, request["seconds"])
        except Exception as error:  # any engine may fail in any way; the parent reports it
            answer = {"failed": f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"}
        answers.write(json.dumps(answer) + "\n")


def build_ours(
    cell: Cell, folder: Path, threads: int, built: dict[str, tuple[Any, int]], is_timed: bool
) -> float:
    """Build and check a cell, and have it ready to be timed; the streaming read too."""
    compiled = CompiledCell(cell, folder, threads)
    margin = compiled.check()
    if not margin <= 1:
        raise ValueError(f"the result is off by {margin} times what is allowed")
    if is_timed:
        built[cell.name] = compiled.rotating(), 1
        if STREAM not in built:
            built[STREAM] = stream_call(compiled, folder), 1
    return margin


def stream_call(compiled: CompiledCell, folder: Path) -> Any:
    """A call that reads STREAM_BYTES."""
    library = ctypes.CDLL(str(build_source(SOURCE.read_text(), folder, compiled.machine)))
    data = np.ones(STREAM_BYTES + 64, np.uint8)
    start = data.ctypes.data + -data.ctypes.data % 64
    arguments = ctypes.c_void_p(start), ctypes.c_ssize_t(STREAM_BYTES // 64)
    return lambda: (library.tc_stream(*arguments), data)


def run_for(call: Any, count: int, seconds: float) -> list[float]:
    """Seconds per product of each call, calling for about `seconds`."""
    times: list[float] = []
    call()
    end = time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        times.append((time.perf_counter() - start) / count)
    return times


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
