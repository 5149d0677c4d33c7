"""`tilecast verify MODEL|PACKAGE`: check against float64, or a package against its reference."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click

from .kernel_flags import kernel_flags, kernel_keywords
from .model_argument import is_package_argument, load_model
from .option_flags import given_options, option_flags
from .output import json_flag, print_json


@click.command("verify")
@click.argument("model")
@kernel_flags
@option_flags("stop_after", "verify")
@json_flag
def verify_command(
    model: str, sizes: tuple[str, ...], schedule: Path | None, as_json: bool, **flags: Any
) -> None:
    """Verify MODEL or a saved PACKAGE; exit status 3 on a mismatch."""
    if is_package_argument(model):
        from ..load import load_package

        report: Any = load_package(model).verify()
    else:
        from ..driver import compile as compile_model

        loaded = load_model(model, kernel_keywords(sizes, schedule))
        options = given_options(flags) | {"verify": False} | loaded.keywords
        report = compile_model(loaded.model, loaded.example_inputs, **options).verify()
    if as_json:
        print_json(dataclasses.asdict(report))
    else:
        click.echo(str(report))
