"""The C compiler: find it, know what it is, and turn translation units into a shared library."""

from __future__ import annotations

import hashlib
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ...costmodel.hardware import Machine
from ...dialects.errors import BuildError, CacheError, CompilerNotFoundError, RefusedSourceError
from ...passes.timing import span
from ..logging import log
from ..options import compiler_environment
from ..target import architecture_flags, physical_cores
from .cache import Store

# No -ffast-math: the IR says where sums may be reassociated and where an fma is allowed.
FLAGS = ("-std=c11", "-O2", "-fPIC", "-ffp-contract=off", "-fno-math-errno", "-fno-plt")
# CUDA on the CPU; a library has the state of its emulated device for itself.
CUDA_FLAGS = (
    *("-std=c++17", "-O2", "-fPIC", "-ffp-contract=off", "-fno-math-errno", "-fno-gnu-unique"),
)
LINK_FLAGS = ("-shared", "-lm")
SHOWN_LINES = 12
CPP_CANDIDATES = ("g++", "clang++")
CANDIDATES = ("cc", "gcc", "clang")


@dataclass(frozen=True)
class Toolchain:
    """A working C compiler. `kind` is gcc or clang, `identity` its whole version text."""

    command: tuple[str, ...]
    kind: str
    version: str
    identity: str
    openmp: bool

    def flags(self, machine: Machine) -> tuple[str, ...]:
        """Compile flags for `machine`; they decide the code, so they are part of cache keys."""
        if machine.is_gpu:
            return CUDA_FLAGS
        parallel = ("-fopenmp",) if self.openmp and machine.name != "c99" else ()
        return (*FLAGS, *parallel, *architecture_flags(machine, self.kind, self.version))

    def compile(self, source: Path, output: Path, flags: Sequence[str]) -> None:
        """Compile one C file to an object file; BuildError with the compiler's words."""
        language: tuple[str, ...] = ()
        if source.suffix == ".cu":
            language = ("-x", "c++")
        elif any(flag.startswith("-std=c++") for flag in flags):  # C files of a CUDA package
            flags = [f for f in flags if not f.startswith(("-std=c++", "-fno-gnu-unique"))]
            language = ("-x", "c")
        arguments = [*self.command, *flags, *language, "-c", source.name, "-o", str(output)]
        self.run(arguments, source.parent)

    def link(self, objects: Sequence[Path], output: Path, flags: Sequence[str]) -> None:
        """Link object files to a shared library."""
        arguments = [*self.command, *flags, *map(str, objects), "-o", str(output), *LINK_FLAGS]
        self.run(arguments, output.parent)

    def run(self, arguments: Sequence[str], folder: Path) -> None:
        """Run the compiler; never through a shell."""
        try:
            done = subprocess.run(
                arguments, cwd=folder, env=compiler_environment(), capture_output=True, text=True
            )
        except OSError as error:
            raise CompilerNotFoundError(f"{arguments[0]} cannot be run: {error}") from error
        if done.returncode == 0:
            return
        lines = done.stderr.strip().splitlines()
        raise RefusedSourceError(
            f"{self.kind} {self.version} refused generated code (exit code {done.returncode}); "
            f"the source is kept in {folder}\n"
            f"  {shlex.join(arguments)}\n  " + "\n  ".join(lines[:SHOWN_LINES])
        )


def toolchain_for(machine: Machine) -> Toolchain:
    """The compiler that builds for `machine`: for a GPU the C++ one, with host emulation."""
    if not machine.is_gpu:
        return find_toolchain()
    path = compiler_environment().get("PATH", "")
    for name in CPP_CANDIDATES:
        executable = shutil.which(name, path=path)
        toolchain = identify((executable,)) if executable is not None else None
        if toolchain is not None:
            return toolchain
    raise CompilerNotFoundError(
        f"no working C++ compiler for {machine.name}: {', '.join(CPP_CANDIDATES)} are not on PATH. "
        "Install g++, or write the sources with tilecast.emit"
    )


def find_toolchain() -> Toolchain:
    """The compiler named by CC, else the first of cc, gcc, clang; CompilerNotFoundError if none."""
    environment = compiler_environment()
    return probe_candidates(environment.get("CC", ""), environment.get("PATH", ""))


