"""`tilecast targets`: the names that `--target` takes."""

from __future__ import annotations

import click

from ..target import resolve_target, target_names
from .output import json_flag, print_json, print_table


@click.command("targets")
@json_flag
def targets_command(as_json: bool) -> None:
    """List the targets and the vector unit that each is compiled for."""
    machines = [(name, resolve_target(name)) for name in target_names()]
    if as_json:
        print_json([{"target": n, "cpu": m.name, "isa": m.isa} for n, m in machines])
    else:
        print_table(["target", "cpu", "isa"], [[n, m.name, m.isa] for n, m in machines])
