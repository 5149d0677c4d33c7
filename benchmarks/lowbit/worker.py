"""One engine (ours, or a peer) in a process of its own, which builds and runs cells when asked.

Requests are JSON lines on stdin: `{"build": cell}` compiles and checks, `{"load": cell}` and
`{"stream": 1}` make ready, then `{"run": name, "seconds": s}`, and `{"drop": 1}` at the end.
Answers are JSON lines on the original stdout.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tilecast.compiler.target import native_machine

from ..turns import run_for
from .built import BuiltCell, Pools
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
    pools = Pools()
    for line in sys.stdin:
        request = json.loads(line)
        answer: dict[str, Any] = {}
        try:
            if "drop" in request:
                built.clear()
            elif "build" in request:
                answer["margin"] = build_ours(Cell(**request["build"]), folder, threads)
            elif "load" in request:
                cell = Cell(**request["load"])
                if engine == "ours":
                    call = BuiltCell.read(cell, folder, threads).rotating(cell, folder, pools)
                    built[cell.name] = call, 1
                else:
                    shape = (cell.rows, cell.outputs, cell.columns)
                    built[cell.name] = make_peer(engine, shape)
            elif "stream" in request:
                built[STREAM] = stream_call(folder), 1
            else:
                call, count = built[request["run"]]
                answer["times"] = [t / count for t in run_for(call, request["seconds"])]
        except Exception as error:  # any engine may fail in any way; the parent reports it
            answer = {"failed": f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"}
        answers.write(json.dumps(answer) + "\n")


def build_ours(cell: Cell, folder: Path, threads: int) -> float:
    """Build and check a cell, and leave its description; the error over the allowed one."""
    compiled = CompiledCell(cell, folder, threads)
    margin = compiled.check()
    if not margin <= 1:
        raise ValueError(f"the result is off by {margin} times what is allowed")
    compiled.description(margin).write(cell, folder, threads)
    return margin


def stream_call(folder: Path) -> Any:
    """A call that reads STREAM_BYTES."""
    library = ctypes.CDLL(str(build_source(SOURCE.read_text(), folder, native_machine())))
    data = np.ones(STREAM_BYTES + 64, np.uint8)
    start = data.ctypes.data + -data.ctypes.data % 64
    arguments = ctypes.c_void_p(start), ctypes.c_ssize_t(STREAM_BYTES // 64)
    return lambda: (library.tc_stream(*arguments), data)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