@cache
def probe_candidates(chosen: str, path: str) -> Toolchain:
    """The first candidate that answers `--version`."""
    candidates = [shlex.split(chosen)] if chosen.strip() else [[name] for name in CANDIDATES]
    for candidate in candidates:
        executable = shutil.which(candidate[0], path=path)
        if executable is None:
            continue
        toolchain = identify((executable, *candidate[1:]))
        if toolchain is not None:
            return toolchain
    wanted = f"CC={chosen!r} names none" if chosen.strip() else "cc, gcc and clang are not on PATH"
    raise CompilerNotFoundError(
        f"no working C compiler: {wanted}. Install one (Debian, Ubuntu: apt install gcc; Fedora: "
        "dnf install gcc; macOS: xcode-select --install) or set CC to its path"
    )


def identify(command: tuple[str, ...]) -> Toolchain | None:
    """What kind of compiler `command` is; None where it does not work."""
    try:
        done = subprocess.run(
            [*command, "--version"], env=compiler_environment(), capture_output=True, text=True
        )
    except OSError:
        return None
    found = re.search(r"\b(\d+\.\d+(?:\.\d+)?)\b", done.stdout)
    if done.returncode != 0 or found is None:
        return None
    kind = "clang" if "clang" in done.stdout.lower() else "gcc"
    # The name the compiler was called by is no property of its code.
    identity = done.stdout.partition("\n")[0].partition(" ")[2]
    return Toolchain(command, kind, found[1], f"{kind} {identity}", accepts_openmp(command))


def accepts_openmp(command: tuple[str, ...]) -> bool:
    """Whether a program with OpenMP compiles and links."""
    source = "#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n"
    with tempfile.TemporaryDirectory(prefix="tilecast-") as folder:
        arguments = [*command, "-fopenmp", "-x", "c", "-", "-o", str(Path(folder) / "probe")]
        done = subprocess.run(
            arguments, input=source, env=compiler_environment(), capture_output=True, text=True
        )
    return done.returncode == 0


def build_library(
    units: Mapping[str, str], toolchain: Toolchain, machine: Machine, store: Store
) -> bytes:
    """The shared library made of `units` (file name -> C text), compiled in parallel processes.

    Objects come from and go to `store`. Sources of a failed build are kept for inspection.
    """
    flags = toolchain.flags(machine)
    folder = Path(tempfile.mkdtemp(prefix="tilecast-build-"))
    failed = True
    headers = {name: text for name, text in units.items() if name.endswith(".h")}
    try:
        for name, text in headers.items():
            (folder / name).write_text(text, encoding="utf-8")
        with span("compile"), ThreadPoolExecutor(max_workers=physical_cores()) as pool:
            objects = list(
                pool.map(
                    lambda item: build_object(
                        item[0], item[1], toolchain, flags, store, folder, headers
                    ),
                    sorted((n, t) for n, t in units.items() if n not in headers),
                )
            )
        library = folder / "library.so"
        with span("link"):
            toolchain.link(objects, library, flags)
        content = library.read_bytes()
        failed = False
        return content
    except OSError as error:
        raise BuildError(f"cannot build in {folder}: {error}") from error
    finally:
        if not failed:
            shutil.rmtree(folder, ignore_errors=True)


def build_object(
    name: str,
    text: str,
    toolchain: Toolchain,
    flags: Sequence[str],
    store: Store,
    folder: Path,
    headers: Mapping[str, str],
) -> Path:
    """The object file of one unit, in `folder`."""
    parts = {"source": text, "compiler": toolchain.identity, "flags": " ".join(flags)}
    parts |= {name: headers[name] for name in sorted(headers)}
    key = hashlib.blake2b("\0".join(parts.values()).encode(), digest_size=20).hexdigest()
    output = folder / f"{name}.o"
    cached = store.find("objects", key)
    content = cached.read("unit.o") if cached is not None else None
    if content is not None:
        output.write_bytes(content)
        return output
    source = folder / name
    source.write_text(text, encoding="utf-8")
    toolchain.compile(source, output, flags)
    try:
        store.add("objects", key, {"unit.o": output.read_bytes()}, {"unit": name})
    except CacheError as error:
        log(str(error))  # the object is at hand; only the next build is slower
    return output
