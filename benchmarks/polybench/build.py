"""From a benchmark to a C function that can be called: lower, emit, compile, load."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tilecast.codegen.c import emit_unit
from tilecast.compiler.frontend.kernel_language import BoundKernel
from tilecast.costmodel.hardware import Machine
from tilecast.passes.context import CompileContext
from tilecast.passes.registry import load_pass
from xdsl.dialects.func import FuncOp

from .benchmark import Benchmark, Data

# The identity schedule is plain C: what happens to it is the C compiler's doing.
PLAIN = Machine("plain", "scalar")
ORIGINAL_ORDER = (
    "extract-affine",
    "lower-scop",
    "promote-buffers",
    "eliminate-common-subexpressions",
    "eliminate-dead-values",
)
# The default schedule of model kernels: only for kernels that distribute into separate nests.
DEFAULT_SCHEDULE = ("extract-affine", "distribute-nests", "schedule", *ORIGINAL_ORDER[1:])
WARNINGS = ("-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror")
BASELINE_FLAGS = ("-O3", "-march=native", "-ffp-contract=fast", "-fno-math-errno")


def lower(
    bound: BoundKernel, passes: Sequence[str] = ORIGINAL_ORDER, machine: Machine = PLAIN
) -> FuncOp:
    """The kernel at the loops level."""
    context, module = CompileContext(machine=machine), bound.module()
    for name in passes:
        load_pass(name)().apply(context, module)
    module.verify()
    func = module.body.block.first_op
    assert isinstance(func, FuncOp)
    return func


@dataclass
class NativeKernel:
    """A compiled kernel. `scratch` holds what it needs besides its arguments."""

    function: Any
    names: tuple[str, ...]
    scratch: tuple[np.ndarray, ...] = ()

    def __call__(self, data: Data) -> None:
        """Run on `data` in place; arrays must be contiguous."""
        arrays = [*(np.asarray(data[name]) for name in self.names), *self.scratch]
        assert all(a.flags.c_contiguous for a in arrays)
        self.function(*(ctypes.c_void_p(a.ctypes.data) for a in arrays))


def build(
    benchmark: Benchmark,
    dataset: str,
    folder: Path,
    flags: Sequence[str],
    passes: Sequence[str] = ORIGINAL_ORDER,
    machine: Machine = PLAIN,
) -> NativeKernel:
    """Emit, compile with gcc (or cc) and load; warnings are errors."""
    folder.mkdir(parents=True, exist_ok=True)
    bound = benchmark.bind(dataset)
    func = lower(bound, passes, machine)
    source = folder / f"{benchmark.name}_{dataset}.c"
    source.write_text(emit_unit([func], machine))
    library = source.with_suffix(".so")
    compiler = shutil.which("gcc") or "cc"
    command = [compiler, *WARNINGS, *flags, "-shared", "-fPIC", str(source), "-o", str(library)]
    done = subprocess.run([*command, "-lm"], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr[:4000]}")
    function = ctypes.CDLL(str(library))[func.sym_name.data]
    function.restype = None
    names = tuple(p.name for p in bound.parameters)
    extra = [a.type for a in list(func.body.block.args)[len(names) :]]
    scratch = tuple(np.empty(t.get_shape()) for t in extra)  # type: ignore[attr-defined]
    return NativeKernel(function, names, scratch)
