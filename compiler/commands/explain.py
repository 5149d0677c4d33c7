"""`tilecast explain MODEL|KERNEL`: what a model becomes, or everything about one kernel."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .kernel_flags import kernel_flags, kernel_keywords
from .model_argument import LoadedModel, load_model
from .option_flags import given_options, option_flags
from .output import json_flag, print_json, print_table

if TYPE_CHECKING:
    from ...costmodel.decision import Decision
    from ..lowering import Lowered


@click.command("explain")
@click.argument("model")
@click.option("--kernel", help="Explain this kernel of a model: statements, dependences, schedule.")
@kernel_flags
@option_flags("stop_after", "verify", "cache")
@json_flag
def explain_command(
    model: str,
    kernel: str | None,
    sizes: tuple[str, ...],
    schedule: Path | None,
    as_json: bool,
    **flags: Any,
) -> None:
    """Show the kernels that MODEL becomes: operators, calls, tensor sizes.

    For a @tilecast.kernel function, an .mlir file, or --kernel NAME of a model: its statements,
    dependences, loops before and after the schedule, temporaries, and (of the former) the C.
    """
    loaded = load_model(model, kernel_keywords(sizes, schedule))
    options = given_options(flags)
    if loaded.is_kernel or kernel is not None:
        report = kernel_report(loaded, kernel, options)
        if as_json:
            print_json(report.to_json())
        else:
            click.echo(str(report))
        return
    kernels, decisions, lowered = explained(loaded, options)
    launches, memory = device_launches(lowered), lowered.ctx.memory
    if as_json:
        listed = [d.to_json() for d in decisions]
        facts = {"kernels": kernels, "decisions": listed, "launches": launches}
        print_json(facts | ({} if memory is None else {"memory": memory.to_json()}))
        return
    total = sum(fact["calls"] for fact in kernels)
    click.echo(f"{len(kernels)} kernels, {total} calls")
    print_table(
        ["kernel", "calls", "operators", "arguments", "results"],
        [[k["kernel"], k["calls"], k["operators"], k["arguments"], k["results"]] for k in kernels],
    )
    for decision in decisions:
        click.echo(str(decision))
    if memory is not None:
        click.echo(str(memory))
    if launches:
        click.echo(f"\n{len(launches)} launches, by nvcc for {lowered.ctx.machine.name}")
        print_table(list(launches[0]), [list(launch.values()) for launch in launches])


def explained(
    loaded: LoadedModel, options: dict[str, Any]
) -> tuple[list[dict[str, Any]], list[Decision], Lowered]:
    """The kernels of a model, what the cost model decided about them, and the model itself.

    For a GPU it is lowered to the end, for a CPU until its kernels are scheduled.
    """
    from ..job import model_job
    from ..lowering import Lowered
    from ..options import resolve_options
    from ..pipeline import pipeline_for, run_stage

    job = model_job(loaded.model, loaded.example_inputs, None, resolve_options(options))
    lowered = Lowered.of(job)
    kernels: list[dict[str, Any]] = []
    for stage in pipeline_for(job.machine):
        run_stage(stage, lowered.ctx, lowered.module)
        if stage.name == "fuse":
            kernels = kernel_facts(lowered.module)
        if stage.name == "schedule" and not job.machine.is_gpu:
            break
    return kernels, lowered.ctx.decisions, lowered


def device_launches(lowered: Lowered) -> list[dict[str, Any]]:
    """What nvcc says of each launch of a model for a GPU, and what the roofline makes of it.

    Nothing without nvcc, or for a CPU.
    """
    from ...costmodel.gpu_roofline import estimate
    from ..cuda.nvcc import has_nvcc
    from ..cuda.reports import launch_reports
    from ..cuda.work import launch_works

    machine = lowered.ctx.machine
    if not machine.is_gpu or not has_nvcc():
        return []
    lowered.emit("model")
    works = {n: work for kernel in lowered.functions()[1] for n, work in launch_works(kernel)}
    launches = []
    for report in launch_reports(lowered.sources, machine.name):
        name = report.kernel.removeprefix("model_")
        expected = estimate(works[name], machine.name, report.occupancy, report.spill_bytes)
        launches.append(
            {
                "launch": name.removesuffix("_kernel"),
                "blocks": report.blocks,
                "threads": report.threads,
                "registers": report.registers,
                "spills": report.spill_bytes,
                "shared": report.shared_bytes,
                "occupancy": f"{report.occupancy:.0%}",
                "roofline_us": round(expected.seconds * 1e6, 1),
                "bound": expected.bound,
            }
        )
    return launches


def compiled_until(stage: str, loaded: LoadedModel, options: dict[str, Any]) -> Any:
    """The IR of a model after `stage`."""
    from ..driver import compile as compile_model

    return compile_model(loaded.model, loaded.example_inputs, **options, stop_after=stage)


def kernel_report(loaded: LoadedModel, kernel: str | None, options: dict[str, Any]) -> Any:
    """The report of a kernel function, or of the kernel of that name in a model."""
    from ...dialects.errors import OptionError
    from ..explain.explain import explain_kernel, explain_scheduled

    if not loaded.is_kernel:
        assert kernel is not None
        return explain_scheduled(compiled_until("schedule", loaded, options), kernel)
    if kernel is not None:
        raise OptionError("--kernel names a kernel of a model; this is a kernel itself")
    from ..kernels.driver import lowered_kernel

    lowered = lowered_kernel(loaded.model, **loaded.keywords, **options)
    return explain_kernel(lowered.ir, lowered.sources)


def kernel_facts(module: Any) -> list[dict[str, Any]]:
    """One entry per kernel function of `module` (graph level, after fusion), in call order."""
    from xdsl.dialects.func import FuncOp

    from ...dialects.graph import LaunchOp
    from ...dialects.graph.control import is_program

    launches = [op for op in module.walk() if isinstance(op, LaunchOp)]
    calls = Counter(op.kernel.root_reference.data for op in launches)
    functions = {op.sym_name.data: op for op in module.walk() if isinstance(op, FuncOp)}
    facts = []
    for name, count in calls.items():
        function = functions[name]
        if is_program(function):
            continue  # what control flow calls
        operators = Counter(
            _operator_name(op) for op in function.walk() if op.name.startswith("graph.")
        )
        facts.append(
            {
                "kernel": name,
                "calls": count,
                "operators": " ".join(op if n == 1 else f"{op}*{n}" for op, n in operators.items()),
                "arguments": " ".join(_type_text(t) for t in function.function_type.inputs),
                "results": " ".join(_type_text(t) for t in function.function_type.outputs),
            }
        )
    return facts


def _operator_name(op: Any) -> str:
    function = op.properties.get("fn")
    name: str = op.name.removeprefix("graph.")
    return name if function is None else str(function.data)


def _type_text(type: Any) -> str:
    return str(type).removeprefix("tensor<").removesuffix(">")
