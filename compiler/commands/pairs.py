"""`tilecast pairs MODEL -o DIR`: a model's kernels in C, OpenMP C and CUDA, verified."""

from __future__ import annotations

from pathlib import Path

import click

from .model_argument import load_model
from .output import json_flag, print_json


@click.command("pairs")
@click.argument("model")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder of the data set."
)
@click.option("--gpu", type=click.Choice(["sm_80", "sm_90"]), default="sm_80", show_default=True)
@click.option("--seed", default=0, show_default=True, help="Of the kernels' arguments.")
@click.option(
    "--license", "terms", default="MIT", show_default=True, help="SPDX name for the records."
)
@json_flag
def pairs_command(model: str, output: Path, gpu: str, seed: int, terms: str, as_json: bool) -> None:
    """Write every kernel of MODEL as C, OpenMP C and CUDA, each verified (CUDA by emulation).

    DIR/pairs.jsonl has a line per kernel, DIR/check.py builds and compares all members again.
    """
    from ...dialects.errors import OptionError, PackageError
    from ..job import model_job
    from ..options import resolve_options
    from ..pairs.dataset import Provenance, write_dataset
    from ..pairs.make import make_pairs
    from ..runtime.toolchain import find_toolchain, toolchain_for
    from ..target import resolve_target

    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise PackageError(f"{output} exists and is no empty folder; choose another path")
    loaded = load_model(model)
    if loaded.is_kernel:
        raise OptionError(f"{model}: expected a model, found loops")
    settings = resolve_options({"progress": True})
    job = model_job(loaded.model, loaded.example_inputs, loaded.keywords, settings)
    pairs, reasons = make_pairs(job, gpu, seed)
    compilers = find_toolchain().identity, toolchain_for(resolve_target(gpu)).identity
    write_dataset(pairs, Provenance(model, terms, seed, compilers), output)
    if as_json:
        print_json({"pairs": len(pairs), "left_out": reasons, "output": str(output)})
        return
    click.echo(f"{output}: {len(pairs)} kernels in three languages, {len(reasons)} left out")
    for name, reason in reasons.items():
        click.echo(f"{name}: {reason}")
