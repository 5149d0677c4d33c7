"""A model on its way through the stages: IR, weights, text of each level, C files.

in:  a `Job`
out: `Lowered`, which verification, packages and reports read
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from xdsl.dialects.builtin import ArrayAttr, ModuleOp, StringAttr, TensorType
from xdsl.dialects.func import CallOp, FuncOp

from ..codegen.c import emit_program, emit_unit, program_weight_symbols
from ..codegen.cuda.unit import cuda_headers, emit_cuda_program, emit_cuda_unit
from ..costmodel.decision import is_out_of_place
from ..costmodel.features.hardware import Hardware
from ..costmodel.hardware import Machine
from ..costmodel.models.default import chosen_model
from ..dialects.errors import OptionError, UnsupportedOperatorError
from ..dialects.graph import extents_of_type
from ..dialects.graph.control import ControlOp, is_program
from ..dialects.sizes import Symbol, symbols_of
from ..passes.context import CompileContext
from ..passes.loops.in_place import pairs_of
from ..passes.loops.plan_memory import local_bytes, program_arena
from ..passes.timing import span
from .frontend.imported_model import ImportedModel
from .frontend.program import import_program
from .frontend.tensor_types import DTYPES
from .job import Job
from .logging import Progress, warn
from .options import Options
from .pipeline import defects_of, ir_file_name, pipeline_for, run_stage, write_text
from .planned_arena import ArenaPlanner
from .probe.target_speeds import target_speeds
from .quantize import activations_of, quantized_weights
from .runtime.artifact import Artifact, KernelFacts
from .runtime.call_sizes import CallSizes
from .runtime.signature import OutputLeaf, Signature, TensorSpec, dtype_name
from .verify.reduction_length import reduction_length

UNIT_OPS = 1500  # a C file of this size costs the compiler more than its own start-up and headers


def kernel_units(kernels: Sequence[FuncOp]) -> list[list[FuncOp]]:
    """Kernels cut, in order, into C files: a large one alone, neighbouring small ones together."""
    units: list[list[FuncOp]] = []
    room = 0
    for kernel in kernels:
        size = sum(1 for _ in kernel.walk())
        if size > room:
            units.append([])
            room = UNIT_OPS
        units[-1].append(kernel)
        room -= size
    return units


@dataclass
class Lowered:
    """A model on its way to C. `structure` and `loops` are kept for verification, the text of all
    stages for packages and reports."""

    imported: ImportedModel
    job: Job
    ctx: CompileContext
    module: ModuleOp
    signature: Signature
    ir: dict[str, str] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    kept: dict[str, ModuleOp] = field(default_factory=dict)
    reduction_length: int = 1
    keeps_text: bool = True

    @staticmethod
    def of(job: Job, schedules: Mapping[str, str] | None = None) -> Lowered:
        """Import the job's program, and tell the passes what its options ask for.

        `schedules` are what tuning recorded, by kernel. OptionError where options do not go with
        the target, or with dynamic shapes.
        """
        machine, settings = job.machine, job.settings
        imported = import_program(job.program)
        quantized = quantized_weights(job.program)
        check_sizes_fit_options(imported, machine, quantized)
        if machine.is_gpu:
            check_runs_straight(imported.module, f"target {machine.name}")
            check_keeps_weights(settings, machine)
        ctx = CompileContext()
        ctx.weights, ctx.machine, ctx.threads = imported.weights, machine, job.threads
        ctx.quantized, ctx.activations = quantized, activations_of(job.program)
        ctx.precision, ctx.max_memory = settings.precision, settings.memory_budget
        ctx.convolutions, ctx.stream_weights = settings.convolutions, settings.stream_weights
        ctx.recorded_schedule = schedules.get if schedules else None
        ctx.plan_arena = ArenaPlanner(ctx, pipeline_for(machine), "limit-memory")
        ctx.cost_model = chosen_model(settings.cost_model)
        ctx.grouping_model = chosen_model(settings.grouping_model)
        if ctx.cost_model is not None or ctx.grouping_model is not None:
            ctx.hardware = Hardware(machine, target_speeds(machine))
            warn_of_estimated_speeds(ctx, settings)
        signature = signature_of(imported, job.leaves)
        return Lowered(imported, job, ctx, imported.module, signature)

    def record(self, stage: str, dump_dir: Path | None) -> None:
        """Keep the text of the IR after `stage`, and the IR itself where verification needs it."""
        name = ir_file_name(stage)
        if self.keeps_text or dump_dir is not None:
            with span("print IR"):
                self.ir[name] = str(self.module) + "\n"
        if dump_dir is not None:
            write_text(dump_dir, name, self.ir[name])
        if stage in {"structure", "loops"}:
            with span("copy IR"):
                self.kept[stage] = self.module.clone()
        if stage == "structure":
            kernels = [op for op in self.module.ops if isinstance(op, FuncOp)]
            self.reduction_length = max(map(reduction_length, kernels), default=1)

    @property
    def structure(self) -> ModuleOp:
        """The kernels as linalg."""
        return self.kept["structure"]

    @property
    def loops(self) -> ModuleOp:
        """The kernels as loops."""
        return self.kept["loops"]

    def functions(self) -> tuple[FuncOp, list[FuncOp]]:
        """The program and its kernels."""
        functions = [op for op in self.module.ops if isinstance(op, FuncOp)]
        main = next(op for op in functions if op.sym_name.data == "main")
        return main, [op for op in functions if not is_program(op)]

    def programs(self) -> list[FuncOp]:
        """What the program calls for control flow."""
        functions = [op for op in self.module.ops if isinstance(op, FuncOp)]
        return [op for op in functions if is_program(op) and op.sym_name.data != "main"]

    def emit(self, name: str) -> None:
        """Fill `sources`: kernels in files that compile in parallel, and the program."""
        main, kernels = self.functions()
        machine, prefix = self.ctx.machine, f"{name}_"
        if machine.is_gpu:
            for unit in kernel_units(kernels):
                file = f"{prefix}{unit[0].sym_name.data}.cu"
                self.sources[file] = emit_cuda_unit(unit, machine, prefix)
            self.sources[f"{name}.cu"] = emit_cuda_program(main, kernels, name, prefix)
            self.sources |= cuda_headers()
            return
        with span("kernels"):
            for unit in kernel_units(kernels):
                first = unit[0].sym_name.data
                self.sources[f"{name}_{first}.c"] = emit_unit(unit, machine, prefix=prefix)
        with span("program"):
            programs = self.programs()
            text = emit_program(main, kernels, name, prefix=prefix, programs=programs)
            self.sources[f"{name}.c"] = text

    def artifact(self, compiler: str, flags: tuple[str, ...]) -> Artifact:
        """Everything about the lowered program as plain data."""
        main, kernels = self.functions()
        arena_bytes, lower_bound = program_arena(main)
        programs = self.programs()
        calls = Counter(
            op.callee.root_reference.data
            for function in (main, *programs)
            for op in function.walk()
            if isinstance(op, CallOp)
        )
        symbols = program_weight_symbols(main, programs)
        memory = None
        if self.ctx.memory is not None:
            local = max(map(local_bytes, kernels), default=0)
            memory = self.ctx.memory.to_json() | {"local_bytes": local}
        return Artifact(
            name=self.job.settings.name,
            machine=self.job.machine,
            threads=self.job.threads,
            signature=replace(self.signature, sizes=program_symbols(main)),
            arena_bytes=arena_bytes,
            arena_lower_bound=lower_bound,
            sources=self.sources,
            weights={name: self.ctx.weights[name] for name in symbols},
            ir=self.ir,
            kernels=tuple(kernel_facts(kernel, calls) for kernel in kernels),
            reduction_length=self.reduction_length,
            compiler=compiler,
            flags=flags,
            decisions=tuple(d.to_json() for d in self.ctx.decisions),
            precision=self.job.settings.precision,
            memory=memory,
            streamed=bool(symbols) and self.ctx.stream_weights,
            in_place=pairs_of(main),
        )


def lower(
    job: Job,
    progress: Progress,
    schedules: Mapping[str, str] | None = None,
    keeps_text: bool = True,
) -> Lowered:
    """Take a job through all stages up to C text, or to `stop_after`.

    `schedules` are what tuning recorded, by kernel; `keeps_text`: of the IR after every stage.
    """
    settings = job.settings
    with progress.stage("import"), defects_of("import"):
        lowered = Lowered.of(job, schedules)
        lowered.keeps_text = keeps_text
        lowered.record("import", settings.dump_dir)
    if settings.stop_after == "import":
        return lowered
    for stage in pipeline_for(job.machine):
        with progress.stage(stage.name):
            run_stage(stage, lowered.ctx, lowered.module)
            lowered.record(stage.name, settings.dump_dir)
        if settings.stop_after == stage.name:
            return lowered
    with progress.stage("emit"), defects_of("emit"):
        lowered.emit(settings.name)
    if settings.dump_dir is not None:
        for name, text in lowered.sources.items():
            write_text(settings.dump_dir, name, text)
    return lowered


def warn_of_estimated_speeds(ctx: CompileContext, settings: Options) -> None:
    """Say that rules will decide although a learned model was asked to."""
    wanted = {
        f"cost_model={settings.cost_model!r}": ctx.cost_model,
        f"fusion={settings.fusion!r}": ctx.grouping_model,
    }
    assert ctx.hardware is not None
    refused = [o for o, m in wanted.items() if m is not None and is_out_of_place(m, ctx.hardware)]
    if refused and not ctx.machine.is_gpu:
        warn(
            f"{' and '.join(refused)}: the speeds of {ctx.machine.name} were not measured here, so "
            "the rules decide; run `tilecast targets --probe` on the idle machine first"
        )


def check_sizes_fit_options(
    imported: ImportedModel, machine: Machine, quantized: Mapping[str, object]
) -> None:
    """OptionError for what takes fixed shapes only; UnsupportedOperatorError for a size that no
    input tells."""
    symbols = symbols_of(n for spec in imported.inputs for n in spec.shape)
    if symbols and machine.is_gpu:
        raise OptionError(f"target {machine.name}: dynamic shapes are for CPUs so far")
    if symbols:
        check_runs_straight(imported.module, "dynamic_shapes")
    if symbols and quantized:
        raise OptionError("weights of few bits need fixed shapes so far: leave out dynamic_shapes")
    CallSizes(symbols, imported.inputs)


def check_keeps_weights(settings: Options, machine: Machine) -> None:
    """OptionError for weights in files on a GPU."""
    if settings.stream_weights:
        raise OptionError(
            f"stream_weights: expected a target with weights in files, found {machine.name}, "
            "which keeps them on the device; leave it out"
        )


def program_symbols(main: FuncOp) -> tuple[Symbol, ...]:
    """The sizes that a planned program takes."""
    texts = main.attributes.get("tilecast.sizes")
    listed = texts.data if isinstance(texts, ArrayAttr) else ()
    return tuple(Symbol.parse(text.data) for text in listed if isinstance(text, StringAttr))


def check_runs_straight(module: ModuleOp, what: str) -> None:
    """UnsupportedOperatorError for control flow: a GPU would have to report its conditions, and
    sizes are not handed to its functions."""
    names = [op.name.removeprefix("graph.") for op in module.walk() if isinstance(op, ControlOp)]
    if names:
        raise UnsupportedOperatorError(
            f"{what} does not support control flow yet; the model has "
            f"{', '.join(sorted(set(names)))}: compile it for a CPU, with fixed shapes"
        )


def kernel_facts(kernel: FuncOp, calls: Counter[str]) -> KernelFacts:
    """Name, number of calls, and arguments of a kernel."""
    roles = kernel.attributes["tilecast.roles"]
    assert isinstance(roles, ArrayAttr)
    return KernelFacts(
        name=kernel.sym_name.data,
        calls=calls[kernel.sym_name.data],
        arguments=tuple(str(argument.type) for argument in kernel.body.block.args),
        roles=tuple(role.data for role in roles if isinstance(role, StringAttr)),
    )


def signature_of(imported: ImportedModel, leaves: Sequence[Any]) -> Signature:
    """The calling convention of an imported model; `leaves` supply the compiled-in constants."""
    main = next(op for op in imported.module.ops if isinstance(op, FuncOp))
    results = []
    for k, type in enumerate(main.function_type.outputs):
        assert isinstance(type, TensorType)
        dtype = dtype_name(DTYPES[type.element_type])
        results.append(TensorSpec(f"output_{k}", dtype, extents_of_type(type)))
    positions = imported.input_positions
    return Signature(
        inputs=tuple(
            TensorSpec(spec.name, dtype_name(spec.dtype), tuple(spec.shape))
            for spec in imported.inputs
        ),
        results=tuple(results),
        leaves=tuple(OutputLeaf(o.kind, o.index, o.constant) for o in imported.outputs),
        positions=positions,
        constants={k: v for k, v in enumerate(leaves) if k not in positions},
        in_spec=imported.in_spec,
        out_spec=imported.out_spec,
        mutations=tuple(
            (OutputLeaf(o.kind, o.index, o.constant), k) for o, k in imported.mutations
        ),
    )
