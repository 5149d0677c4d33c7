"""`tilecast verify MODEL|PACKAGE`: check against float64, or a package against its reference."""

from __future__ import annotations

import dataclasses
from typing import Any

import click

from .model_argument import is_package_argument, load_model
from .option_flags import given_options, option_flags
from .output import json_flag, print_json


@click.command("verify")
@click.argument("model")
@option_flags("stop_after", "verify")
@json_flag
def verify_command(model: str, as_json: bool, **flags: Any) -> None:
    """Verify MODEL or a saved PACKAGE; exit status 3 on a mismatch."""
    if is_package_argument(model):
        from ..load import load_package

        report: Any = load_package(model).verify()
    else:
        from ..driver import compile as compile_model

        loaded = load_model(model)
        options = given_options(flags) | {"verify": False}
        report = compile_model(loaded.model, loaded.example_inputs, **options).verify()
    if as_json:
        print_json(dataclasses.asdict(report))
    else:
        click.echo(str(report))
