"""The whole way of a model on one screen: export, look up, lower, emit, build, verify."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from ..dialects.errors import OptionError, VerifyFailure
from .failure import defects_kept
from .job import Example, Job, model_job
from .logging import Progress, log
from .options import STAGES, resolve_options
from .pipeline import ir_file_name
from .records.best import recorded_schedules
from .runtime.artifact import Artifact
from .runtime.cache import Store, add_or_keep_aside, open_store
from .runtime.key import key_parts, model_key
from .runtime.library import Library, call_units
from .runtime.model import CompiledModel
from .runtime.toolchain import Toolchain, build_library, find_toolchain, toolchain_for
from .target import (
    architecture_flags,
    check_runs_here,
    lacking,
    portable_targets,
    resolve_target,
)

if TYPE_CHECKING:
    from .frontend.kernel_language import BoundKernel, Kernel
    from .kernels.compiled import CompiledKernel
    from .kernels.lowering import Schedule
    from .lowering import Lowered
    from .verify.report import VerifyReport

# Emission needs no compiler; sources are then meant for any of this age or later.
ASSUMED_COMPILER = ("gcc", "12.0.0")


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
    stop = settings.stop_after if settings.stop_after != "build" else None
    toolchain = None if stop else toolchain_for(resolve_target(settings.target))
    with progress.stage("export"):
        job = model_job(model, example_inputs, kwargs, settings)
    if toolchain is None:
        from .lowering import lower

        lowered = lower(job, progress)
        early: Any = lowered.sources if stop == "emit" else lowered.module
        return early  # type: ignore[no-any-return]  # the type of what `stop_after` asks for
    check_runs_here(job.machine, settings.target)
    if settings.tune is not None:
        from .tune.model_tuning import tune_model

        with progress.stage("tune"):
            tune_model(job, toolchain)
    artifact = stored_or_built(job, toolchain, progress)
    return CompiledModel(artifact, job.program, job.leaves, partial(artifact_for, job), job.states)


def stored_or_built(job: Job, toolchain: Toolchain, progress: Progress) -> Artifact:
    """The artifact from the cache, else compiled and verified."""
    store = open_store(job.settings.cache)
    schedules = recorded_schedules(store.root, job.machine, toolchain.identity, job.threads)
    parts = key_parts(job, toolchain, schedules)
    key = model_key(parts)
    with store.lock(key):
        with progress.stage("cache"):
            artifact = stored_artifact(store, key, job)
        if artifact is None or job.settings.dump_dir is not None:
            log("; ".join(store.explain(parts)), level=2)
            artifact = build(job, toolchain, store, parts, schedules, progress)
    return artifact


def artifact_for(job: Job, target: str) -> Artifact:
    """The same model for another target, its functions named after it.

    It is verified where this machine can run it, and only lowered where it cannot.
    """
    job = job.for_target(target)
    progress = Progress(job.settings.progress)
    if lacking(job.machine):
        return lowered_artifact(job, progress)
    return stored_or_built(job, find_toolchain(), progress)


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
    with progress.stage("export"):
        job = model_job(model, example_inputs, kwargs, settings)
    artifact = lowered_artifact(job, progress)
    targets = portable_targets(job.machine) if portable else ()
    others = [lowered_artifact(job.for_target(target), progress) for target in targets]
    with progress.stage("save"):
        states = list(job.states.values())
        return save_artifact(
            artifact, directory, job.program, job.leaves, inline_weights, others, states
        )


def lowered_artifact(job: Job, progress: Progress) -> Artifact:
    """The sources of a model, neither built nor verified."""
    from .lowering import lower  # brings in all passes, which cached models skip

    with defects_kept(job):
        lowered = lower(job, progress)
    return lowered.artifact("none", architecture_flags(job.machine, *ASSUMED_COMPILER))


def build(
    job: Job,
    toolchain: Toolchain,
    store: Store,
    parts: Mapping[str, str],
    schedules: Mapping[str, str],
    progress: Progress,
) -> Artifact:
    """Lower, build and verify a model, and store the result. Wrong results are never stored."""
    from .lowering import lower

    machine, name = job.machine, job.settings.name
    with defects_kept(job, schedules):
        lowered = lower(job, progress, schedules)
        artifact = lowered.artifact(toolchain.identity, toolchain.flags(machine))
        units = {**artifact.sources, **call_units(name, machine)}
        with progress.stage("build", f"{len(units)} files"):
            library = build_library(units, toolchain, machine, store)
    if job.settings.verify:
        with progress.stage("verify"):
            report = None
            try:
                report = verification(artifact, lowered, library, store)
                report.check()
            except VerifyFailure as error:
                from .bisect.on_failure import explained

                raise explained(error, report, lowered, toolchain) from error
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


def verification(
    artifact: Artifact, lowered: Lowered, content: bytes, store: Store
) -> VerifyReport:
    """Every kernel and the model, checked; VerifyFailure where results depend on threads."""
    from .verify.artifact import verify_modules

    job = lowered.job
    with store.scratch_file(content) as path:
        library = Library(path, artifact.name, artifact.weights, artifact.threads)
        return verify_modules(
            artifact, library, job.program, job.leaves, lowered.structure, lowered.loops
        )


def stored_artifact(store: Store, key: str, job: Job) -> Artifact | None:
    """The verified artifact of an earlier compilation."""
    entry = store.find("models", key)
    if entry is None:
        return None
    spec = job.program.call_spec
    return Artifact.from_entry(entry, spec.in_spec, spec.out_spec, job.leaves)


def cache_key_parts(
    model: Any,
    example_inputs: Example | None = None,
    kwargs: Mapping[str, Any] | None = None,
    **options: Any,
) -> dict[str, str]:
    """The parts of the cache key of a compilation, for `tilecast cache explain`."""
    settings = resolve_options(options)
    job = model_job(model, example_inputs, kwargs, settings)
    root, toolchain = open_store(settings.cache).root, find_toolchain()
    schedules = recorded_schedules(root, job.machine, toolchain.identity, job.threads)
    return key_parts(job, toolchain, schedules)


__all__ = ["STAGES", "cache_key_parts", "compile", "emit", "ir_file_name"]
