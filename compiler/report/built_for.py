"""What a package was built for, as its first program says: machine, threads, the IR of a stage."""

from __future__ import annotations

from typing import Any

from xdsl.dialects.builtin import ModuleOp

from ...codegen.package import StoredPackage
from ...costmodel.hardware import Machine
from ...dialects.errors import PackageError
from ...dialects.poly import ScopOp
from ...passes.context import CompileContext
from ...passes.registry import load_pass
from ..ir_text import parse_ir
from ..target import resolve_target

STRUCTURE_STAGE, SCHEDULE_STAGE = "03-structure.mlir", "04-schedule.mlir"


def facts_of(package: StoredPackage) -> dict[str, Any]:
    """What is noted about the first program."""
    facts: dict[str, Any] = package.manifest["programs"][0]["facts"]
    return facts


def machine_of(package: StoredPackage) -> Machine:
    """The machine, with the caches and cores it had; older packages say its name only."""
    facts = facts_of(package).get("machine")
    if facts is None:
        return resolve_target(package.target)
    try:
        return Machine(**(facts | {"features": tuple(facts["features"])}))
    except (TypeError, KeyError) as error:
        raise PackageError(f"{package.directory}: its machine cannot be read: {error}") from error


def threads_of(package: StoredPackage) -> int:
    """The number of threads that schedules were made for."""
    return int(facts_of(package).get("threads") or 1)


def module_at(package: StoredPackage, stage: str) -> ModuleOp:
    """The IR after a stage, such as 03-structure.mlir; an empty module where there is none."""
    path = package.directory / "ir" / stage
    if not path.exists():
        return ModuleOp([])
    return parse_ir(CompileContext(), path.read_text(encoding="utf-8"), str(path))


def original_scops(package: StoredPackage) -> dict[str, ScopOp]:
    """The kernels that affine loops describe, in their original order."""
    module = module_at(package, STRUCTURE_STAGE)
    load_pass("extract-scop")().apply(CompileContext(machine=machine_of(package)), module)
    return {op.sym_name.data: op for op in module.ops if isinstance(op, ScopOp)}
