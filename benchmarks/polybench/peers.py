"""Other compilers on the same C: gcc as the baseline, clang with Polly where it is installed."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from tilecast.compiler.tune.libraries import Library

from .build import BASELINE_FLAGS
from .kernel_task import KernelTask

POLLY = ("-mllvm", "-polly", "-mllvm", "-polly-vectorizer=stripmine")
PARALLEL = ("-mllvm", "-polly-parallel")
COMPILE_SECONDS = 120.0


class PeerUnavailable(Exception):
    """A peer is not installed, or cannot compile a kernel; says why."""


def _scratch(kernel: KernelTask) -> tuple[tuple[tuple[int, ...], str], ...]:
    """What the untransformed program needs besides its arguments."""
    from .build import lower

    func = lower(kernel.benchmark.bind(kernel.dataset))
    extra = list(func.body.block.args)[len(kernel.task.arguments) :]
    return tuple((tuple(a.type.get_shape()), "float64") for a in extra)  # type: ignore[attr-defined]


def _run(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMPILE_SECONDS)
    except subprocess.TimeoutExpired:
        raise PeerUnavailable(f"{command[0]} took more than {COMPILE_SECONDS:.0f} s") from None
    if done.returncode != 0:
        raise PeerUnavailable(done.stderr.strip()[-500:])


def compile_gcc(kernel: KernelTask, nested: bool) -> Library:
    """gcc -O3 -march=native of the untransformed nest, with nested or with flat arrays."""
    source = kernel.task.folder / f"gcc_{'nested' if nested else 'flat'}.c"
    source.write_text(kernel.nested_c if nested else kernel.flat_c, encoding="utf-8")
    library = source.with_suffix(".so")
    command = [kernel.task.compiler[0], "-std=c11", *BASELINE_FLAGS, "-shared", "-fPIC"]
    _run([*command, str(source), "-o", str(library), "-lm"])
    return Library(str(library), _scratch(kernel))


@cache
def clang_with_polly() -> str:
    """The newest clang that knows Polly's options; PeerUnavailable where there is none."""
    names = [f"clang-{version}" for version in range(25, 13, -1)] + ["clang"]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "empty.c"
        source.write_text("int x;\n")
        for path in filter(None, map(shutil.which, names)):
            command = [path, "-O3", *POLLY, "-c", str(source), "-o", f"{source}.o"]
            if subprocess.run(command, capture_output=True).returncode == 0:
                return path
    raise PeerUnavailable("no clang with Polly is installed")


def compile_polly(kernel: KernelTask, nested: bool, threads: int) -> Library:
    """clang -O3 -march=native with Polly; its OpenMP calls go to gcc's runtime."""
    clang = clang_with_polly()
    suffix = f"{'nested' if nested else 'flat'}_{threads}"
    source = kernel.task.folder / f"polly_{suffix}.c"
    source.write_text(kernel.nested_c if nested else kernel.flat_c, encoding="utf-8")
    parallel = PARALLEL if threads > 1 else ()
    unit, library = source.with_suffix(".o"), source.with_suffix(".so")
    options = ["-std=c11", *BASELINE_FLAGS, *POLLY, *parallel, "-fPIC"]
    _run([clang, *options, "-c", str(source), "-o", str(unit)])
    link = [kernel.task.compiler[0], "-fopenmp", "-shared", str(unit), "-o", str(library), "-lm"]
    _run(link)
    return Library(str(library), _scratch(kernel))
