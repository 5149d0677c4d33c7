"""`tilecast compile MODEL -o DIR`: compile, verify and save a standalone package."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from ...dialects.errors import PackageError
from .kernel_flags import kernel_flags, kernel_keywords
from .model_argument import load_model
from .option_flags import given_options, option_flags
from .output import json_flag, print_json


@click.command("compile")
@click.argument("model")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder of the package.")
@click.option("--emit-only", is_flag=True, help="Write the sources without building them.")
@click.option("--inline-weights", is_flag=True, help="Put the weights into C arrays.")
@click.option("--portable", is_flag=True, help="Add code for less able CPUs, down to plain C.")
@click.option("--timing", is_flag=True, help="Show where compile time went, per stage and pass.")
@kernel_flags
@option_flags()
@json_flag
def compile_command(
    model: str,
    sizes: tuple[str, ...],
    schedule: Path | None,
    output: Path | None,
    emit_only: bool,
    inline_weights: bool,
    portable: bool,
    timing: bool,
    as_json: bool,
    **flags: Any,
) -> None:
    """Compile MODEL (a .pt2 or .mlir file, or package.module:callable) and save it with -o.

    With --stop-after the IR of that stage is printed instead.
    """
    options = given_options(flags)
    if emit_only and timing:
        raise click.UsageError("--timing needs the whole compilation; leave out --emit-only")
    if emit_only and output is None:
        raise click.UsageError("--emit-only needs -o DIR")
    if output is not None and output.exists() and not output.is_dir():
        # Said before minutes of work, not after.
        raise PackageError(f"{output} exists and is not a folder; choose another path")
    start, measured = time.perf_counter(), None
    loaded = load_model(model, kernel_keywords(sizes, schedule))
    if loaded.is_kernel and output is not None:
        raise PackageError(
            "kernels are not saved as packages yet; --stop-after emit prints their C"
        )
    from ..driver import compile as compile_model  # imports torch: not before arguments are right
    from ..driver import emit

    if emit_only and output is not None:
        emit(
            loaded.model,
            loaded.example_inputs,
            output,
            inline_weights=inline_weights,
            portable=portable,
            **loaded.keywords,
            **options,
        )
    else:
        compiled = compile_model(loaded.model, loaded.example_inputs, **loaded.keywords, **options)
        if not is_built(compiled, loaded.is_kernel):  # --stop-after, or its variable
            click.echo(stage_text(compiled))
            return
        measured = compiled.timing if timing else None
        if output is not None:
            compiled.save(output, inline_weights=inline_weights, portable=portable)
    seconds = time.perf_counter() - start
    if as_json:
        result = {"model": model, "output": output and str(output), "seconds": seconds}
        print_json(result | ({"timing": dict(measured.seconds)} if measured else {}))
        return
    if measured is not None:
        click.echo(measured)
    where = f"saved to {output}" if output is not None else "not saved (no -o)"
    click.echo(f"{model}: compiled in {seconds:.1f} s, {where}")


def is_built(result: Any, is_kernel: bool) -> bool:
    """Whether `result` can be called: it is not the IR or the C of a stage."""
    if is_kernel:
        from ..kernels.compiled import CompiledKernel

        return isinstance(result, CompiledKernel)
    from ..runtime.model import CompiledModel

    return isinstance(result, CompiledModel)


def stage_text(result: Any) -> str:
    """What `stop_after` returns, as text: an IR module, or C files by name."""
    if isinstance(result, dict):
        return "\n".join(f"/* {name} */\n{text}" for name, text in result.items())
    return str(result)
