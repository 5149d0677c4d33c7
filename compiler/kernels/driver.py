"""The whole way of an affine kernel on one screen: read, look up, lower, emit, build, verify."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...costmodel.hardware import Machine
from ..logging import Progress
from ..options import Options, resolve_options
from ..pipeline import defects_of, write_text
from ..runtime.cache import Store, add_or_keep_aside, open_store
from ..runtime.key import digest_lines, model_key, sources_digest
from ..runtime.toolchain import Toolchain, build_library, find_toolchain
from ..target import check_runs_here, resolve_target, thread_count
from .artifact import KernelArtifact
from .compiled import CompiledKernel
from .lowering import LoweredKernel, Schedule, schedule_steps
from .program import KernelProgram, load_program
from .repro import defects_kept
from .verify import KernelVerifier

DEFAULT_NAME = Options().name


def compile_kernel(
    source: Any, sizes: Mapping[str, int] | None, schedule: Schedule, settings: Options
) -> CompiledKernel:
    """Compile `source`: a Kernel with `sizes`, a BoundKernel, or the path of an .mlir file.

    `schedule` has the steps to apply, or None for those that tilecast chooses. With `stop_after`
    the result is the IR module (after "emit": the C files by name).
    """
    progress = Progress(settings.progress)
    machine = resolve_target(settings.target)
    threads = thread_count(settings.threads, machine)
    steps = schedule_steps(schedule)
    stop = settings.stop_after if settings.stop_after != "build" else None
    toolchain = None if stop else find_toolchain()
    with progress.stage("import"):
        program = load_program(source, sizes)
    if toolchain is None:
        lowered = lower(program, steps, settings, machine, threads, progress)
        early: Any = lowered.sources if stop == "emit" else lowered.module
        return early  # type: ignore[no-any-return]  # the type of what `stop_after` asks for
    check_runs_here(machine, settings.target)
    store = open_store(settings.cache)
    parts = kernel_key_parts(program, steps, settings, machine, threads, toolchain)
    verifier = KernelVerifier(program, toolchain, store)

    def again(folder: Path) -> LoweredKernel:
        """The stages once more, their IR written down."""
        dumped = replace(settings, dump_dir=folder)
        return lower(program, steps, dumped, machine, threads, Progress())

    with store.lock(model_key(parts)):
        with progress.stage("cache"):
            entry = store.find("kernels", model_key(parts))
            artifact = None if entry is None else KernelArtifact.from_entry(entry)
        if artifact is None or settings.dump_dir is not None:
            with defects_kept(program, steps, settings, again):
                lowered = lower(program, steps, settings, machine, threads, progress)
                artifact = build(
                    lowered, settings, threads, toolchain, store, parts, verifier, progress
                )
    return CompiledKernel(artifact, verifier)


def lowered_kernel(
    source: Any,
    sizes: Mapping[str, int] | None = None,
    schedule: Schedule = None,
    **options: Any,
) -> LoweredKernel:
    """The kernel down to C text, without building it."""
    settings = resolve_options(options)
    machine = resolve_target(settings.target)
    program, steps = load_program(source, sizes), schedule_steps(schedule)
    threads = thread_count(settings.threads, machine)
    return lower(program, steps, settings, machine, threads, Progress(settings.progress))


def lower(
    program: KernelProgram,
    steps: str | None,
    settings: Options,
    machine: Machine,
    threads: int,
    progress: Progress,
) -> LoweredKernel:
    """Take the program through all stages up to C text, or to `stop_after`."""
    name = program.name if settings.name == DEFAULT_NAME else settings.name
    lowered = LoweredKernel.from_program(program, steps, name, machine, threads)
    with progress.stage("lower"):
        lowered.lower(settings.stop_after, settings.dump_dir)
    if settings.stop_after in {None, "emit", "build"}:
        with progress.stage("emit"), defects_of("emit"):
            lowered.emit()
    if settings.dump_dir is not None:
        for file, text in lowered.sources.items():
            write_text(settings.dump_dir, file, text)
    return lowered


def build(
    lowered: LoweredKernel,
    settings: Options,
    threads: int,
    toolchain: Toolchain,
    store: Store,
    parts: Mapping[str, str],
    verifier: KernelVerifier,
    progress: Progress,
) -> KernelArtifact:
    """Build and verify a kernel, and store the result. Wrong results are never stored."""
    machine = lowered.ctx.machine
    artifact = lowered.artifact(settings, threads, toolchain.identity, toolchain.flags(machine))
    with progress.stage("build"):
        library = build_library(lowered.units(), toolchain, machine, store)
    if settings.verify:
        with progress.stage("verify"), store.scratch_file(library) as path:
            report = verifier(CompiledKernel(replace(artifact, library=path)), 0)
        report.check()
        artifact = replace(artifact, report=report)
    artifact = replace(artifact, seconds=dict(progress.seconds))
    files = artifact.to_files(library)
    entry = add_or_keep_aside(store, model_key(parts), files, parts, kind="kernels")
    return replace(artifact, library=entry.path / "library.so")


def kernel_key_parts(
    program: KernelProgram,
    steps: str | None,
    settings: Options,
    machine: Machine,
    threads: int,
    toolchain: Toolchain,
) -> dict[str, str]:
    """Everything that the result depends on, by name."""
    return {
        "program": digest_lines([program.text(), *program.names, *sorted(program.scalars)]),
        "schedule": "default" if steps is None else steps,
        "name": settings.name,
        "verify": str(settings.verify),
        "machine": repr(machine),
        "threads": str(threads),
        "compiler": toolchain.identity,
        "flags": " ".join(toolchain.flags(machine)),
        "tilecast": sources_digest(),
    }
