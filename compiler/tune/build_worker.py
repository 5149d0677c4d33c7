"""One process that makes shared libraries of candidates: lower, emit, call the C compiler.

    python -m tilecast.compiler.tune.build_worker TASK_FOLDER

Each line on stdin is a request `{"steps": text, "output": path}`, each on stdout its answer: the
library's facts, or `{"failure": kind, "detail": text}`.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from xdsl.dialects.builtin import FixedBitwidthType, Float32Type, Float64Type, ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute
from xdsl.parser import Parser

from ...codegen.c import emit_unit
from ...dialects.errors import IllegalScheduleError
from ...dialects.poly import ScopOp
from ...passes.context import CompileContext
from ...passes.loops.kernel_interface import KernelInterface
from ...passes.loops.pack_weights import pack_array
from ...passes.poly.rules.schedule import apply_recorded
from ...passes.registry import load_pass
from ..options import compiler_environment
from ..pipeline import PIPELINE
from .serve import limit_memory, serve
from .task import MeasureTask

SCHEDULED_TO_LOOPS = (
    "lower-scop",
    "promote-buffers",
    "eliminate-common-subexpressions",
    "eliminate-dead-values",
)
[MODEL_TO_LOOPS] = [s.passes for s in PIPELINE if s.name == "loops"]
SHOWN = 1000


def scheduled_loops(module: ModuleOp, steps: str, context: CompileContext) -> FuncOp:
    """The kernel of `module`, which holds one scop, under `steps`. `module` is used up."""
    [scop] = [op for op in module.ops if isinstance(op, ScopOp)]
    scop.properties["schedule"] = StringAttr(steps)
    for name in SCHEDULED_TO_LOOPS:
        load_pass(name)().apply(context, module)
    [func] = [op for op in module.ops if isinstance(op, FuncOp)]
    return func


def scheduled_kernel(module: ModuleOp, text: str, context: CompileContext) -> FuncOp:
    """The kernel of a model under the recorded schedule `text`, as a compilation makes it."""
    [scop] = [op for op in module.ops if isinstance(op, ScopOp)]
    apply_recorded(scop, context.machine, context.threads, text)
    for name in MODEL_TO_LOOPS:
        if name != "lower-opaque":  # of kernels that are no scops
            load_pass(name)().apply(context, module)
    [func] = [op for op in module.ops if isinstance(op, FuncOp)]
    return func


def numpy_name(element: Attribute) -> str:
    """The numpy type of scratch elements."""
    if isinstance(element, Float64Type):
        return "float64"
    if isinstance(element, Float32Type):
        return "float32"
    assert isinstance(element, FixedBitwidthType)
    return f"int{max(8, element.bitwidth)}"


class Builder:
    """Builds candidates of one task; the scop is parsed once."""

    def __init__(self, task: MeasureTask) -> None:
        self.task = task
        self.context = CompileContext(machine=task.machine, threads=task.threads)
        self.module = Parser(self.context, task.scop_text).parse_module()

    def __call__(self, request: dict[str, Any]) -> dict[str, Any]:
        """Build one candidate."""
        start = time.perf_counter()
        try:
            lower = scheduled_kernel if self.task.origin == "model" else scheduled_loops
            func = lower(self.module.clone(), request["steps"], self.context)
        except IllegalScheduleError as error:
            return {"failure": "illegal", "detail": str(error)}
        except Exception as error:  # whatever a candidate makes a pass do is its failure
            return {"failure": "lowering", "detail": f"{type(error).__name__}: {error}"[:SHOWN]}
        text = emit_unit([func], self.task.machine)
        lowered = time.perf_counter()
        library = Path(request["output"])
        source = library.with_suffix(".c")
        source.write_text(text, encoding="utf-8")
        command = [
            *self.task.compiler,
            *self.task.include,
            "-shared",
            "-fPIC",
            str(source),
            "-o",
            str(library),
            "-lm",
        ]
        done = subprocess.run(command, env=compiler_environment(), capture_output=True, text=True)
        if done.returncode != 0:
            return {"failure": "build", "detail": done.stderr[:SHOWN]}
        extra = [a.type for a in list(func.body.block.args)[len(self.task.arguments) :]]
        return {
            "library": str(library),
            "scratch": [[list(t.get_shape()), numpy_name(t.element_type)] for t in extra],  # type: ignore[attr-defined]
            "packed": self.packed(func),
            "lower_s": lowered - start,
            "compile_s": time.perf_counter() - lowered,
        }

    def packed(self, func: FuncOp) -> dict[str, str]:
        """Files with the weights that the kernel wants in another arrangement, by argument."""
        interface = KernelInterface(func)
        files = {}
        for k, pack in interface.packs.items():
            argument = self.task.arguments[k]
            shape = tuple(interface.type_of(k).get_shape())
            digest = hashlib.blake2b(f"{pack} {shape}".encode(), digest_size=8).hexdigest()
            path = self.task.folder / f"{argument.name}.{digest}.npy"
            if not path.exists():
                part = path.with_suffix(f".{os.getpid()}.part.npy")
                np.save(part, pack_array(np.array(self.task.initial(argument)), pack, shape))
                part.rename(path)
            files[argument.name] = str(path)
        return files


if __name__ == "__main__":
    chosen = MeasureTask.read(Path(sys.argv[1]))
    limit_memory(chosen.memory_bytes)
    serve(Builder(chosen))
