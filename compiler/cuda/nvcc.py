"""nvcc without a GPU: cubins, what ptxas says about each kernel, and the machine code.

In: the text of a unit and an architecture such as sm_80. Out: `KernelReport`s.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ...dialects.errors import BuildError, CompilerNotFoundError

ENTRY = re.compile(r"Compiling entry function '(\w+)'")
SPILLS = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers")
SHARED = re.compile(r"(\d+) bytes smem")
SASS_FUNCTION = re.compile(r"\s*Function : (\S+)")
SASS_LINE = re.compile(r"\s*/\*[0-9a-f]{4,}\*/\s+(?:@!?\S+\s+)?([A-Z][\w.]*)")


@dataclass(frozen=True)
class KernelReport:
    """What ptxas says about a kernel: registers per thread, bytes of stack and spills.

    `shared_bytes` is what its arrays take, without what a launch adds.
    """

    symbol: str
    registers: int
    stack_bytes: int
    spill_bytes: int
    shared_bytes: int = 0


@dataclass(frozen=True)
class Cubin:
    """Machine code for one architecture, with the reports of its kernels."""

    architecture: str
    reports: tuple[KernelReport, ...]
    warnings: str
    data: bytes


def has_nvcc() -> bool:
    """Whether nvcc is in PATH."""
    return shutil.which("nvcc") is not None


def build_cubin(text: str, architecture: str, headers: Mapping[str, str] | None = None) -> Cubin:
    """Compile a unit, which may include `headers`; BuildError with nvcc's words if refused."""
    if not has_nvcc():
        raise CompilerNotFoundError("no nvcc in PATH: install the CUDA toolkit, or emulate")
    with tempfile.TemporaryDirectory(prefix="tilecast-nvcc-") as folder:
        source, cubin = Path(folder, "unit.cu"), Path(folder, "unit.cubin")
        source.write_text(text, encoding="utf-8")
        for name, header in (headers or {}).items():
            Path(folder, name).write_text(header, encoding="utf-8")
        flags = ["-std=c++17", "-fmad=false", "-arch", architecture, "-Xptxas", "-v", "-cubin"]
        done = subprocess.run(
            ["nvcc", *flags, "-o", str(cubin), str(source)], capture_output=True, text=True
        )
        if done.returncode:
            raise BuildError(f"nvcc -arch {architecture} refused:\n{done.stderr[:4000]}")
        return Cubin(
            architecture, parse_reports(done.stderr), _warnings(done.stderr), cubin.read_bytes()
        )


def parse_reports(text: str) -> tuple[KernelReport, ...]:
    """The reports in what `ptxas -v` prints."""
    reports: list[KernelReport] = []
    for part in re.split(r"(?=ptxas info\s+: Compiling entry)", text)[1:]:
        entry, spills, used = ENTRY.search(part), SPILLS.search(part), USED.search(part)
        if entry is None or spills is None or used is None:
            raise BuildError(f"cannot read the report of ptxas:\n{part[:500]}")
        stack, stored, loaded = (int(n) for n in spills.groups())
        shared = SHARED.search(part)
        reports.append(
            KernelReport(
                *(entry[1], int(used[1]), stack, stored + loaded),
                int(shared[1]) if shared else 0,
            )
        )
    return tuple(reports)


def _warnings(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if "warning" in line.lower())


def disassembler() -> str | None:
    """Where cuobjdump is: PATH, or the package nvidia-cuda-cuobjdump."""
    found = shutil.which("cuobjdump")
    if found is not None:
        return found
    spec = find_spec("nvidia")
    folders = [] if spec is None else [Path(p) for p in spec.submodule_search_locations or ()]
    return next((str(p) for f in folders for p in sorted(f.glob("**/bin/cuobjdump"))), None)


def instructions(cubin: Cubin) -> dict[str, list[str]]:
    """The opcodes of every kernel, in order, such as LDGSTS.E.BYPASS.128."""
    tool = disassembler()
    if tool is None:
        raise CompilerNotFoundError("no cuobjdump: pip install tilecast[cuda]")
    with tempfile.TemporaryDirectory(prefix="tilecast-sass-") as folder:
        path = Path(folder, "unit.cubin")
        path.write_bytes(cubin.data)
        done = subprocess.run(
            [tool, "-sass", str(path)],
            capture_output=True,
            text=True,
            env={"PATH": str(Path(tool).parent)},  # where nvdisasm is
        )
    if done.returncode:
        raise BuildError(f"cuobjdump failed: {done.stderr[:1000]}")
    kernels: dict[str, list[str]] = {}
    current: list[str] = []
    for line in done.stdout.splitlines():
        if match := SASS_FUNCTION.match(line):
            current = kernels.setdefault(match[1], [])
        elif match := SASS_LINE.match(line):
            current.append(match[1])
    return kernels
