"""Compile emitted C with the system compiler and call it through ctypes."""

from __future__ import annotations

import ctypes
import hashlib
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from tilecast.costmodel.hardware import Machine

sys.path.insert(0, str(Path(__file__).parent))

from avx512_in_c import header

MACHINES = {
    "scalar": Machine("scalar", "scalar"),
    "neon": Machine("aarch64", "neon", vector_bytes=16, vector_registers=32),
    "avx2": Machine("x86-64-v3", "avx2", vector_bytes=32),
    "avx512": Machine("x86-64-v4", "avx512", vector_bytes=64, vector_registers=32),
}
# Vectors of the GNU extensions work on any CPU; only how they are passed may differ. Those that the
# CPU lacks cost gcc half a minute per file where it optimizes them.
FLAGS = {
    "scalar": [],
    "neon": ["-Wno-psabi", *([] if platform.machine() == "aarch64" else ["-Og"])],
    "avx2": ["-march=x86-64-v3"],
    "avx512": ["-march=x86-64-v4"],
}
EMULATED = ["-std=c11", "-O1", "-ffp-contract=off", "-march=x86-64-v3", "-Wno-psabi"]
STRICT = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-ffp-contract=off"]


def _run_compiler(compiler: str, arguments: Sequence[str]) -> None:
    done = subprocess.run([compiler, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:4000]


@pytest.fixture(
    params=[
        "scalar",
        "neon",
        pytest.param("avx2", marks=pytest.mark.isa("avx2")),
        pytest.param("avx512", marks=pytest.mark.isa("avx512")),
    ],
    scope="module",
)
def machine(request: pytest.FixtureRequest) -> Machine:
    """Each ISA that this CPU can run; AVX-512 also in plain C (slow)."""
    return MACHINES[request.param]


@pytest.fixture(scope="session")
def build(
    tmp_path_factory: pytest.TempPathFactory, lacks: Callable[[str], list[str]]
) -> Callable[..., ctypes.CDLL]:
    """build(source, machine, *flags): a loaded library; warnings are errors.

    Where the CPU lacks AVX-512, its intrinsics are functions in C.
    """
    folder = tmp_path_factory.mktemp("c")
    emulated = folder / "avx512_in_c.h"

    def compile_and_load(source: str, machine: Machine, *flags: str) -> ctypes.CDLL:
        stem = hashlib.blake2b((source + machine.isa).encode(), digest_size=8).hexdigest()
        path = folder / f"{stem}.c"
        path.write_text(source)
        library = path.with_suffix(".so")
        options = [*STRICT, "-O2", "-fno-math-errno", *flags, *FLAGS[machine.isa]]
        if machine.isa == "avx512" and lacks("avx512"):
            if "__asm__" in source:
                pytest.skip("inline assembly needs AVX-512")
            if not emulated.exists():
                emulated.write_text(header())
            options = [*EMULATED, *flags, "-include", str(emulated)]
        gcc = shutil.which("gcc") or "cc"
        _run_compiler(gcc, [*options, "-shared", "-fPIC", str(path), "-o", str(library), "-lm"])
        return ctypes.CDLL(str(library))

    return compile_and_load


@pytest.fixture(scope="session")
def call() -> Callable[..., None]:
    """call(library, name, *arrays): run a kernel on numpy arrays."""

    def run(library: ctypes.CDLL, name: str, *arrays: np.ndarray) -> None:
        getattr(library, name)(*(ctypes.c_void_p(a.ctypes.data) for a in arrays))

    return run


@pytest.fixture(scope="session")
def check_with_clang(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., None]:
    """check_with_clang(source, machine): the source is clean under clang, where installed."""
    folder = tmp_path_factory.mktemp("clang")

    def check(source: str, machine: Machine) -> None:
        clang = shutil.which("clang")
        if clang is None:
            pytest.skip("clang is not installed")
        path = folder / f"{machine.isa}.c"
        path.write_text(source)
        _run_compiler(clang, [*STRICT, "-O1", *FLAGS[machine.isa], "-fsyntax-only", str(path)])

    return check
