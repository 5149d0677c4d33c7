"""Command-line flags made from the option table, so that a new option needs no second place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from ..options import OPTIONS, OptionSpec

Command = TypeVar("Command", bound=Callable[..., Any])


def flag_of(spec: OptionSpec) -> Callable[[Command], Command]:
    """The click option of one row. Its value is None where the flag is not given."""
    name = spec.name.replace("_", "-")
    text = spec.help if spec.default is None else f"{spec.help} [default: {spec.default}]"
    if spec.kind == "bool":
        return click.option(f"--{name}/--no-{name}", spec.name, default=None, help=text)
    types: dict[str, Any] = {"int": click.INT, "path": click.Path()}
    kind = click.Choice(spec.choices) if spec.choices else types.get(spec.kind, click.STRING)
    return click.option(f"--{name}", spec.name, type=kind, default=None, help=text)


def option_flags(*leave_out: str) -> Callable[[Command], Command]:
    """Add a flag for every available option of the table except those in `leave_out`."""

    def decorate(command: Command) -> Command:
        for spec in reversed(OPTIONS):
            if spec.available and spec.name not in leave_out:
                command = flag_of(spec)(command)
        return command

    return decorate


def given_options(flags: dict[str, Any]) -> dict[str, Any]:
    """The options that the user gave as flags; progress is shown unless switched off."""
    given = {name: value for name, value in flags.items() if value is not None}
    given.setdefault("progress", True)
    return given
