"""`tilecast bisect MODEL -o DIR`: the first pass that fails or makes a result wrong."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from ...dialects.errors import OptionError
from .model_argument import load_model
from .option_flags import given_options, option_flags


@click.command("bisect")
@click.argument("model")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Folder for the IR around the pass."
)
@click.option("--seed", default=0, show_default=True, help="Of the random inputs.")
@option_flags("stop_after", "verify", "dump_dir", "tune")
def bisect_command(model: str, output: Path | None, seed: int, **flags: Any) -> None:
    """Evaluate MODEL after every pass; exit status 3 where one fails or changes what it means."""
    from ..bisect import bisect
    from ..bisect.repro import write_repro
    from ..job import model_job
    from ..options import resolve_options
    from ..runtime.toolchain import find_toolchain
    from ..target import resolve_target

    loaded = load_model(model)
    if loaded.is_kernel:
        raise OptionError("bisect is for models; tilecast verify checks kernels")
    settings = resolve_options(given_options(flags) | loaded.keywords)
    if resolve_target(settings.target).is_gpu:
        raise OptionError(f"bisect runs kernels on the CPU, {settings.target} is a GPU")
    if settings.dynamic_shapes is not None:
        raise OptionError("bisect evaluates fixed shapes: leave out dynamic_shapes")
    job = model_job(loaded.model, loaded.example_inputs, None, settings)
    culprit = bisect(job, find_toolchain(), seed)
    if culprit is None:
        click.echo("every pass keeps the meaning, and the compiled model is right")
        return
    click.echo(str(culprit))
    if output is not None:
        click.echo(f"see {write_repro(culprit, output, ' '.join(['tilecast', *sys.argv[1:]]))}")
    click.get_current_context().exit(3)
