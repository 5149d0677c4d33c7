"""Programs that samples are taken of, as folders: scop.mlir, program.json, integer arguments.

In: the kernels of a model, or any scop. Out: a folder for each that no other program equals, in
which its schedules are built (sample_build.py) and timed (sample_run.py).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp

from ...dialects.poly import ScopOp
from ...passes.context import CompileContext
from ...passes.poly.array_shapes import shape_of
from ...passes.registry import load_pass
from ..target import native_machine
from ..verify.kernels import random_argument

PROGRAM = "program.json"
LARGEST_ELEMENTS = 4_000_000
Space = Literal["rules", "affine"]


@dataclass(frozen=True)
class Program:
    """A program to draw schedules of; `space` says how."""

    name: str
    family: str
    threads: int
    space: Space


def read_program(folder: Path) -> tuple[Program, str]:
    """The program in `folder`, and its text."""
    data = json.loads((folder / PROGRAM).read_text(encoding="utf-8"))
    return Program(**data), (folder / "scop.mlir").read_text(encoding="utf-8")


def write_program(work: Path, program: Program, scop: ScopOp) -> Path | None:
    """The folder of a program; None where there is one with equal text."""
    text = str(ModuleOp([scop.clone()]))
    body = text.replace(scop.sym_name.data, "k")
    digest = hashlib.blake2b(body.encode(), digest_size=12).hexdigest()
    seen, folder = work / "seen" / digest, work / "programs" / program.name
    seen.parent.mkdir(parents=True, exist_ok=True)
    if seen.exists() or sum(np.prod(shape_of(a)) for a in scop.body.block.args) > LARGEST_ELEMENTS:
        return None
    seen.touch()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scop.mlir").write_text(text, encoding="utf-8")
    (folder / PROGRAM).write_text(json.dumps(asdict(program)), encoding="utf-8")
    return folder


def write_kernels(
    work: Path, label: str, family: str, model: Any, inputs: Any, threads: int
) -> int:
    """The kernels of a model; how many are new."""
    from ..driver import compile

    structure = compile(model, inputs, stop_after="structure", threads=threads)
    assert isinstance(structure, ModuleOp)
    kernels = {op.sym_name.data: op for op in structure.ops if isinstance(op, FuncOp)}
    scops = structure.clone()
    load_pass("extract-scop")().apply(
        CompileContext(machine=native_machine(), threads=threads), scops
    )
    count = 0
    for scop in [op for op in scops.ops if isinstance(op, ScopOp)]:
        name = scop.sym_name.data
        program = Program(f"{label}-{name}"[:80], family, threads, "rules")
        folder = write_program(work, program, scop)
        if folder is None:
            continue
        count += 1
        rng = np.random.default_rng(0)
        for k, argument in enumerate(kernels[name].body.block.args):
            value = random_argument(argument, rng)
            if value.dtype.kind != "f":
                stored = value.view(np.uint8) if value.dtype == bool else value
                np.save(folder / f"a{k}.npy", stored)
    return count
