"""`tilecast profile MODEL`: where the time of a model goes, kernel by kernel."""

from __future__ import annotations

from typing import Any

import click

from .model_argument import load_model
from .option_flags import given_options, option_flags
from .output import json_flag, print_json, print_table


@click.command("profile")
@click.argument("model")
@click.option("--runs", type=click.IntRange(1, 10_000), default=20, show_default=True)
@click.option("--top", type=click.IntRange(1), default=20, show_default=True, help="Rows to show.")
@option_flags("stop_after")
@json_flag
def profile_command(model: str, runs: int, top: int, as_json: bool, **flags: Any) -> None:
    """Time each kernel of MODEL inside the running model, and compare with the roofline.

    The roofline is the larger of multiply-adds at peak and arguments streamed from the last-level
    cache, at the speeds that `tilecast targets --probe` has measured.
    """
    import torch

    from ...dialects.errors import OptionError
    from ..driver import compile as compile_model
    from ..profile.profile import profile_model

    loaded = load_model(model)
    if loaded.is_kernel or loaded.example_inputs is None:
        raise OptionError(
            f"{model}: expected a model, found loops, which are one kernel: use bench"
        )
    with torch.inference_mode():
        compiled: Any = compile_model(
            loaded.model, loaded.example_inputs, **loaded.keywords, **given_options(flags)
        )
        profile = profile_model(compiled, loaded.example_inputs, runs)
    rows = [kernel.to_json() for kernel in profile.kernels]
    facts = {
        "model": model,
        "ms": round(profile.seconds * 1e3, 4),
        "ms_in_kernels": round(sum(kernel.seconds for kernel in profile.kernels) * 1e3, 4),
        "floor_ms": round(profile.floor_seconds * 1e3, 4),
        "ceilings": "measured" if profile.is_measured else "estimated",
    }
    if as_json:
        print_json({**facts, "kernels": rows})
        return
    click.echo(", ".join(f"{key} {value}" for key, value in facts.items()))
    print_table(list(rows[0]), [list(row.values()) for row in rows[:top]])
