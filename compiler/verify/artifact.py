"""Verify a compiled model from what is kept of it: IR text, library, exported program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch.export import ExportedProgram
from xdsl.dialects.builtin import ModuleOp
from xdsl.parser import Parser

from ...passes.context import CompileContext
from ...passes.timing import span
from ..pipeline import ir_file_name
from ..runtime.artifact import Artifact
from ..runtime.library import Library
from .kernels import check_kernels
from .model import check_model
from .report import VerifyReport


def verify_artifact(
    artifact: Artifact,
    library: Library,
    program: ExportedProgram,
    leaves: Sequence[Any],
    seed: int = 0,
) -> VerifyReport:
    """Check every kernel and the model; the report tells, nothing is raised for wrong results."""
    structure, loops = (parse_stage(artifact.ir, stage) for stage in ("structure", "loops"))
    return verify_modules(artifact, library, program, leaves, structure, loops, seed)


def verify_modules(
    artifact: Artifact,
    library: Library,
    program: ExportedProgram,
    leaves: Sequence[Any],
    structure: ModuleOp,
    loops: ModuleOp,
    seed: int = 0,
) -> VerifyReport:
    """As `verify_artifact`, with the IR at hand."""
    with span("kernels"):
        results = check_kernels(structure, loops, library, seed)
    with span("model"):
        results += check_model(program, artifact, library, leaves, seed)
    return VerifyReport(tuple(results), seed)


def parse_stage(ir: Mapping[str, str], stage: str) -> ModuleOp:
    """The IR after a stage, from its text."""
    name = ir_file_name(stage)
    return Parser(CompileContext(), ir[name], name).parse_module()
