"""Many schedules of one program at a time, lowered and compiled by one call into one library.

What comes in is a program; what goes out, in the program's folder, is built.jsonl with one line per
function: the task and schedule it belongs to, its arguments, and what its object code looks like.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp

from ...codegen.c import emit_unit
from ...costmodel.features.loop_text import LoopText, loop_text
from ...costmodel.hardware import Machine
from ...dialects.poly import ScopOp
from ...passes.context import CompileContext
from ..options import compiler_environment
from ..runtime.toolchain import Toolchain
from .build_worker import numpy_name, scheduled_loops
from .object_report import ObjectReport, object_reports

BUILT = "built.jsonl"


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
    registers: int


@dataclass(frozen=True)
class Batch:
    """What became of drafts: functions with the text of their loops, or why there is none."""

    built: list[tuple[BuiltFunction, LoopText]]
    failures: list[tuple[Draft, str]]


def build_drafts(
    drafts: Sequence[Draft], folder: Path, machine: Machine, threads: int, toolchain: Toolchain
) -> Batch:
    """What was built into one library in `folder`."""
    context = CompileContext(machine=machine, threads=threads)
    kernels: list[tuple[Draft, FuncOp]] = []
    failures: list[tuple[Draft, str]] = []
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
        return Batch([], failures)
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
        return Batch([], failures + [(draft, done.stderr[:200]) for draft, _ in kernels])
    reports = object_reports(library)
    built = []
    for draft, kernel in kernels:
        name = kernel.sym_name.data
        report = reports.get(name, ObjectReport())
        function = BuiltFunction(
            draft.task,
            draft.steps,
            draft.choice,
            str(library),
            name,
            arguments_of(draft.scop, kernel),
            report.instructions,
            report.vector_instructions,
            report.spills,
            report.registers,
        )
        built.append((function, loop_text(kernel)))
    with (folder / BUILT).open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(asdict(b)) + "\n" for b, _ in built)
    return Batch(built, failures)


def arguments_of(scop: ScopOp, kernel: FuncOp) -> tuple[tuple[tuple[int, ...], str, str], ...]:
    """Shape, type and role of what the kernel is called with."""
    roles = [role.data for role in scop.roles]
    found = []
    for k, argument in enumerate(kernel.body.block.args):
        type: Any = argument.type
        role = roles[k] if k < len(roles) else "scratch"
        found.append((tuple(type.get_shape()), numpy_name(type.element_type), role))
    return tuple(found)
