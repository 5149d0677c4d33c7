"""`tilecast tune MODEL --budget 200`: measure schedules of a model's kernels, keep them all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ...dialects.errors import OptionError
from .model_argument import load_model
from .option_flags import given_options, option_flags
from .output import json_flag, print_json


@click.command("tune")
@click.argument("model")
@click.option("--budget", default="200", show_default=True, help="Measurements, or seconds: 90s.")
@click.option("--database", type=click.Path(path_type=Path), help="Default: in the cache folder.")
@click.option(
    "--curve", type=click.Path(path_type=Path), help="File of the progress: .json, .png or .svg."
)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--runner",
    default="local",
    show_default=True,
    help="local, dask://HOST:PORT; for GPUs cuda, estimate.",
)
@option_flags("tune", "stop_after", "dump_dir", "verify", "name")
@json_flag
def tune_command(
    model: str,
    budget: str,
    database: Path | None,
    curve: Path | None,
    seed: int,
    runner: str,
    as_json: bool,
    **flags: Any,
) -> None:
    """Search schedules for the kernels of MODEL; later compilations take the best.

    Every measurement is stored at once: interrupt it at any time, run it again to go on.
    """
    from ..job import model_job
    from ..options import resolve_options
    from ..runtime.toolchain import find_toolchain
    from ..target import check_runs_here, resolve_target
    from ..tune.curve import check_curve_path, write_curve
    from ..tune.model_tuning import tune_model

    if curve is not None:
        check_curve_path(curve)
    loaded = load_model(model)
    if loaded.is_kernel:
        raise OptionError("tune takes models; kernels of affine loops are not tuned yet")
    settings = resolve_options({**given_options(flags), "tune": budget})
    check_runs_here(resolve_target(settings.target), settings.target)
    job = model_job(loaded.model, loaded.example_inputs, None, settings)
    run = tune_model(job, find_toolchain(), database, seed, runner)
    if curve is not None:
        write_curve(run.curve, model, budget, curve)
    facts = {
        "measured": run.measured,
        "tried": run.trials,
        "failed": dict(run.failed),
        "gain": round(run.gain, 3),
        "seconds": round(run.elapsed, 1),
    }
    if as_json:
        print_json(facts)
        return
    failed = ", ".join(f"{n} {reason}" for reason, n in sorted(run.failed.items())) or "none"
    click.echo(
        f"{model}: {run.measured} schedules measured in {run.elapsed:.0f} s (failed: {failed}); "
        f"kernels together {run.gain:.2f}x as fast as by default"
    )
