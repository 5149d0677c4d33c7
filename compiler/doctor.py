"""What this machine offers to tilecast, and how to fix what is missing."""

from __future__ import annotations

import ctypes
import platform
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from ..dialects.errors import CompilerNotFoundError, TilecastError
from .runtime.cache import cache_directory, open_store, problem_of
from .runtime.toolchain import build_library, find_toolchain
from .target import native_machine, physical_cores

State = Literal["ok", "warning", "broken"]
PINNED_XDSL = "0.74.0"
LEAST_ROOM = 1 << 30  # bytes


@dataclass(frozen=True)
class Finding:
    """One line of the report. `fix` says what to do where the state is not ok."""

    subject: str
    state: State
    found: str
    fix: str = ""


def examine() -> list[Finding]:
    """All findings, most basic first."""
    checks: tuple[Callable[[], Finding], ...] = (
        examine_python,
        examine_compiler,
        examine_openmp,
        examine_cpu,
        examine_torch,
        examine_xdsl,
        examine_islpy,
        examine_cache,
        examine_room,
        examine_loading,
    )
    return [check() for check in checks]


def examine_python() -> Finding:
    """The interpreter and the operating system."""
    return Finding("python", "ok", f"{platform.python_version()} on {platform.platform()}")


def examine_compiler() -> Finding:
    """A C compiler; without one sources can be emitted but not built."""
    try:
        toolchain = find_toolchain()
    except CompilerNotFoundError as error:
        return Finding("compiler", "broken", "no working C compiler", str(error))
    return Finding("compiler", "ok", f"{toolchain.identity} ({toolchain.command[0]})")


def examine_openmp() -> Finding:
    """OpenMP in the compiler; without it programs run on one thread."""
    try:
        toolchain = find_toolchain()
    except CompilerNotFoundError:
        return Finding("openmp", "warning", "unknown without a compiler", "see compiler")
    if toolchain.openmp:
        return Finding("openmp", "ok", f"{toolchain.kind} accepts -fopenmp")
    fix = "install the OpenMP runtime of the compiler (gcc: libgomp1, clang: libomp-dev)"
    return Finding("openmp", "warning", "programs will run on one thread", fix)


def examine_cpu() -> Finding:
    """The vector unit that target=native compiles for."""
    machine = native_machine()
    found = f"{machine.name}, {machine.isa}, {physical_cores()} physical cores for this process"
    if machine.isa == "scalar":
        fix = "vector code needs AVX2 with FMA, or AVX-512; scalar code is correct but slow"
        return Finding("cpu", "warning", found, fix)
    return Finding("cpu", "ok", found)


def examine_torch() -> Finding:
    """The installed PyTorch; import is not needed to tell its version."""
    found = _version("torch")
    if found is None:
        return Finding("torch", "broken", "not installed", "pip install 'torch>=2.9'")
    major, minor = (int(part) for part in found.split(".")[:2])
    if (major, minor) < (2, 9):
        return Finding("torch", "broken", found, "pip install 'torch>=2.9'")
    return Finding("torch", "ok", found)


def examine_xdsl() -> Finding:
    """xDSL changes between releases; one version is known to work."""
    found = _version("xdsl")
    if found == PINNED_XDSL:
        return Finding("xdsl", "ok", found)
    state: State = "broken" if found is None else "warning"
    return Finding("xdsl", state, found or "not installed", f"pip install xdsl=={PINNED_XDSL}")


def examine_islpy() -> Finding:
    """The polyhedral library."""
    found = _version("islpy")
    if found is None:
        return Finding("islpy", "broken", "not installed", "pip install islpy")
    return Finding("islpy", "ok", found)


def examine_cache() -> Finding:
    """The cache folder can be written and is private."""
    root = cache_directory()
    problem = problem_of(root)
    if problem is None:
        return Finding("cache", "ok", str(root))
    return Finding("cache", "warning", problem, "set TILECAST_CACHE_DIR to a folder of your own")


def examine_room() -> Finding:
    """Free space where results are cached and where the C compiler works."""
    folders = {"cache": open_store().root, "temporary files": Path(tempfile.gettempdir())}
    free = {name: shutil.disk_usage(folder).free for name, folder in folders.items()}
    found = ", ".join(f"{name} {size / 2**30:.1f} GiB" for name, size in free.items())
    if min(free.values()) >= LEAST_ROOM:
        return Finding("room", "ok", found)
    fix = "tilecast cache clear, or set TILECAST_CACHE_DIR and TMPDIR to folders with more room"
    return Finding("room", "warning", found, fix)


def examine_loading() -> Finding:
    """What is built can be loaded: folders may be mounted so that nothing in them is executed."""
    source = {"probe.c": "int probe(void);\nint probe(void) { return 42; }\n"}
    store = open_store()
    try:
        content = build_library(source, find_toolchain(), native_machine(), open_store(False))
        with store.scratch_file(content) as path:
            answer = ctypes.CDLL(str(path)).probe()
    except (TilecastError, OSError) as error:
        fix = "set TILECAST_CACHE_DIR to a folder that is not mounted noexec"
        return Finding("loading", "broken", " ".join(str(error).split())[:200], fix)
    if answer != 42:
        return Finding("loading", "broken", f"built code answers {answer}, not 42", "change CC")
    return Finding("loading", "ok", f"a library in {store.root} runs")


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
