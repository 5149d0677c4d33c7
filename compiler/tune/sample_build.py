"""Many schedules of one program at a time, lowered and compiled by one call into one library.

What comes in is a program; what goes out, in the program's folder, is built.jsonl with one line per
function: the task and schedule it belongs to, its arguments, and what its object code looks like.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp

from ...codegen.c import emit_unit
from ...costmodel.hardware import Machine
from ...dialects.poly import ScopOp
from ...passes.context import CompileContext
from ..options import compiler_environment
from ..runtime.toolchain import Toolchain
from .build_worker import numpy_name, scheduled_loops

BUILT = "built.jsonl"
_SYMBOL = re.compile(r"^[0-9a-f]+ <(\w+)[^>]*>:$")
_SPILL = re.compile(r"\bv?mov\w*\s+%[xyz]mm\d+.*,-?(0x)?[0-9a-f]*\(%r[sb]p\)")


@dataclass(frozen=True)
class Draft:
    """A schedule of a scop whose statements may be rewritten already; `task` names that scop."""

    task: str
    scop: ScopOp
    steps: str
    choice: str = ""


@dataclass(frozen=True)
class BuiltFunction:
    """A function of a library. `arguments` have shape, numpy type and role, scratch included."""

    task: str
    steps: str
    choice: str
    library: str
    symbol: str
    arguments: tuple[tuple[tuple[int, ...], str, str], ...]
    instructions: int
    vector_instructions: int
    spills: int


def build_drafts(
    drafts: Sequence[Draft], folder: Path, machine: Machine, threads: int, toolchain: Toolchain
) -> tuple[list[BuiltFunction], list[tuple[Draft, str]]]:
    """(what was built into one library in `folder`, drafts that cannot be lowered and why)."""
    context = CompileContext(machine=machine, threads=threads)
    kernels: list[tuple[Draft, FuncOp]] = []
    failures = []
    serial = len(list(folder.glob("*.so")))
    for draft in drafts:
        module = ModuleOp([draft.scop.clone()])
        try:
            kernel = scheduled_loops(module, draft.steps, context)
        except Exception as error:  # whatever a candidate makes a pass do is its failure
            failures.append((draft, f"{type(error).__name__}: {error}"[:200]))
            continue
        kernel.detach()  # type: ignore[no-untyped-call]
        kernel.properties["sym_name"] = StringAttr(f"k{serial}_{len(kernels)}")
        kernels.append((draft, kernel))
    if not kernels:
        return [], failures
    source, library = folder / f"batch{serial}.c", folder / f"batch{serial}.so"
    source.write_text(emit_unit([k for _, k in kernels], machine), encoding="utf-8")
    command = [*toolchain.command, *toolchain.flags(machine), "-shared", "-fPIC"]
    done = subprocess.run(
        [*command, str(source), "-o", str(library), "-lm"],
        env=compiler_environment(),
        capture_output=True,
        text=True,
    )
    source.unlink()
    if done.returncode != 0:
        return [], failures + [(draft, done.stderr[:200]) for draft, _ in kernels]
    counts = object_counts(library)
    built = [
        BuiltFunction(
            draft.task,
            draft.steps,
            draft.choice,
            str(library),
            kernel.sym_name.data,
            arguments_of(draft.scop, kernel),
            *counts.get(kernel.sym_name.data, (0, 0, 0)),
        )
        for draft, kernel in kernels
    ]
    with (folder / BUILT).open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(asdict(b)) + "\n" for b in built)
    return built, failures


def arguments_of(scop: ScopOp, kernel: FuncOp) -> tuple[tuple[tuple[int, ...], str, str], ...]:
    """Shape, type and role of what the kernel is called with."""
    roles = [role.data for role in scop.roles]
    found = []
    for k, argument in enumerate(kernel.body.block.args):
        type: Any = argument.type
        role = roles[k] if k < len(roles) else "scratch"
        found.append((tuple(type.get_shape()), numpy_name(type.element_type), role))
    return tuple(found)


def object_counts(library: Path) -> dict[str, tuple[int, int, int]]:
    """(instructions, vector instructions, vector registers stored to the stack) by function;
    bodies of parallel loops count for the function that they are a part of."""
    text = subprocess.run(
        ["objdump", "-d", "--no-show-raw-insn", str(library)], capture_output=True, text=True
    ).stdout
    counts: dict[str, list[int]] = {}
    current: list[int] | None = None
    for line in text.splitlines():
        symbol = _SYMBOL.match(line)
        if symbol:
            owner = re.match(r"k\d+_\d+", symbol[1])
            current = counts.setdefault(owner[0], [0, 0, 0]) if owner else None
        elif current is not None and "\t" in line:
            current[0] += 1
            current[1] += "ymm" in line or "zmm" in line
            current[2] += _SPILL.search(line) is not None
    return {name: (c[0], c[1], c[2]) for name, c in counts.items()}
