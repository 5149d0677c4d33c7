"""An affine kernel between its stages: IR, text of each level, C files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp

from ...codegen.c import emit_unit
from ...codegen.c.scope import identifier
from ...costmodel.hardware import Machine
from ...dialects.errors import OptionError
from ...dialects.poly import ScopOp
from ...dialects.schedule import Step, parse_steps
from ...passes.context import CompileContext
from ..options import Options
from ..pipeline import EXTRACT_KERNEL, KERNEL_PIPELINE, ir_file_name, run_stage, write_text
from .artifact import KernelArtifact
from .interface import interface_of
from .library import call_unit
from .program import KernelProgram

CALL_SOURCE = "runtime_call.c"
Schedule = str | Sequence[Step] | None


def schedule_steps(schedule: Schedule) -> str | None:
    """The steps of `schedule` as text, one a line; None where tilecast is to choose.

    IllegalScheduleError for text that is no list of steps.
    """
    if schedule is None:
        return None
    steps = parse_steps(schedule) if isinstance(schedule, str) else schedule
    for step in steps:
        if not isinstance(step, Step):
            raise OptionError(f"schedule: expected schedule steps or their text, found {step!r}")
    return "\n".join(map(str, steps))


@dataclass
class LoweredKernel:
    """A kernel on its way to C. `steps` is the user's schedule, None for the default one."""

    program: KernelProgram
    ctx: CompileContext
    module: ModuleOp
    steps: str | None
    ir: dict[str, str] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    scop: ScopOp | None = None
    keeps_text: bool = True

    @staticmethod
    def from_program(
        program: KernelProgram, steps: str | None, name: str, machine: Machine, threads: int
    ) -> LoweredKernel:
        """`program` as it was read; its C function will be called `name`."""
        ctx = CompileContext()
        ctx.machine, ctx.threads = machine, threads
        module = program.module.clone()
        func = module.body.block.first_op
        assert isinstance(func, FuncOp)
        func.properties["sym_name"] = StringAttr(identifier(name))
        return LoweredKernel(program, ctx, module, steps)

    def lower(self, stop_after: str | None, dump_dir: Path | None) -> None:
        """Run all stages up to the loops level, or to `stop_after`."""
        self.record("import", dump_dir)
        names = ["import", *(stage.name for stage in KERNEL_PIPELINE), "emit", "build"]
        if stop_after is not None and stop_after not in names:
            raise OptionError(f"stop_after: a kernel has the stages {', '.join(names)}")
        for stage in KERNEL_PIPELINE:
            if stop_after == "import":
                return
            if stage.name == "schedule" and self.steps is not None:
                run_stage(EXTRACT_KERNEL, self.ctx, self.module)
                self.current_scop().properties["schedule"] = StringAttr(self.steps)
            else:
                run_stage(stage, self.ctx, self.module)
            if stage.name == "schedule":
                self.scop = self.current_scop().clone()
            self.record(stage.name, dump_dir)
            if stop_after == stage.name:
                return

    def current_scop(self) -> ScopOp:
        """The kernel while it is a scop."""
        scop = self.module.body.block.first_op
        assert isinstance(scop, ScopOp)
        return scop

    @property
    def func(self) -> FuncOp:
        """The kernel as affine loops or as loops."""
        func = self.module.body.block.first_op
        assert isinstance(func, FuncOp)
        return func

    def record(self, stage: str, dump_dir: Path | None) -> None:
        """Keep the text of the IR after `stage`."""
        name = ir_file_name(stage)
        if self.keeps_text or dump_dir is not None:
            self.ir[name] = str(self.module) + "\n"
        if dump_dir is not None:
            write_text(dump_dir, name, self.ir[name])

    def emit(self) -> None:
        """Fill `sources`."""
        name = self.func.sym_name.data
        self.sources[f"{name}.c"] = emit_unit([self.func], self.ctx.machine)

    def units(self) -> dict[str, str]:
        """The C files of the shared library: the sources, and the entry point for Python."""
        return {**self.sources, CALL_SOURCE: call_unit(self.func, self.func.sym_name.data)}

    def artifact(
        self, settings: Options, threads: int, compiler: str, flags: tuple[str, ...]
    ) -> KernelArtifact:
        """Everything about the lowered kernel as plain data."""
        assert self.scop is not None
        interface = interface_of(self.func, self.program)
        schedule = self.scop.schedule
        return KernelArtifact(
            name=self.func.sym_name.data,
            machine=self.ctx.machine,
            threads=threads,
            arguments=interface.given,
            scratch=interface.scratch,
            conditions=interface.conditions,
            schedule="" if schedule is None else schedule.data,
            sources=self.sources,
            ir=self.ir,
            compiler=compiler,
            flags=flags,
        )
