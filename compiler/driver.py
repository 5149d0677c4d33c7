"""The whole way of a model on one screen: export, look up, lower, emit, build, verify."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from torch import Tensor
from torch.export import ExportedProgram
from torch.utils._pytree import tree_leaves

from ..costmodel.hardware import Machine
from ..dialects.errors import CacheError, OptionError, VerifyFailure
from .failure import defects_kept
from .logging import Progress, log, warn
from .options import STAGES, Options, resolve_options
from .pipeline import defects_of, ir_file_name, pipeline_for, run_stage, write_text
from .probe.target_speeds import target_speeds
from .runtime.artifact import Artifact
from .runtime.cache import Entry, Store, open_store
from .runtime.key import key_parts, model_key
from .runtime.library import Library, call_units
from .runtime.model import CompiledModel
from .runtime.toolchain import Toolchain, build_library, find_toolchain, toolchain_for
from .target import (
    architecture_flags,
    native_machine,
    physical_cores,
    portable_targets,
    resolve_target,
)

if TYPE_CHECKING:
    from ..passes.context import CompileContext
    from .frontend.kernel_language import BoundKernel, Kernel
    from .kernels.compiled import CompiledKernel
    from .kernels.lowering import Schedule
    from .lowering import Lowered
    from .verify.report import VerifyReport

Example = tuple[Any, ...]
# Emission needs no compiler; sources are then meant for any of this age or later.
ASSUMED_COMPILER = ("gcc", "12.0.0")
RECORDS = "tuning.sqlite"  # in the cache folder


@overload
def compile(
    model: Kernel | BoundKernel,
    *,
    sizes: Mapping[str, int] | None = None,
    schedule: Schedule = None,
    **options: Any,
) -> CompiledKernel: ...
@overload
def compile(
    model: Any,
    example_inputs: Example | None = None,
    kwargs: Mapping[str, Any] | None = None,
    **options: Any,
) -> CompiledModel: ...


def compile(
    model: Any,
    example_inputs: Example | None = None,
    kwargs: Mapping[str, Any] | None = None,
    *,
    sizes: Mapping[str, int] | None = None,
    schedule: Schedule = None,
    **options: Any,
) -> CompiledModel | CompiledKernel:
    """Compile `model` (a module, an ExportedProgram or a .pt2 file) for inputs like the example.

    A `@tilecast.kernel` function, or an .mlir file of affine loops, becomes a CompiledKernel: with
    `sizes` for its integer parameters, under the steps `schedule` or those that tilecast chooses.

    Options are those of `tilecast.compiler.options.OPTIONS`. With `stop_after=STAGE` the result is
    the IR module after that stage (after "emit": the C files by name) and not a CompiledModel.
    """
    settings = resolve_options(options)
    if is_kernel(model):
        from .kernels.driver import compile_kernel  # brings in xDSL and isl

        check_is_for_kernels(example_inputs, kwargs)
        return compile_kernel(model, sizes, schedule, settings)
    if sizes is not None or schedule is not None:
        raise OptionError("sizes and schedule are for @tilecast.kernel functions and .mlir files")
    progress = Progress(settings.progress)
    machine = resolve_target(settings.target)
    stop = settings.stop_after if settings.stop_after != "build" else None
    toolchain = None if stop else toolchain_for(machine)
    with progress.stage("export"):
        program, leaves, states = exported(model, example_inputs, kwargs, settings)
    if toolchain is None:
        early: Any = stopped(program, leaves, settings, machine, progress)
        return early  # type: ignore[no-any-return]  # the type of what `stop_after` asks for
    check_runs_here(machine, settings.target)
    if settings.tune is not None:
        from .tune.model_tuning import tune_program

        with progress.stage("tune"):
            tune_program(program, leaves, settings, machine, toolchain)
    artifact = stored_or_built(program, leaves, settings, machine, toolchain, progress)
    others = partial(artifact_for, program, leaves, settings)
    return CompiledModel(artifact, program, leaves, others, states)


def stored_or_built(
    program: ExportedProgram,
    leaves: list[Any],
    settings: Options,
    machine: Machine,
    toolchain: Toolchain,
    progress: Progress,
) -> Artifact:
    """The artifact from the cache, else compiled and verified."""
    threads = thread_count(settings, machine)
    store = open_store(settings.cache)
    schedules = recorded_schedules(settings, machine, threads, toolchain)
    parts = key_parts(program, settings, machine, threads, toolchain, schedules)
    key = model_key(parts)
    with store.lock(key):
        with progress.stage("cache"):
            artifact = stored_artifact(store, key, program, leaves)
        if artifact is None or settings.dump_dir is not None:
            log("; ".join(store.explain(parts)), level=2)
            artifact = build(
                program,
                leaves,
                settings,
                machine,
                threads,
                toolchain,
                store,
                parts,
                schedules,
                progress,
            )
    return artifact


def artifact_for(
    program: ExportedProgram, leaves: list[Any], settings: Options, target: str
) -> Artifact:
    """The same model for another target, its functions named after it.

    It is verified where this machine can run it, and only lowered where it cannot.
    """
    settings = renamed(settings, target)
    machine, progress = resolve_target(target), Progress(settings.progress)
    if lacks(native_machine(), machine):
        return lowered_artifact(program, leaves, settings, machine, progress)
    return stored_or_built(program, leaves, settings, machine, find_toolchain(), progress)


def emit(
    model: Any,
    example_inputs: Example | None,
    directory: str | Path,
    kwargs: Mapping[str, Any] | None = None,
    *,
    inline_weights: bool = False,
    portable: bool = False,
    **options: Any,
) -> Path:
    """Write the standalone source package without building it: no compiler is needed.

    `inline_weights` and `portable` are those of `CompiledModel.save`.
    """
    from .runtime.save import save_artifact

    if is_kernel(model):
        raise OptionError('kernels have no packages yet; compile(..., stop_after="emit") gives C')
    settings = resolve_options(options)
    progress = Progress(settings.progress)
    machine = resolve_target(settings.target)
    with progress.stage("export"):
        program, leaves, states = exported(model, example_inputs, kwargs, settings)
    artifact = lowered_artifact(program, leaves, settings, machine, progress)
    others = []
    for target in portable_targets(machine) if portable else ():
        other = renamed(settings, target)
        others.append(lowered_artifact(program, leaves, other, resolve_target(target), progress))
    with progress.stage("save"):
        return save_artifact(
            artifact, directory, program, leaves, inline_weights, others, list(states.values())
        )


def lowered_artifact(
    program: ExportedProgram,
    leaves: list[Any],
    settings: Options,
    machine: Machine,
    progress: Progress,
) -> Artifact:
    """The sources of a model, neither built nor verified."""
    with defects_kept(program, leaves, settings, machine):
        lowered = lower(program, leaves, settings, machine, progress)
    flags = architecture_flags(machine, *ASSUMED_COMPILER)
    return lowered.artifact(settings, machine, thread_count(settings, machine), "none", flags)


def renamed(settings: Options, target: str) -> Options:
    """The options for another target, with functions named after it."""
    name = f"{settings.name}_{re.sub('[^a-z0-9]', '_', target)}"
    return replace(settings, name=name, target=target, dump_dir=None)


def build(
    program: ExportedProgram,
    leaves: list[Any],
    settings: Options,
    machine: Machine,
    threads: int,
    toolchain: Toolchain,
    store: Store,
    parts: Mapping[str, str],
    schedules: Mapping[str, str],
    progress: Progress,
) -> Artifact:
    """Lower, build and verify a model, and store the result. Wrong results are never stored."""
    with defects_kept(program, leaves, settings, machine, schedules):
        lowered = lower(program, leaves, settings, machine, progress, schedules)
        flags = toolchain.flags(machine)
        artifact = lowered.artifact(settings, machine, threads, toolchain.identity, flags)
        units = {**artifact.sources, **call_units(settings.name, machine)}
        with progress.stage("build", f"{len(units)} files"):
            library = build_library(units, toolchain, machine, store)
    if settings.verify:
        with progress.stage("verify"):
            report = None
            try:
                report = verification(artifact, lowered, library, program, leaves, store)
                report.check()
            except VerifyFailure as error:
                from .bisect.on_failure import explained

                raise explained(
                    error, report, program, leaves, lowered, settings, machine, toolchain
                ) from error
            artifact = replace(artifact, report=report)
    artifact = replace(artifact, seconds=dict(progress.seconds))
    entry = add_or_keep_aside(store, model_key(parts), artifact.to_files(library), parts)
    return replace(artifact, library=entry.path / "library.so")


def is_kernel(model: Any) -> bool:
    """Whether `model` is loops (a kernel function, a bound one, a .mlir file) and not a model."""
    if isinstance(model, str | Path):
        return Path(model).suffix == ".mlir"
    return bool(getattr(model, "is_tilecast_kernel", False))


def check_is_for_kernels(example_inputs: Example | None, kwargs: Mapping[str, Any] | None) -> None:
    """OptionError for what only models take."""
    if example_inputs is not None or kwargs is not None:
        raise OptionError("a kernel states its own types: give sizes= instead of example inputs")


def add_or_keep_aside(
    store: Store,
    key: str,
    files: Mapping[str, bytes],
    parts: Mapping[str, str],
    kind: str = "models",
) -> Entry:
    """Store what was built; a cache that fills up costs a warning and not the model."""
    try:
        return store.add(kind, key, files, parts)
    except CacheError as error:
        warn(f"{error}; the {kind.removesuffix('s')} is not cached")
        return open_store(enabled=False).add(kind, key, files, parts)


def verification(
    artifact: Artifact,
    lowered: Lowered,
    content: bytes,
    program: ExportedProgram,
    leaves: list[Any],
    store: Store,
) -> VerifyReport:
    """Every kernel and the model, checked; VerifyFailure where results depend on threads."""
    from .verify.artifact import verify_modules

    with store.scratch_file(content) as path:
        library = Library(path, artifact.name, artifact.weights, artifact.threads)
        return verify_modules(artifact, library, program, leaves, lowered.structure, lowered.loops)


def lower(
    program: ExportedProgram,
    leaves: list[Any],
    settings: Options,
    machine: Machine,
    progress: Progress,
    schedules: Mapping[str, str] | None = None,
    keeps_text: bool = True,
) -> Lowered:
    """Import the program and take it through all stages up to C text, or to `stop_after`.

    `schedules` are what tuning recorded, by kernel; `keeps_text`: of the IR after every stage.
    """
    from .lowering import Lowered  # brings in xDSL and isl, which cached models skip

    with progress.stage("import"), defects_of("import"):
        lowered = Lowered.from_program(program, leaves, machine, thread_count(settings, machine))
        lowered.keeps_text = keeps_text
        lowered.record("import", settings.dump_dir)
    if settings.stop_after == "import":
        return lowered
    apply_settings(lowered.ctx, settings)
    lowered.ctx.recorded_schedule = schedules.get if schedules else None
    for stage in pipeline_for(machine):
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


def apply_settings(ctx: CompileContext, settings: Options) -> None:
    """Tell the passes what they are to keep to; a cost model decides on what is known about the
    speeds of the target."""
    from ..costmodel.features.hardware import Hardware
    from ..costmodel.models.default import chosen_model

    if settings.stream_weights and ctx.machine.is_gpu:
        raise OptionError(
            f"stream_weights: expected a target with weights in files, found {ctx.machine.name}, "
            "which keeps them on the device; leave it out"
        )
    ctx.precision, ctx.max_memory = settings.precision, settings.memory_budget
    ctx.convolutions, ctx.stream_weights = settings.convolutions, settings.stream_weights
    ctx.cost_model = chosen_model(settings.cost_model)
    if ctx.cost_model is not None:
        ctx.hardware = Hardware(ctx.machine, target_speeds(ctx.machine))


def recorded_schedules(
    settings: Options, machine: Machine, threads: int, toolchain: Toolchain
) -> Mapping[str, str]:
    """What tuning found for kernels on this target with this compiler, by kernel."""
    from .records.best import chosen_schedules, gpu_compiler
    from .records.record import target_key

    path = open_store(settings.cache).root / RECORDS
    if machine.is_gpu:
        estimated, measured = (
            chosen_schedules(path, target_key(machine), gpu_compiler(is_estimated), threads)
            for is_estimated in (True, False)
        )
        return estimated | measured
    return chosen_schedules(path, target_key(machine), toolchain.identity, threads)


def stopped(
    program: ExportedProgram,
    leaves: list[Any],
    settings: Options,
    machine: Machine,
    progress: Progress,
) -> Any:
    """The IR module, or the C files, after the stage that was asked for."""
    lowered = lower(program, leaves, settings, machine, progress)
    return lowered.sources if settings.stop_after == "emit" else lowered.module


def exported(
    model: Any,
    example_inputs: Example | None,
    kwargs: Mapping[str, Any] | None,
    settings: Options,
) -> tuple[ExportedProgram, list[Any], dict[str, Tensor]]:
    """The exported program, quantized as the options say, and the flat leaves of its example.

    Buffers that the model changes are its first inputs and leaves; they come by name, too.
    """
    from .frontend.export import export_model, load_exported
    from .frontend.states import lift_states
    from .quantize import check_activations, with_quantized_weights

    dims = settings.dynamic_shapes
    if dims is not None and isinstance(model, str | Path | ExportedProgram):
        raise OptionError(
            "dynamic_shapes: an exported program has its own; give them to torch.export.export"
        )
    if isinstance(model, str | Path):
        program = load_exported(model)
    elif isinstance(model, ExportedProgram):
        program = model
    else:
        program = export_model(model, example_inputs or (), dict(kwargs or {}), dims)
    program, states = lift_states(program)
    program = with_quantized_weights(program, model, settings.weights, settings.activations)
    check_activations(program, resolve_target(settings.target))
    if example_inputs is not None:
        given = tree_leaves((tuple(example_inputs), dict(kwargs or {})))
        return program, [*states.values(), *given], states
    if program.example_inputs is None:
        raise OptionError("the exported program carries no example inputs: give example_inputs")
    return program, tree_leaves(program.example_inputs), states


def stored_artifact(
    store: Store, key: str, program: ExportedProgram, leaves: list[Any]
) -> Artifact | None:
    """The verified artifact of an earlier compilation."""
    entry = store.find("models", key)
    if entry is None:
        return None
    spec = program.call_spec
    return Artifact.from_entry(entry, spec.in_spec, spec.out_spec, leaves)


def cache_key_parts(
    model: Any,
    example_inputs: Example | None = None,
    kwargs: Mapping[str, Any] | None = None,
    **options: Any,
) -> dict[str, str]:
    """The parts of the cache key of a compilation, for `tilecast cache explain`."""
    settings = resolve_options(options)
    machine = resolve_target(settings.target)
    program, _, _ = exported(model, example_inputs, kwargs, settings)
    threads, toolchain = thread_count(settings, machine), find_toolchain()
    schedules = recorded_schedules(settings, machine, threads, toolchain)
    return key_parts(program, settings, machine, threads, toolchain, schedules)


def thread_count(settings: Options, machine: Machine) -> int:
    """The threads a program runs with: as asked, else every physical core; one for c99 and GPUs."""
    if machine.name == "c99" or machine.is_gpu:
        return 1
    return settings.threads or physical_cores()


def lacks(here: Machine, machine: Machine) -> list[str]:
    """Features of `machine` that `here` does not have."""
    return sorted(set(machine.features) - set(here.features))


def check_runs_here(machine: Machine, target: str) -> None:
    """OptionError where this machine lacks an instruction that `target` uses."""
    if machine.is_gpu:
        return  # under host emulation
    if missing := lacks(native_machine(), machine):
        raise OptionError(
            f"target {target!r} needs {', '.join(missing)}, which this machine lacks; "
            "write its sources with tilecast.emit and build them where it runs"
        )


__all__ = ["STAGES", "cache_key_parts", "compile", "emit", "ir_file_name"]
